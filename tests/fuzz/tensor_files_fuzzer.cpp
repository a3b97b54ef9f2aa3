// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: scripts/fuzz.sh builds and runs it.
#include <cstdint>

#include "tests/fuzz/hostile_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  oscsim::reads(std::as_bytes(std::span(data, size)));
  return 0;
}
