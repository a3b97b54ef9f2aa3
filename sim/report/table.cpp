// SPDX-License-Identifier: Apache-2.0
#include "sim/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "sim/report/fold.h"
#include "sim/report/layers_table.h"
#include "sim/report/text_table.h"

namespace oscsim {
namespace {

constexpr std::size_t kLongestHeading = 10;
constexpr int kDifferencesShown = 5;

// Headings of the two sides; the report's first line has the names.
bool is_called_by_role(const std::string& name, const RunResult& result) {
  return name.size() > kLongestHeading || result.scheme == result.baseline;
}
std::string scheme_heading(const RunResult& result) {
  return is_called_by_role(result.scheme, result) ? "scheme" : result.scheme;
}
std::string baseline_heading(const RunResult& result) {
  return is_called_by_role(result.baseline, result) ? "baseline" : result.baseline;
}

// Calls `visit` for every GEMM, operation and piece of shared work of one side, with its repeats.
using VisitSide = std::function<void(const SideResult&, std::int64_t)>;
void for_each_scheme(const RunResult& result, const VisitSide& visit) {
  for (const GemmResult& gemm : result.gemms) visit(gemm.scheme, gemm.repeat);
  for (const OperationResult& operation : result.operations)
    if (operation.scheme) visit(*operation.scheme, operation.repeat);
  for (const SharedResult& shared : result.shared)
    if (shared.scheme) visit(*shared.scheme, shared.repeat);
}
void for_each_baseline(const RunResult& result, const VisitSide& visit) {
  for (const GemmResult& gemm : result.gemms) visit(gemm.baseline, gemm.repeat);
  for (const OperationResult& operation : result.operations)
    if (operation.baseline) visit(*operation.baseline, operation.repeat);
  for (const SharedResult& shared : result.shared)
    if (shared.baseline) visit(*shared.baseline, shared.repeat);
}

// The unit in which the total stays below a million.
struct TimeUnit {
  const char* name;
  double us;  // in one unit
};
TimeUnit time_unit(const RunResult& result) {
  constexpr TimeUnit kUnits[] = {{"us", 1}, {"ms", 1e3}, {"s", 1e6}};
  const double longest = std::max(result.scheme_total.time_us, result.baseline_total.time_us);
  for (const TimeUnit& unit : kUnits)
    if (longest < 1e6 * unit.us) return unit;
  return kUnits[2];
}

std::string time_text(const std::optional<double>& time_us, const TimeUnit& unit) {
  return time_us ? fmt::format("{:.2f}", *time_us / unit.us) : "-";
}

std::string speedup_text(const std::optional<double>& scheme_us, const std::optional<double>& baseline_us) {
  return scheme_us && baseline_us ? fmt::format("{:.4f}", *baseline_us / *scheme_us) : "-";
}

std::string shape_text(const ReportRow& row) {
  if (!row.shape.empty()) return row.shape;
  const std::string m =
      row.m_least == row.m_most ? fmt::format("{}", row.m_least) : fmt::format("{}..{}", row.m_least, row.m_most);
  return row.n > 0 ? fmt::format("{}x{}x{}", m, row.n, row.k) : fmt::format("{}x{}", m, row.k);
}

// "mxfp4 + bf16 branch" -> "mxfp4+bf16"
std::string short_formats(std::string formats) {
  for (const std::string_view part : {" branch", " "})
    for (std::size_t at = formats.find(part); at != std::string::npos; at = formats.find(part))
      formats.erase(at, part.size());
  return formats.empty() ? "-" : formats;
}

// The rows of the report, their names without what the names of layers have in common.
struct Rows {
  std::vector<ReportRow> gemms, operations, shared;
  std::string prefix;

