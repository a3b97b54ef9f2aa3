// SPDX-License-Identifier: Apache-2.0
#include "sim/report/csv.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/config/csv_cell.h"

namespace oscsim {
namespace {

constexpr std::string_view kSideColumns[] = {
    "name",           "formats",        "cycles",          "time_us",
    "bound",          "hbm_read_bytes", "hbm_write_bytes", "l2_read_bytes",
    "l2_write_bytes", "energy_uj",      "sqnr_db",         "max_abs_error",
    "accuracy_rows",  "cosine",         "chained_sqnr_db", "chained_max_abs_error",
    "chained_cosine"};

class Line {
 public:
  void add(std::string_view text) { put(config::csv_cell(text)); }
  void add(std::int64_t value) { put(std::to_string(value)); }
  void add(double value) { put(fmt::format("{}", value)); }

  void add_speedup(const std::optional<SideResult>& scheme, const std::optional<SideResult>& baseline) {
    scheme&& baseline ? add(baseline->time_us / scheme->time_us) : add("");
  }

  void add(const std::optional<Closeness>& found) {
    if (!found) {
      for (int i = 0; i < 3; ++i) add("");
      return;
    }
    add(found->sqnr_db);
    add(found->max_abs_error);
    add(found->cosine);
  }

  // A layer has no cycles of its own here.
  void add(const LayerSide& side) {
    add(side.scheme);
    for (int i = 0; i < 9; ++i) add("");
    add(side.gemms.sqnr_db);
    add(side.gemms.max_abs_error);
    add("");
    add(side.gemms.cosine);
    add(side.chained);
  }

  void add(const SideResult* side) {
    if (side == nullptr) {
      for (std::size_t i = 0; i < std::size(kSideColumns); ++i) add("");
      return;
    }
    add(side->scheme);
    add(side->formats);
    add(side->cycles.count());
    add(side->time_us);
    add(side->bound);
    add(side->traffic.hbm_read.count());
    add(side->traffic.hbm_write.count());
    add(side->traffic.l2_read.count());
    add(side->traffic.l2_write.count());
    add(side->energy.total());
    side->accuracy ? add(side->accuracy->sqnr_db) : add("");
    side->accuracy ? add(side->accuracy->max_abs_error) : add("");
    side->accuracy ? add(side->accuracy->rows) : add("");
    side->accuracy ? add(side->accuracy->cosine) : add("");
    add(side->chained);
  }

  std::string end() const { return text_ + '\n'; }

 private:
  void put(std::string_view cell) {
    if (!text_.empty()) text_ += ',';
    text_ += cell;
  }

  std::string text_;
};

std::string heading() {
  Line line;
  for (const std::string_view column : {"kind", "name", "position", "m", "n", "k", "repeat", "speedup"})
    line.add(column);
  for (const std::string_view side : {"scheme", "baseline"})
    for (const std::string_view column : kSideColumns) line.add(fmt::format("{}_{}", side, column));
  return line.end();
}

const SideResult* pointer(const std::optional<SideResult>& side) {
  return side ? &*side : nullptr;
}

}  // namespace

std::string result_csv(const RunResult& result) {
  std::string text = heading();
  for (const GemmResult& row : result.gemms) {
    Line line;
    line.add("gemm");
    line.add(row.gemm.name);
    line.add(name_of(row.gemm.position));
    for (const std::int64_t value : {row.gemm.m, row.gemm.n, row.gemm.k, row.repeat}) line.add(value);
    line.add(row.speedup());
    line.add(&row.scheme);
    line.add(&row.baseline);
    text += line.end();
  }
  for (const OperationResult& row : result.operations) {
    Line line;
    line.add(row.kind);
    line.add(row.operation.name);
    line.add("");
    for (const std::int64_t value : extents(row.operation)) line.add(value);
    line.add(row.repeat);
    line.add_speedup(row.scheme, row.baseline);
    line.add(pointer(row.scheme));
    line.add(pointer(row.baseline));
    text += line.end();
  }
  for (const LayerResult& row : result.layers) {
    Line line;
    line.add("layer");
    line.add(fmt::format("{}", row.layer));
    for (int i = 0; i < 6; ++i) line.add("");
    line.add(row.scheme);
    line.add(row.baseline);
    text += line.end();
  }
  for (const SharedResult& row : result.shared) {
    Line line;
    line.add("shared");
    line.add(row.input);
    line.add(name_of(row.position));
    line.add(row.m);
    line.add("");
    line.add(row.k);
    line.add(row.repeat);
    line.add_speedup(row.scheme, row.baseline);
    line.add(pointer(row.scheme));
    line.add(pointer(row.baseline));
    text += line.end();
  }
  return text;
}

}  // namespace oscsim
