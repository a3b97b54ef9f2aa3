// SPDX-License-Identifier: Apache-2.0
// What the fuzzers feed: every reader of outside text or bytes, each in a file of readers/, all in the table of
// reader.cpp. A reader must take its input or refuse it with an InputError that says where; anything else (a defect, an
// exception of a library, a read outside the input under the sanitizers) is a finding.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim::fuzz {

inline constexpr const char* kFile = "FILE";  // the name that inputs have

struct Seed {
  std::string name;  // of its file in a corpus
  std::string input;
};

struct Reader {
  std::string_view name;
  void (*read)(std::string_view input);        // throws what the reader throws
  std::vector<Seed> (*seeds)();                // some that it takes, some that it refuses
  std::string_view origin = kFile;             // what its messages begin with
  std::size_t longest = 4096;                  // bytes of an input that the mutators make
  std::vector<std::string_view> words{};       // that mean something to it
  void (*mend)(std::string& input) = nullptr;  // repairs a length or the like, so that what is behind it is seen
};

std::span<const Reader> readers();

// True when the reader takes the input, false for an InputError that begins with its origin.
bool takes(const Reader& reader, std::string_view input);

// Reads every byte: memory that is not the input's is an error of the sanitizer.
void touch(std::span<const std::byte> bytes);

// Seeds of any reader of YAML: `good`, and what YAML alone does to it.
std::vector<Seed> yaml_seeds(std::vector<Seed> good);

// The files of a folder of the source tree that end with `extension`.
std::vector<Seed> files_of(const std::string& folder, std::string_view extension);

// A file of the source tree.
std::string file_text(const std::string& path);

}  // namespace oscsim::fuzz