  std::array<std::vector<ReportRow>*, 3> parts() { return {&gemms, &operations, &shared}; }
  bool any(bool (*holds)(const ReportRow&)) const {
    return std::ranges::any_of(gemms, holds) || std::ranges::any_of(operations, holds) ||
           std::ranges::any_of(shared, holds);
  }
};
Rows report_rows(const RunResult& result) {
  Rows rows{gemm_rows(result), operation_rows(result), shared_rows(result), ""};
  std::vector<std::string> names;
  for (const auto* part : rows.parts())
    for (const ReportRow& row : *part) names.push_back(row.name);
  rows.prefix = layer_prefix(names);
  for (auto* part : rows.parts())
    for (ReportRow& row : *part)
      if (row.name.starts_with(rows.prefix)) row.name.erase(0, rows.prefix.size());
  return rows;
}

// Which rows of the outputs the SQNR is over, when it is not all of them.
std::string sample_text(const RunResult& result) {
  std::int64_t gemms = 0, sampled = 0, fewest = std::numeric_limits<std::int64_t>::max();
  std::set<std::pair<std::int64_t, std::int64_t>> samples;  // rows compared, rows
  for (const GemmResult& gemm : result.gemms) {
    if (!gemm.scheme.accuracy) continue;
    ++gemms;
    const std::int64_t rows = gemm.scheme.accuracy->rows;
    samples.emplace(rows, gemm.gemm.m);
    if (rows == gemm.gemm.m) continue;
    ++sampled;
    fewest = std::min(fewest, rows);
  }
  if (sampled == 0) return "";
  if (samples.size() == 1) return fmt::format("SQNR over {} of {} rows\n", fewest, samples.begin()->second);
  return fmt::format("SQNR of {} of {} GEMMs over a sample of their rows, at least {}\n", sampled, gemms, fewest);
}

// What the GEMMs are of the time with all operations of the trace.
std::string share_text(const RunResult& result) {
  if (result.operations.empty() && result.left_out == 0) return "";
  const std::string shares =
      fmt::format("GEMMs and shared work take {:.1f} % of {}'s time and {:.1f} % of {}'s",
                  100 * result.scheme_gemm_share(), result.scheme, 100 * result.baseline_gemm_share(), result.baseline);
  if (result.left_out == 0) return shares + "\n";
  return fmt::format("{} other operations are left out: {},\nspeed-up with all of them {:.4f}\n", result.left_out,
                     shares, result.whole_speedup());
}

std::vector<std::string> row_values(const ReportRow& row, const TimeUnit& unit, bool with_sqnr, bool with_chain) {
  std::vector<std::string> values{short_formats(row.formats), time_text(row.scheme_us, unit),
                                  time_text(row.baseline_us, unit), speedup_text(row.scheme_us, row.baseline_us),
                                  row.bound().empty() ? "-" : row.bound()};
  if (with_sqnr && row.n > 0)
    values.insert(values.end(), {sqnr_text(row.scheme_sqnr_db), sqnr_text(row.baseline_sqnr_db)});
  if (with_chain && row.n > 0)
    values.insert(values.end(), {sqnr_text(row.scheme_chained_db), sqnr_text(row.baseline_chained_db)});
  return values;
}

std::string work_table(const RunResult& result, const Rows& rows) {
  const std::string scheme = scheme_heading(result);
  const std::string baseline = baseline_heading(result);
  const TimeUnit unit = time_unit(result);
  const auto has_count = [](const ReportRow& row) { return row.count != 1; };
  const auto has_sqnr = [](const ReportRow& row) { return row.scheme_sqnr_db || row.baseline_sqnr_db; };
  const bool with_count = rows.any(has_count);
  const bool with_sqnr = std::ranges::any_of(rows.gemms, has_sqnr);
  const bool with_chain =
      std::ranges::any_of(rows.gemms, [](const ReportRow& row) { return row.scheme_chained_db.has_value(); });
  std::vector<TextTable::Column> columns{{"GEMM"}, {"position"}, {"m x n x k"}};
  if (with_count) columns.push_back({"count", "", Align::right});
  for (const TextTable::Column& column : {TextTable::Column{"formats", scheme},
                                          {scheme, unit.name, Align::right},
                                          {baseline, unit.name, Align::right},
                                          {"speed-up", "", Align::right},
                                          {"bound", scheme}})
    columns.push_back(column);
  if (with_sqnr) {
    columns.push_back({"SQNR dB", scheme, Align::right});
    columns.push_back({"SQNR dB", baseline, Align::right});
  }
  if (with_chain) {
    columns.push_back({"chained dB", scheme, Align::right});
    columns.push_back({"chained dB", baseline, Align::right});
  }
  TextTable table(columns);
  const auto add = [&](const std::vector<std::string>& names, const std::string& count,
                       const std::vector<std::string>& values) {
    std::vector<std::string> cells = names;
    if (with_count) cells.push_back(count);
    cells.insert(cells.end(), values.begin(), values.end());
    cells.resize(columns.size());
    table.add(std::move(cells));
  };
  const auto add_rows = [&](const std::vector<ReportRow>& part) {
    for (const ReportRow& row : part)
      add({row.name, row.kind.empty() ? std::string(name_of(row.position)) : row.kind, shape_text(row)},
          fmt::format("{}", row.count), row_values(row, unit, with_sqnr, with_chain));
  };
  add_rows(rows.gemms);
  if (!rows.operations.empty()) table.add_line("other operations");
  add_rows(rows.operations);
  if (!rows.shared.empty()) table.add_line("shared work on inputs");
  add_rows(rows.shared);
  add({"total", "", ""}, "",
      {"", time_text(result.scheme_total.time_us, unit), time_text(result.baseline_total.time_us, unit),
       speedup_text(result.scheme_total.time_us, result.baseline_total.time_us)});

  const bool is_folded = rows.gemms.size() < result.gemms.size() || rows.shared.size() < result.shared.size() ||
                         rows.operations.size() < result.operations.size();
  return table.text() +
         (is_folded ? fmt::format("{} GEMMs in {} rows: * stands for layers and experts; times are "
                                  "sums over the count, SQNR is the lowest\n",
                                  result.gemms.size(), rows.gemms.size())
                    : "") +
         sample_text(result) + share_text(result);
}

// Sums by part, in the order of first appearance on either side.
struct StackRow {
  std::string part;
  std::int64_t scheme = 0, baseline = 0;
};

std::vector<StackRow> stack_rows(const RunResult& result) {
  std::vector<StackRow> rows;
  const auto row_of = [&](const std::string& part) -> StackRow& {
    const auto found = std::ranges::find(rows, part, &StackRow::part);
    return found != rows.end() ? *found : rows.emplace_back(StackRow{part});
  };
  for_each_scheme(result, [&](const SideResult& side, std::int64_t repeat) {
    for (const auto& [part, cycles] : side.cycle_stack) row_of(part).scheme += cycles.count() * repeat;
  });
  for_each_baseline(result, [&](const SideResult& side, std::int64_t repeat) {
    for (const auto& [part, cycles] : side.cycle_stack) row_of(part).baseline += cycles.count() * repeat;
  });
  // Shared work brings its own pipes in front: idle still comes last.
  std::stable_partition(rows.begin(), rows.end(), [](const StackRow& row) { return row.part != "idle"; });
  return rows;
}

std::string stack_table(const RunResult& result) {
  const std::vector<StackRow> rows = stack_rows(result);
  std::vector<std::int64_t> scheme, baseline;
  for (const StackRow& row : rows) {
    scheme.push_back(row.scheme);
    baseline.push_back(row.baseline);
  }
  const std::vector<std::int64_t> scheme_shares = shares_in_tenths(scheme);
  const std::vector<std::int64_t> baseline_shares = shares_in_tenths(baseline);
  const auto percent = [](std::int64_t tenths) { return fmt::format("{}.{}", tenths / 10, tenths % 10); };
  TextTable table(
      {{"cycle stack"}, {scheme_heading(result), "%", Align::right}, {baseline_heading(result), "%", Align::right}});
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].scheme > 0 || rows[i].baseline > 0)
      table.add({"  " + rows[i].part, percent(scheme_shares[i]), percent(baseline_shares[i])});
  const auto sum = [](const std::vector<std::int64_t>& parts) {
    return std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
  };
  table.add({"  total", percent(sum(scheme_shares)), percent(sum(baseline_shares))});
  table.add({"  cycles", fmt::format("{}", result.scheme_total.cycles.count()),
             fmt::format("{}", result.baseline_total.cycles.count())});
  return table.text();
}

