// SPDX-License-Identifier: Apache-2.0
// Parameter structures with a field of every kind, and helpers that show what the reader says about a text.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/base/schema.h"
#include "sim/config/reader.h"

namespace oscsim {

enum class Join { same_accumulator, epilogue };
template <>
struct EnumNames<Join> {
  static constexpr std::pair<std::string_view, Join> kValues[] = {{"same_accumulator", Join::same_accumulator},
                                                                  {"epilogue", Join::epilogue}};
};

namespace config {

struct GatherParams {
  std::int64_t lanes = 16;
  Bytes bank_width{32};
  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("lanes", self.lanes, {.min = 1, .max = 4096, .meaning = "elements moved per cycle"});
    visit("bank_width", self.bank_width,
          {.min = 1, .max = 1024, .meaning = "bytes that one bank delivers per cycle", .source = "assumed"});
  }
  void check(std::vector<std::string>& problems) const {
    if (lanes > 8 * bank_width.count()) problems.push_back("more lanes than the banks deliver");
  }
};

struct CoreParams {
  GatherParams gather;
  std::optional<GatherParams> second_gather;
  Join join = Join::epilogue;
  Cycles startup{92};
  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("gather", self.gather, {.meaning = "the gather engine"});
    visit("second_gather", self.second_gather, {.meaning = "another one"});
    visit("join", self.join, {.meaning = "where main path and branch meet"});
    visit("startup", self.startup, {.min = 0, .meaning = "of the tensor unit"});
  }
};

struct MachineParams {
  std::string name;
  Hertz clock{1.65e9};
  CoreParams core;
  BytesPerSecond bandwidth{1.6e12};
  BytesPerCycle port{256};
  Nanoseconds latency{500};
  Macs rate{8192};
  Bits width{8};
  std::optional<std::int64_t> shards;
  std::vector<std::int64_t> tile{128, 256, 64};
  std::vector<GatherParams> spares;
  bool shared = false;
  double skew = 0.5;
  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("name", self.name, {.required = true, .meaning = "shown in reports"});
    visit("clock", self.clock, {.min = 1e6, .max = 10e9, .meaning = "of the cores"});
    visit("core", self.core, {.meaning = "one core"});
    visit("bandwidth", self.bandwidth, {.min = 1, .meaning = "of the memory"});
    visit("port", self.port, {.min = 1, .meaning = "of L1"});
    visit("latency", self.latency, {.min = 0, .meaning = "of the memory"});
    visit("rate", self.rate, {.min = 1, .meaning = "per cycle"});
    visit("width", self.width, {.min = 4, .max = 16, .meaning = "of an element"});
    visit("shards", self.shards, {.min = 1, .meaning = "parts"});
    visit("tile", self.tile, {.min = 1, .meaning = "m, n, k"});
    visit("spares", self.spares, {.meaning = "further engines"});
    visit("shared", self.shared, {.meaning = "whether it is shared"});
    visit("skew", self.skew, {.min = 0, .max = 1, .meaning = "of the experts"});
  }
};

// The message of the InputError that `action` throws, "no error" when it throws none.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

template <ParameterStruct P = MachineParams>
P read_text(const std::string& text) {
  Problems problems;
  const Node document = load_text(text, "m.yaml", problems);
  P params = read<P>(document, problems);
  problems.throw_if_any();
  return params;
}

// What reading `text` as a machine reports, or "no error".
inline std::string problems_of(const std::string& text) {
  return error_of([&] { read_text(text); });
}

// A folder of its own that is removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "oscsim_config_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace config
}  // namespace oscsim
