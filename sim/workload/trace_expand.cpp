// SPDX-License-Identifier: Apache-2.0
// From the entries of a trace file to GEMMs and operations.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "models/base/error.h"
#include "sim/workload/trace_document.h"
#include "sim/workload/trace_select.h"

namespace oscsim {
namespace {

// An entry with its ranges parsed. Without layers or experts the range is the one value -1.
struct Template {
  const TraceEntry* entry;
  std::size_t index;
  LayerRange layers{.first = -1, .last = -1};
  LayerRange experts{.first = -1, .last = -1};

  bool is_gemm() const { return entry->op == OperationKind::gemm; }
  // Rows for an expert.
  std::int64_t rows(std::int64_t expert) const {
    if (!is_gemm()) return 1;
    return entry->m.values[entry->m.is_list ? static_cast<std::size_t>(expert - experts.first) : 0];
  }
};

bool same(const LayerRange& a, const LayerRange& b) {
  return a.first == b.first && a.last == b.last;
}

// `text` with {layer} and {expert} replaced; InputError for any other brace.
std::string filled(const std::string& text, std::int64_t layer, std::int64_t expert) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '}') input_error("'{}' has a '}}' without '{{'", text);
    if (text[i] != '{') {
      result += text[i++];
      continue;
    }
    const std::size_t end = text.find('}', i);
    if (end == std::string::npos) input_error("'{}' has a '{{' without '}}'", text);
    const std::string name = text.substr(i + 1, end - i - 1);
    if (name != "layer" && name != "expert")
      input_error("unknown placeholder '{{{}}}' in '{}'; allowed: {{layer}}, {{expert}}", name, text);
    const std::int64_t value = name == "layer" ? layer : expert;
    if (value < 0) input_error("placeholder '{{{}}}' in '{}', but the entry has no {}s", name, text, name);
    result += std::to_string(value);
    i = end + 1;
  }
  return result;
}

LayerRange parsed_range(const char* key, const std::string& text) {
  try {
    return parse_layer_range(text);
  } catch (const InputError& error) {
    input_error("{}: {}", key, error.what());
  }
}

// The entry with everything checked that does not need its neighbours.
Template checked(const TraceEntry& entry, std::size_t index) {
  Template result{.entry = &entry, .index = index};
  if (entry.name.empty()) input_error("the name is empty");
  if (entry.layers) result.layers = parsed_range("layers", *entry.layers);
  if (entry.experts) result.experts = parsed_range("experts", *entry.experts);
  if (entry.layers && entry.name.find("{layer}") == std::string::npos)
    input_error("layers are given, but the name '{}' has no {{layer}}", entry.name);
  if (entry.experts && entry.name.find("{expert}") == std::string::npos)
    input_error("experts are given, but the name '{}' has no {{expert}}", entry.name);
  constexpr auto kMost = static_cast<std::int64_t>(kMostGemms);
  if (result.layers.last - result.layers.first >= kMost || result.experts.last - result.experts.first >= kMost)
    input_error("more than {} GEMMs in one trace", kMostGemms);
  const std::int64_t experts = result.experts.last - result.experts.first + 1;
  if ((result.layers.last - result.layers.first + 1) * experts > kMost)
    input_error("more than {} GEMMs in one trace", kMostGemms);
  if (!result.is_gemm()) return result;
  if (entry.m.is_list && !entry.experts) input_error("m is a list, but the entry has no experts");
  if (entry.m.is_list && std::ssize(entry.m.values) != experts)
    input_error("m lists {} values; expected one for each of the {} experts", entry.m.values.size(), experts);
  for (const std::int64_t rows : entry.m.values)
    if (rows < (entry.m.is_list ? 0 : 1))
      input_error("m is {}; allowed: at least {}", rows, entry.m.is_list ? "0 in a list" : "1");
  return result;
}