std::string traffic_table(const RunResult& result) {
  TextTable table({{"memory traffic"},
                   {scheme_heading(result), "MB", Align::right},
                   {baseline_heading(result), "MB", Align::right}});
  constexpr std::pair<const char*, Bytes units::Traffic::*> kKinds[] = {{"HBM read", &units::Traffic::hbm_read},
                                                                        {"HBM write", &units::Traffic::hbm_write},
                                                                        {"L2 read", &units::Traffic::l2_read},
                                                                        {"L2 write", &units::Traffic::l2_write}};
  for (const auto& [name, kind] : kKinds) {
    Bytes scheme{0}, baseline{0};
    for_each_scheme(result, [&, k = kind](const SideResult& side, std::int64_t n) { scheme += side.traffic.*k * n; });
    for_each_baseline(result,
                      [&, k = kind](const SideResult& side, std::int64_t n) { baseline += side.traffic.*k * n; });
    const auto megabytes = [](Bytes bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes.count()) / 1e6); };
    table.add({fmt::format("  {}", name), megabytes(scheme), megabytes(baseline)});
  }
  return table.text();
}

// Of both sides, in a unit in which the larger total has at most six digits before the point.
std::string energy_table(const RunResult& result) {
  const cost::Energy &scheme = result.scheme_total.energy, &baseline = result.baseline_total.energy;
  const double most = std::max(scheme.total(), baseline.total());
  if (most == 0) return "";
  const auto [unit, uj] = most < 1e6 ? std::pair("uJ", 1.0) : most < 1e9 ? std::pair("mJ", 1e3) : std::pair("J", 1e6);
  TextTable table({{"energy"},
                   {scheme_heading(result), unit, Align::right},
                   {baseline_heading(result), unit, Align::right},
                   {"ratio", "", Align::right}});
  const auto add = [&table, in = uj](std::string_view name, double ours, double theirs) {
    if (ours > 0 || theirs > 0)
      table.add({fmt::format("  {}", name), fmt::format("{:.2f}", ours / in), fmt::format("{:.2f}", theirs / in),
                 theirs > 0 ? fmt::format("{:.3f}", ours / theirs) : "-"});
  };
  for (const auto& [name, part] : EnumNames<cost::EnergyPart>::kValues)
    add(name, scheme[part].value, baseline[part].value);
  add("total", scheme.total(), baseline.total());
  const std::string area =
      result.area.total() == 0
          ? ""
          : fmt::format("; of the area of {:.2f} mm2 {:.0f} %", result.area.total(), 100 * result.area.assumed_share());
  return "\n" + table.text() +
         fmt::format("costs {}: assumed numbers make {:.0f} % of {}'s energy and {:.0f} % of {}'s{}\n", result.costs,
                     100 * scheme.assumed_share(), result.scheme, 100 * baseline.assumed_share(), result.baseline,
                     area);
}

