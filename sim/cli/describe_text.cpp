// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/describe_text.h"

#include <algorithm>
#include <map>
#include <set>

#include "sim/report/text_table.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kBytesOfBf16 = 2;

std::string default_of(const config::DescribeRow& row) {
  return row.required ? "required" : row.default_value;
}

std::string joined_text(std::string_view a, std::string_view separator, std::string_view b) {
  return a.empty() || b.empty() ? fmt::format("{}{}", a, b) : fmt::format("{}{}{}", a, separator, b);
}

bool is_quantity(const config::DescribeRow& row) {
  return !row.choices.empty() && !row.range.empty();
}

// The value at a dotted path; nullptr when a section on the way is absent.
const Json* value_at(const Json& values, const std::string& path) {
  const Json* at = &values;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const auto found = at->is_object() ? at->find(path.substr(begin, end - begin)) : at->end();
    if (!at->is_object() || found == at->end()) return nullptr;
    at = &*found;
    begin = end + 1;
  }
  return at;
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> items;
  for (const Json& item : value) items.push_back(value_text(item));
  return fmt::format("[{}]", joined(items));
}

std::string phase_text(const TraceSummary& summary) {
  if (summary.tokens == 0) return summary.phase;
  return fmt::format("{}, {} sequence{} of {} token{}, {} in the KV cache", summary.phase, summary.batch,
                     summary.batch == 1 ? "" : "s", summary.tokens, summary.tokens == 1 ? "" : "s", summary.context);
}

}  // namespace

std::string parameters_text(std::span<const config::DescribeRow> rows, std::size_t width) {
  TextTable table({{"parameter"}, {"type"}, {"default"}, {"allowed"}, {"meaning [source of the default]"}});
  std::map<std::string, std::string> units;
  for (const config::DescribeRow& row : rows) {
    if (is_quantity(row)) units[row.type] = row.choices;
    table.add({row.path, row.type, default_of(row),
               is_quantity(row) ? row.range : joined_text(row.choices, "; ", row.range),
               joined_text(row.meaning, " ", row.source.empty() ? "" : fmt::format("[{}]", row.source))});
  }
  std::string text = table.text(width);
  if (!units.empty()) text += "\nunits\n";
  for (const auto& [type, names] : units) text += fmt::format("  {}: {}\n", type, names);
  return text;
}

Json parameters_json(std::span<const config::DescribeRow> rows) {
  Json json = Json::array();
  for (const config::DescribeRow& row : rows)
    json.push_back({{"path", row.path},
                    {"type", row.type},
                    {is_quantity(row) ? "units" : "choices", row.choices},
                    {"range", row.range},
                    {"required", row.required},
                    {"default", row.required ? Json() : Json(row.default_value)},
                    {"meaning", row.meaning},
                    {"source", row.source}});
  return json;
}

std::string values_text(std::span<const config::DescribeRow> rows, const Json& values, std::size_t width) {
  const std::string description = values.value("description", "");
  TextTable table({{"parameter"}, {"value"}, {"meaning"}});
  for (const config::DescribeRow& row : rows) {
    const Json* value = value_at(values, row.path);
    if (value == nullptr || value->is_object() || row.path == "description") continue;
    table.add({row.path, value_text(*value), row.meaning});
  }
  return fmt::format("{}\n\n{}", description, table.text(width));
}

TraceSummary summary_of(const TraceDocument& document, const Trace& trace) {
  TraceSummary summary{.model = document.model,
                       .phase = std::string(name_of(document.phase)),
                       .tokens = document.tokens,
                       .context = document.context,
                       .batch = document.batch,
                       .gemms = trace.gemms.size(),
                       .operations = trace.operations.size()};
  std::set<std::int64_t> layers;
  std::set<std::string> weights;
  for (const Gemm& gemm : trace.gemms) {
    const double elements = static_cast<double>(gemm.n) * static_cast<double>(gemm.k);
    summary.macs += static_cast<double>(gemm.m) * elements;
    if (weights.insert(gemm.weight).second) summary.weights += elements;
    if (gemm.layer >= 0) layers.insert(gemm.layer);
  }
  for (const Operation& operation : trace.operations) {
    if (const auto* attention = std::get_if<AttentionSizes>(&operation.sizes))
      summary.macs += static_cast<double>(attention_macs(*attention).count());
    if (operation.layer >= 0) layers.insert(operation.layer);
  }
  summary.layers = layers.size();
  return summary;
}

std::string trace_text(const TraceSummary& summary) {
  return fmt::format(
      "trace {} ({})\n"
      "  model    {}\n"
      "  phase    {}\n"
      "  GEMMs    {} in {} layers{}\n"
      "  work     {:.4g} MACs\n"
      "  weights  {:.4g} elements, {:.4g} GB in BF16\n",
      summary.name, summary.path, summary.model, phase_text(summary), summary.gemms, summary.layers,
      summary.operations == 0 ? "" : fmt::format(", {} other operations", summary.operations), summary.macs,
      summary.weights, summary.weights * kBytesOfBf16 / 1e9);
}

Json trace_json(const TraceSummary& summary) {
  return {{"name", summary.name},
          {"path", summary.path},
          {"model", summary.model},
          {"phase", summary.phase},
          {"tokens", summary.tokens},
          {"context", summary.context},
          {"batch", summary.batch},
          {"gemms", summary.gemms},
          {"operations", summary.operations},
          {"layers", summary.layers},
          {"macs", summary.macs},
          {"weights", summary.weights},
          {"weight_bytes_bf16", summary.weights * kBytesOfBf16}};
}

}  // namespace oscsim
