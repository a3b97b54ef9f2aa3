// SPDX-License-Identifier: Apache-2.0
#include "sim/report/fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace oscsim {
namespace {

std::vector<std::string> components(const std::string& name) {
  std::vector<std::string> parts{""};
  for (const char letter : name) {
    if (letter == '.')
      parts.emplace_back();
    else
      parts.back() += letter;
  }
  return parts;
}

bool is_number(const std::string& part) {
  return part == "*" || (!part.empty() && part.find_first_not_of("0123456789") == std::string::npos);
}

// The name with every component that is a number replaced.
std::string pattern_of(const std::string& name) {
  std::vector<std::string> parts = components(name);
  std::ranges::replace_if(parts, is_number, "*");
  return fmt::format("{}", fmt::join(parts, "."));
}

// Both names have one pattern.
std::string common_name(const std::string& a, const std::string& b) {
  std::vector<std::string> parts = components(a);
  const std::vector<std::string> others = components(b);
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (parts[i] != others[i]) parts[i] = "*";
  return fmt::format("{}", fmt::join(parts, "."));
}

void add(std::optional<double>& sum, const std::optional<double>& value) {
  if (value) sum = sum.value_or(0) + *value;
}

void lower(std::optional<double>& least, const std::optional<double>& value) {
  if (!value || (least && std::isnan(*least))) return;
  if (!least || std::isnan(*value) || *value < *least) least = value;
}

void merge(ReportRow& row, const ReportRow& other) {
  row.name = common_name(row.name, other.name);
  row.m_least = std::min(row.m_least, other.m_least);
  row.m_most = std::max(row.m_most, other.m_most);
  row.count += other.count;
  add(row.scheme_us, other.scheme_us);
  add(row.baseline_us, other.baseline_us);
  for (const auto& [bound, time_us] : other.bound_us) row.bound_us[bound] += time_us;
  lower(row.scheme_sqnr_db, other.scheme_sqnr_db);
  lower(row.baseline_sqnr_db, other.baseline_sqnr_db);
  lower(row.scheme_chained_db, other.scheme_chained_db);
  lower(row.baseline_chained_db, other.baseline_chained_db);
}

std::vector<ReportRow> folded_by(const std::vector<ReportRow>& rows, bool by_m) {
  std::vector<ReportRow> result;
  std::map<std::string, std::size_t> index;
  for (const ReportRow& row : rows) {
    const std::string key = fmt::format("{} {} {} {} {} {} {} {}", pattern_of(row.name), name_of(row.position),
                                        row.kind, row.shape, by_m ? row.m_least : 0, row.n, row.k, row.formats);
    const auto [found, is_new] = index.emplace(key, result.size());
    if (is_new)
      result.push_back(row);
    else
      merge(result[found->second], row);
  }
  return result;
}

std::optional<double> sqnr(const SideResult& side) {
  return side.accuracy ? std::optional(side.accuracy->sqnr_db) : std::nullopt;
}

std::optional<double> chained_sqnr(const SideResult& side) {
  return side.chained ? std::optional(side.chained->sqnr_db) : std::nullopt;
}

std::optional<double> time_of(const std::optional<SideResult>& side, std::int64_t repeat) {
  return side ? std::optional(side->time_us * static_cast<double>(repeat)) : std::nullopt;
}

std::string shape_text(const Operation& operation) {
  if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes))
    return fmt::format("{}x{}x{}x{}", sizes->sequences * sizes->heads, sizes->queries, sizes->keys, sizes->head_dim);
  const auto& sizes = std::get<RowSizes>(operation.sizes);
  return fmt::format("{}x{}", sizes.rows, sizes.width);
}

}  // namespace

std::string ReportRow::bound() const {
  const auto longest = std::ranges::max_element(bound_us, {}, [](const auto& entry) { return entry.second; });
  return longest == bound_us.end() ? "" : longest->first;
}

std::vector<ReportRow> folded(std::vector<ReportRow> rows) {
  if (rows.size() > kMostRows) rows = folded_by(rows, true);
  if (rows.size() > kMostRows) rows = folded_by(rows, false);
  return rows;
}

std::string layer_prefix(const std::vector<std::string>& names) {
  std::optional<std::string> prefix;
  for (const std::string& name : names) {
    const std::vector<std::string> parts = components(name);
    const auto number = std::ranges::find_if(parts, is_number);
    if (number == parts.end()) continue;
    std::string front;
    for (auto part = parts.begin(); part != number; ++part) front += *part + '.';
    if (prefix && *prefix != front) return "";
    prefix = front;
  }
  return prefix.value_or("");
}

std::vector<ReportRow> gemm_rows(const RunResult& result) {
  std::vector<ReportRow> rows;
  for (const GemmResult& gemm : result.gemms) {
    const auto repeat = static_cast<double>(gemm.repeat);
    rows.push_back({.name = gemm.gemm.name,
                    .position = gemm.gemm.position,
                    .m_least = gemm.gemm.m,
                    .m_most = gemm.gemm.m,
                    .n = gemm.gemm.n,
                    .k = gemm.gemm.k,
                    .count = gemm.repeat,
                    .formats = gemm.scheme.formats,
                    .scheme_us = gemm.scheme.time_us * repeat,
                    .baseline_us = gemm.baseline.time_us * repeat,
                    .bound_us = {{gemm.scheme.bound, gemm.scheme.time_us * repeat}},
                    .scheme_sqnr_db = sqnr(gemm.scheme),
                    .baseline_sqnr_db = sqnr(gemm.baseline),
                    .scheme_chained_db = chained_sqnr(gemm.scheme),
                    .baseline_chained_db = chained_sqnr(gemm.baseline)});
  }
  return folded(std::move(rows));
}

std::vector<ReportRow> operation_rows(const RunResult& result) {
  std::vector<ReportRow> rows;
  for (const OperationResult& operation : result.operations) {
    const std::string formats = operation.scheme ? operation.scheme->formats : "";
    ReportRow row{.name = operation.operation.name,
                  .kind = operation.kind,
                  .shape = shape_text(operation.operation),
                  .count = operation.repeat,
                  .formats = formats,
                  .scheme_us = time_of(operation.scheme, operation.repeat),
                  .baseline_us = time_of(operation.baseline, operation.repeat)};
    if (operation.scheme) row.bound_us[operation.scheme->bound] = *row.scheme_us;
    rows.push_back(std::move(row));
  }
  return folded(std::move(rows));
}

std::vector<ReportRow> shared_rows(const RunResult& result) {
  std::vector<ReportRow> rows;
  for (const SharedResult& shared : result.shared) {
    ReportRow row{.name = shared.input,
                  .position = shared.position,
                  .m_least = shared.m,
                  .m_most = shared.m,
                  .k = shared.k,
                  .count = shared.repeat,
                  .formats = shared.scheme ? shared.scheme->formats : "",
                  .scheme_us = time_of(shared.scheme, shared.repeat),
                  .baseline_us = time_of(shared.baseline, shared.repeat)};
    if (shared.scheme) row.bound_us[shared.scheme->bound] = *row.scheme_us;
    rows.push_back(std::move(row));
  }
  return folded(std::move(rows));
}

}  // namespace oscsim