std::string verification_text(const RunResult& result) {
  std::string text, differences;
  int shown = 0;
  for (const bool is_scheme : {true, false}) {
    const std::string& name = is_scheme ? result.scheme : result.baseline;
    Verification sum;
    bool was_asked = false;
    for (const GemmResult& gemm : result.gemms) {
      const auto& found = (is_scheme ? gemm.scheme : gemm.baseline).verification;
      if (!found) continue;
      was_asked = true;
      sum.compared += found->compared;
      sum.outputs += found->outputs;
      sum.differing += found->differing;
      if (found->differing > 0 && shown++ < kDifferencesShown)
        differences += fmt::format("  {} under {}: {}\n", gemm.gemm.name, name, found->first_difference);
    }
    if (was_asked)
      text += fmt::format("verified against the scalar reference, {}: {} of {} outputs compared, {} {}\n", name,
                          sum.compared, sum.outputs, sum.differing, sum.differing == 1 ? "difference" : "differences");
  }
  if (shown > kDifferencesShown)
    differences += fmt::format("  and {} more GEMMs with differences\n", shown - kDifferencesShown);
  return text.empty() ? "" : "\n" + text + differences;
}

// How weights of a quantised checkpoint enter; nothing about others.
std::string stored_weights_text(const RunResult& result) {
  std::string text;
  for (const bool is_scheme : {true, false}) {
    std::map<std::string, std::int64_t> ways;
    for (const GemmResult& gemm : result.gemms)
      if (const std::string& way = (is_scheme ? gemm.scheme : gemm.baseline).weight; !way.empty()) ++ways[way];
    for (const auto& [way, count] : ways)
      text += fmt::format("weights under {}: {} ({} {})\n", is_scheme ? result.scheme : result.baseline, way, count,
                          count == 1 ? "GEMM" : "GEMMs");
  }
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::vector<std::int64_t> shares_in_tenths(const std::vector<std::int64_t>& parts) {
  constexpr std::int64_t kWhole = 1000;
  const std::int64_t sum = std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
  std::vector<std::int64_t> shares(parts.size(), 0);
  if (sum == 0) return shares;
  std::vector<double> remainders(parts.size());
  std::int64_t missing = kWhole;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double exact = static_cast<double>(parts[i]) * kWhole / static_cast<double>(sum);
    shares[i] = static_cast<std::int64_t>(exact);
    remainders[i] = exact - static_cast<double>(shares[i]);
    missing -= shares[i];
  }
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return remainders[i]; });
  for (std::size_t i = 0; missing > 0; ++i, --missing) ++shares[order[i % order.size()]];
  return shares;
}

std::string result_table(const RunResult& result) {
  const Rows rows = report_rows(result);
  const std::string left_out = rows.prefix.empty() ? "" : fmt::format("; names without {}", rows.prefix);
  return plain_ascii(fmt::format("{} against {} on {}, trace {}{}\n\n", result.scheme, result.baseline, result.machine,
                                 result.trace, left_out) +
                     work_table(result, rows) +
                     layers_table(result, {scheme_heading(result), baseline_heading(result)}) + "\n" +
                     stack_table(result) + "\n" + traffic_table(result) + energy_table(result) +
                     stored_weights_text(result) + verification_text(result));
}

}  // namespace oscsim
