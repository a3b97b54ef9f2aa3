// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/merge.h"

#include <algorithm>

#include "sim/config/atomic_file.h"
#include "sim/config/csv_cell.h"
#include "sim/sweep/folder_file.h"

namespace oscsim::sweep {
namespace {

using Json = nlohmann::ordered_json;

std::string csv_field(const Json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? config::csv_cell(value.get_ref<const std::string&>()) : value.dump();
}

// The row's own columns, each with a value of its kind.
void require_row(const Json& json, const Row& row) {
  const std::vector<std::string>& columns = row_columns();
  std::size_t at = json.size() - std::min(json.size(), columns.size()), i = 0;
  bool is_row = json.is_object() && json.size() > columns.size();
  if (is_row)
    for (const auto& [name, value] : json.items()) {
      if (at > 0)
        --at;
      else
        is_row = is_row && name == columns[i++] && is_row_value(name, value);
    }
  if (!is_row) damaged(*row.file, row.number, "is no row of a sweep");
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
  const std::map<std::string, Row> rows = folder.rows();
  Counts counts;
  std::string lines, csv;
  for (const PointInfo& point : folder.points()) {
    const auto found = rows.find(point.key);
    const Row* row = found != rows.end() ? &found->second : nullptr;
    const std::string line =
        merged_line(point.line, row != nullptr ? row->line : error_line(point.key, Status::missing, "not run yet"));
    const Json json = Json::parse(line, nullptr, false);
    if (row != nullptr) require_row(json, *row);
    add(counts, row != nullptr ? row->status : Status::missing);
    append_csv(csv, json);
    lines += line + "\n";
  }
  for (const auto& [name, text] : {std::pair("results.jsonl", &lines), {"results.csv", &csv}}) {
    is_there(folder.path() / name);  // a pipe would wait for a reader
    config::write_file_atomically(folder.path() / name, *text);
  }
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
