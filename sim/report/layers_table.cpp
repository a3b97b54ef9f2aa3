// SPDX-License-Identifier: Apache-2.0
#include "sim/report/layers_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "sim/report/text_table.h"

namespace oscsim {
namespace {

// Rows of layers beyond this stand in JSON and CSV alone.
constexpr std::size_t kMostLayers = 40;

std::string cosine_text(double cosine) {
  return std::isnan(cosine) ? "-" : fmt::format("{:.6f}", cosine);
}

}  // namespace

std::string sqnr_text(const std::optional<double>& sqnr_db) {
  if (!sqnr_db) return "-";
  return std::isinf(*sqnr_db) && *sqnr_db > 0 ? "exact" : fmt::format("{:.2f}", *sqnr_db);
}

std::string layers_table(const RunResult& result, const std::array<std::string, 2>& names) {
  if (result.layers.empty()) return "";
  std::vector<TextTable::Column> columns{{"layer"}, {"GEMMs", "", Align::right}};
  const bool is_chained =
      std::ranges::any_of(result.layers, [](const LayerResult& row) { return row.scheme.chained.has_value(); });
  for (const std::string what : {"SQNR dB", "cosine", "max error", "chained dB", "chained cosine"})
    for (const std::string& name : names)
      if (is_chained || !what.starts_with("chained")) columns.push_back({what, name, Align::right});
  TextTable table(columns);
  for (const LayerResult& row : std::span(result.layers).first(std::min(kMostLayers, result.layers.size()))) {
    const LayerSide* const sides[] = {&row.scheme, &row.baseline};
    std::vector<std::string> cells{fmt::format("{}", row.layer), fmt::format("{}", row.gemms)};
    for (const LayerSide* side : sides) cells.push_back(sqnr_text(side->gemms.sqnr_db));
    for (const LayerSide* side : sides) cells.push_back(cosine_text(side->gemms.cosine));
    for (const LayerSide* side : sides) cells.push_back(fmt::format("{:.4g}", side->gemms.max_abs_error));
    if (is_chained) {
      for (const LayerSide* side : sides) cells.push_back(side->chained ? sqnr_text(side->chained->sqnr_db) : "-");
      for (const LayerSide* side : sides) cells.push_back(side->chained ? cosine_text(side->chained->cosine) : "-");
    }
    table.add(std::move(cells));
  }
  std::string text = "\n" + table.text();
  if (result.layers.size() > kMostLayers)
    text += fmt::format("and {} more layers: --json or --csv has all\n", result.layers.size() - kMostLayers);
  if (!is_chained) return text;
  double least = 1;
  for (const GemmResult& row : result.gemms)
    if (row.chain_input && !(row.chain_input->cosine >= least)) least = row.chain_input->cosine;
  text +=
      "chained: inputs are what the quantised GEMMs before gave; against the unquantised chain, of a layer its "
      "output\n";
  text +=
      fmt::format("cosine of the unquantised chain's inputs with the captured ones: at least {}\n", cosine_text(least));
  return text;
}

}  // namespace oscsim
