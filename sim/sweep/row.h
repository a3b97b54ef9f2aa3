// SPDX-License-Identifier: Apache-2.0
// Rows: the result of one point as one line of JSON. README.md lists the columns.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sim/run/result.h"
#include "sim/sweep/sweep.h"

namespace oscsim::sweep {

enum class Status : std::uint8_t { ok, failed, died, missing };

// {"key": ..., "index": ..., axes ...}, without a line end.
std::string point_line(const Sweep& sweep, std::size_t index, const std::string& key);

// {"key": ..., "status": ..., "error": ..., results ...}, without a line end.
std::string ok_line(const std::string& key, const RunResult& result);
std::string error_line(const std::string& key, Status status, std::string_view error);

// 20 lower-case hexadecimal digits.
bool is_key(std::string_view text);

// The columns of a row, without those of its point.
const std::vector<std::string>& row_columns();
// Whether column `name` may hold `value`.
bool is_row_value(const std::string& name, const nlohmann::ordered_json& value);

// What stands at the front of a row's line.
struct RowHead {
  std::string key;
  Status status{};
};
// Nothing when the line is no whole row.
std::optional<RowHead> head_of(std::string_view line);

// The line of results.jsonl: a point's line and its row's results.
std::string merged_line(std::string_view point, std::string_view row);

}  // namespace oscsim::sweep

template <>
struct oscsim::EnumNames<oscsim::sweep::Status> {
  using Status = oscsim::sweep::Status;
  static constexpr std::pair<std::string_view, Status> kValues[] = {
      {"ok", Status::ok}, {"failed", Status::failed}, {"died", Status::died}, {"missing", Status::missing}};
};
