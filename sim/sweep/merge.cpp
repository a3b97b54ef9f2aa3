// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/merge.h"

#include <fmt/format.h>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"

namespace oscsim::sweep {
namespace {

using Json = nlohmann::ordered_json;

std::string csv_field(const Json& value) {
  if (value.is_null()) return {};
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + '"';
}

void append_csv(std::string& csv, const Json& row) {
  if (csv.empty()) {
    for (const auto& [name, value] : row.items()) csv += (csv.empty() ? "" : ",") + csv_field(name);
    csv += '\n';
  }
  bool is_first = true;
  for (const auto& [name, value] : row.items()) {
    csv += (is_first ? "" : ",") + csv_field(value);
    is_first = false;
  }
  csv += '\n';
}

void add(Counts& counts, Status status) {
  ++counts.points;
  ++(status == Status::ok ? counts.ok : status == Status::missing ? counts.missing : counts.failed);
}

}  // namespace

Counts merge(const Folder& folder) {
  folder.require_ours();
  const std::map<std::string, std::string> rows = folder.rows();
  Counts counts;
  std::string lines, csv;
  for (const PointInfo& point : folder.points()) {
    const auto row = rows.find(point.key);
    const std::string line = merged_line(
        point.line, row != rows.end() ? row->second : error_line(point.key, Status::missing, "not run yet"));
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) input_error("{}: the row of point {} is damaged", folder.path().string(), point.key);
    add(counts, row != rows.end() ? head_of(row->second)->status : Status::missing);
    append_csv(csv, json);
    lines += line + "\n";
  }
  config::write_file_atomically(folder.path() / "results.jsonl", lines);
  config::write_file_atomically(folder.path() / "results.csv", csv);
  return counts;
}

Counts count(const std::vector<PointInfo>& points, const std::map<std::string, Status>& statuses, const Shard& shard) {
  Counts counts;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!shard.has(i)) continue;
    const auto status = statuses.find(points[i].key);
    add(counts, status != statuses.end() ? status->second : Status::missing);
  }
  return counts;
}

}  // namespace oscsim::sweep
