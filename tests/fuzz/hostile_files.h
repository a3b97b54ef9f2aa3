// SPDX-License-Identifier: Apache-2.0
// Files that are what they say, nearly, or not at all: what tensor_files.cpp (in the gate) and tensor_files_fuzzer.cpp
// (libFuzzer) feed to the readers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace oscsim {

// An input is one byte that chooses the reader (its remainder by 3: safetensors, .npy, checkpoint index), then the
// file. True when the reader takes it; false for an InputError with a message that names the file; anything else
// escapes. Reads every element that an accepted header promises.
bool reads(std::span<const std::byte> input);

struct Seed {
  std::string name;
  std::string input;
};
std::vector<Seed> seeds();

}  // namespace oscsim
