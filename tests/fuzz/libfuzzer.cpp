// SPDX-License-Identifier: Apache-2.0
// libFuzzer's entry: scripts/fuzz.sh builds it once for all readers and names one in OSCSIM_READER.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "models/base/error.h"
#include "tests/fuzz/reader.h"

namespace {

const oscsim::fuzz::Reader& chosen() {
  const char* name = std::getenv("OSCSIM_READER");
  const auto all = oscsim::fuzz::readers();
  const auto found = std::ranges::find(all, std::string_view(name == nullptr ? "" : name), &oscsim::fuzz::Reader::name);
  oscsim::ensure(found != all.end(), "OSCSIM_READER names no reader");
  return *found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const oscsim::fuzz::Reader& reader = chosen();
  oscsim::fuzz::takes(reader, {reinterpret_cast<const char*>(data), size});
  return 0;
}