void check_attention(const AttentionSizes& sizes) {
  if (sizes.heads % sizes.kv_heads != 0)
    input_error("{} heads do not share {} kv_heads evenly", sizes.heads, sizes.kv_heads);
  if (sizes.causal && sizes.keys < sizes.queries)
    input_error("{} keys for {} queries: keys include those of the new tokens", sizes.keys, sizes.queries);
  if (sizes.window > 0 && !sizes.causal) input_error("a window of {} keys without causal", sizes.window);
  const auto product = [](std::initializer_list<std::int64_t> factors, const char* what) {
    std::int64_t result = 1;
    for (const std::int64_t factor : factors) result = checked_product(result, factor, what);
  };
  constexpr std::int64_t kBytes = 4;  // FP32
  product({sizes.sequences, sizes.heads, sizes.queries, sizes.head_dim, kBytes}, "the queries' size");
  product({sizes.sequences, sizes.kv_heads, sizes.keys, sizes.head_dim, kBytes}, "the keys' size");
  product({sizes.sequences, sizes.heads, sizes.head_dim, sizes.queries, sizes.keys, 2}, "the number of products");
}

void check_rows(OperationKind kind, const RowSizes& sizes) {
  if (kind == OperationKind::moe_route && sizes.experts_per_token > sizes.width)
    input_error("experts_per_token is {}, but width (the number of experts) is {}", sizes.experts_per_token,
                sizes.width);
  const std::int64_t row = checked_product(sizes.width, 2 * (2 + sizes.experts_per_token), "the size of a row");
  checked_product(sizes.rows, row, "the operation's size");
}

Operation operation(const Template& from, std::int64_t layer) {
  const TraceEntry& entry = *from.entry;
  Operation operation{.name = filled(entry.name, layer, -1), .kind = entry.op, .layer = layer, .sizes = entry.rows};
  if (entry.op == OperationKind::attention) {
    check_attention(entry.attention);
    operation.sizes = entry.attention;
  } else {
    check_rows(entry.op, entry.rows);
  }
  return operation;
}

Gemm instance(const Template& from, std::int64_t layer, std::int64_t expert) {
  const TraceEntry& entry = *from.entry;
  Gemm gemm;
  gemm.name = filled(entry.name, layer, expert);
  gemm.position = entry.position;
  gemm.layer = layer;
  gemm.m = from.rows(expert);
  gemm.n = entry.n;
  gemm.k = entry.k;
  gemm.weight = filled(entry.weight.value_or(entry.name + ".weight"), layer, expert);
  gemm.input = filled(entry.input.value_or(entry.name + ".input"), layer, expert);
  gemm.input_rows = entry.input_rows.value_or(gemm.m);
  if (gemm.input_rows < gemm.m)
    input_error("'{}' reads m = {} rows of an input with input_rows = {}", gemm.name, gemm.m, gemm.input_rows);
  check_sizes(fmt::format("'{}'", gemm.name), gemm);
  return gemm;
}

// Collects GEMMs and operations and keeps an eye on what they share.
class Expansion {
 public:
  explicit Expansion(const EntryProblem& problem) : problem_(problem) {}

  // False when the trace has become too large.
  bool add(const Template& from, std::int64_t layer, std::int64_t expert) {
    if (from.rows(expert) == 0 || problems_.contains(from.index)) return true;
    try {
      const std::size_t order = expanded.gemms.size() + expanded.operations.size();
      is_full_ = order == kMostGemms;
      if (is_full_) input_error("more than {} GEMMs in one trace", kMostGemms);
      from.is_gemm() ? add_gemm(from, layer, expert, order) : add_operation(from, layer, order);
    } catch (const InputError& error) {
      problem_(from.index, error.what());
      problems_.insert(from.index);
    }
    return !is_full_;
  }

  Expanded expanded;

