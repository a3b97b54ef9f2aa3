// SPDX-License-Identifier: Apache-2.0
// The rows of the terminal report. Those that differ only in layer and expert are folded into one when there are many.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/run/result.h"

namespace oscsim {

inline constexpr std::size_t kMostRows = 40;

struct ReportRow {
  std::string name;  // numbers that differ between the folded rows are *
  Position position{};
  std::string kind{};   // of an operation, instead of a position
  std::string shape{};  // of an operation
  std::int64_t m_least = 0, m_most = 0;
  std::int64_t n = 0;  // 0: shared work, operations
  std::int64_t k = 0;
  std::int64_t count = 0;                                            // with repeats
  std::string formats;                                               // of the scheme
  std::optional<double> scheme_us{}, baseline_us{};                  // of all `count` together
  std::map<std::string, double> bound_us{};                          // time of the scheme by the bound it has
  std::optional<double> scheme_sqnr_db{}, baseline_sqnr_db{};        // the lowest; NaN when there is one
  std::optional<double> scheme_chained_db{}, baseline_chained_db{};  // the same

  std::string bound() const;  // with the most time; empty when the scheme has no time
};

// Folds rows of equal name pattern, position, shape and formats; when more than kMostRows are left also those that
// differ in m. Rows stay in the order of their first appearance. At most kMostRows: nothing changes.
std::vector<ReportRow> folded(std::vector<ReportRow> rows);

// What all names with a number in them begin with, up to that number: "model.layers."; empty when they differ.
std::string layer_prefix(const std::vector<std::string>& names);

std::vector<ReportRow> gemm_rows(const RunResult& result);
std::vector<ReportRow> operation_rows(const RunResult& result);
std::vector<ReportRow> shared_rows(const RunResult& result);

}  // namespace oscsim