 private:
  void add_gemm(const Template& from, std::int64_t layer, std::int64_t expert, std::size_t order) {
    Gemm gemm = instance(from, layer, expert);
    gemm.order = order;
    require_new(gemm.name, from);
    require_shape("input", gemm.input, gemm.input_rows, gemm.k);
    require_shape("weight", gemm.weight, gemm.n, gemm.k);
    expanded.gemms.push_back(std::move(gemm));
  }

  void add_operation(const Template& from, std::int64_t layer, std::size_t order) {
    Operation added = operation(from, layer);
    added.order = order;
    require_new(added.name, from);
    expanded.operations.push_back(std::move(added));
  }

  void require_new(const std::string& name, const Template& from) {
    if (names_.try_emplace(name, from.index).second) return;
    input_error("a second {} has the name '{}'", from.is_gemm() ? "GEMM" : "operation", name);
  }

  // A tensor has one shape, whoever uses it.
  void require_shape(const char* role, const std::string& tensor, std::int64_t rows, std::int64_t cols) {
    const auto [known, is_new] = shapes_.try_emplace(tensor, rows, cols);
    if (!is_new && known->second != std::pair(rows, cols))
      input_error("{} '{}' is [{}, {}] here and [{}, {}] in an earlier GEMM", role, tensor, rows, cols,
                  known->second.first, known->second.second);
  }

  const EntryProblem& problem_;
  std::unordered_map<std::string, std::size_t> names_;
  std::unordered_map<std::string, std::pair<std::int64_t, std::int64_t>> shapes_;
  std::unordered_set<std::size_t> problems_;  // entries: one report for each
  bool is_full_ = false;
};

// One layer of a block, entries with the same experts expert by expert.
bool expand_layer(std::span<const Template> block, std::int64_t layer, Expansion& expansion) {
  for (auto begin = block.begin(); begin != block.end();) {
    const auto end =
        std::find_if(begin, block.end(), [&](const Template& t) { return !same(t.experts, begin->experts); });
    for (std::int64_t expert = begin->experts.first; expert <= begin->experts.last; ++expert)
      for (auto from = begin; from != end; ++from)
        if (!expansion.add(*from, layer, expert)) return false;
    begin = end;
  }
  return true;
}

}  // namespace

std::array<std::int64_t, 3> extents(const Operation& operation) {
  if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes))
    return {sizes->sequences * sizes->heads * sizes->queries, sizes->keys, sizes->head_dim};
  const auto& sizes = std::get<RowSizes>(operation.sizes);
  return {sizes.rows, sizes.width, 1};
}

Expanded expand(const std::vector<TraceEntry>& entries, const EntryProblem& problem) {
  std::vector<Template> templates;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    try {
      templates.push_back(checked(entries[i], i));
    } catch (const InputError& error) {
      problem(i, error.what());
    }
  }
  Expansion expansion(problem);
  for (auto begin = templates.begin(); begin != templates.end();) {
    const auto end =
        std::find_if(begin, templates.end(), [&](const Template& t) { return !same(t.layers, begin->layers); });
    for (std::int64_t layer = begin->layers.first; layer <= begin->layers.last; ++layer)
      if (!expand_layer({begin, end}, layer, expansion)) return std::move(expansion.expanded);
    begin = end;
  }
  return std::move(expansion.expanded);
}

Trace expand(const TraceDocument& document, const std::string& origin) {
  std::string problems;
  const auto collect = [&](std::size_t entry, const std::string& message) {
    problems += fmt::format("{}{}: gemms[{}]: {}", problems.empty() ? "" : "\n", origin, entry, message);
  };
  Expanded expanded = expand(document.gemms, collect);
  if (!problems.empty()) throw InputError(problems);
  if (expanded.empty()) input_error("{}: the trace has no GEMMs", origin);
  return {.model = document.model,
          .phase = document.phase == Phase::other ? "" : std::string(name_of(document.phase)),
          .gemms = std::move(expanded.gemms),
          .operations = std::move(expanded.operations),
          .synthetic = document.synthetic,
          .chain = document.chain,
          .sha256 = ""};
}

}  // namespace oscsim
