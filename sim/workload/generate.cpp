// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/generate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/base/error.h"
#include "models/base/quantity.h"
#include "sim/workload/counter_random.h"

namespace oscsim {
namespace {

const std::string kLayer = "model.layers.{layer}.";

struct Pass {
  std::int64_t tokens;  // of each sequence
  std::int64_t sequences;
  std::int64_t rows() const { return tokens * sequences; }
};

Pass pass_of(const TraceOptions& options) {
  for (const auto& [name, size] : {std::pair("tokens", options.tokens), {"batch", options.batch.value_or(1)}})
    if (size < 1 || size > 1 << 30) input_error("{} = {}; allowed: 1 to {}", name, size, 1 << 30);
  if (options.context < 0 || options.context > 1 << 30)
    input_error("context = {}; allowed: 0 to {}", options.context, 1 << 30);
  if (options.phase != Phase::decode) return {options.tokens, options.batch.value_or(1)};
  if (!options.batch) return {1, options.tokens};
  if (options.tokens != 1)
    input_error(
        "decode with tokens = {} and batch = {}: one token for each sequence; give the number of sequences once",
        options.tokens, *options.batch);
  return {1, *options.batch};
}

// Layers of the same structure that follow one another.
struct Block {
  std::int64_t first, last;
  bool has_experts;
  std::int64_t window;  // of its attention; 0: none
  std::string layers() const { return first == last ? std::to_string(first) : fmt::format("{}-{}", first, last); }
};

class Generator {
 public:
  Generator(const ModelShape& shape, const TraceOptions& options)
      : shape_(shape), options_(options), pass_(pass_of(options)) {
    const LayerRange all{.first = 0, .last = shape.layers - 1};
    layers_ = options.layers.value_or(all);
    if (layers_.first < 0 || layers_.first > layers_.last || layers_.last > all.last)
      input_error("layers {}-{}; {} has layers 0-{}", layers_.first, layers_.last, shape.name, all.last);
    require_few();
  }

  TraceDocument run() {
    TraceDocument document;
    document.model = shape_.name;
    document.phase = options_.phase;
    document.tokens = pass_.tokens;
    document.context = options_.context;
    document.batch = pass_.sequences;
    document.source = shape_.source;
    for (const Block& block : blocks()) {
      layers_text_ = block.layers();
      attention(block.window);
      if (block.has_experts)
        experts(block.first);
      else
        dense_ffn();
      add_rows(OperationKind::residual, "mlp.residual", {.rows = pass_.rows(), .width = shape_.hidden});
    }
    if (options_.lm_head) lm_head();
    document.gemms = std::move(entries_);
    expand(document, shape_.name);  // refuses sizes that overflow
    return document;
  }

 private:
  // Before anything is made for each layer and expert.
  void require_few() const {
    constexpr auto kMost = static_cast<std::int64_t>(kMostGemms);
    const std::int64_t layers = layers_.last - layers_.first + 1;
    if (layers > kMost)
      input_error("{} has {} layers: more than {} GEMMs in one trace", shape_.name, layers, kMostGemms);
    std::int64_t experts = 0;
    for (std::int64_t layer = layers_.first; layer <= layers_.last; ++layer)
      if (shape_.has_experts(layer)) experts += shape_.experts;
    if (experts > kMost)
      input_error("{} has {} experts in each of {} layers: more than {} GEMMs in one trace", shape_.name,
                  shape_.experts, experts / shape_.experts, kMostGemms);
  }

  // Skewed rows differ from layer to layer: every layer with experts is then a block of its own.
  std::vector<Block> blocks() const {
    std::vector<Block> blocks;
    for (std::int64_t layer = layers_.first; layer <= layers_.last; ++layer) {
      const bool has_experts = shape_.has_experts(layer);
      const std::int64_t window = options_.attention ? shape_.window_of(layer) : 0;
      const bool joins = !blocks.empty() && blocks.back().has_experts == has_experts &&
                         blocks.back().window == window && !(has_experts && options_.rows == ExpertRows::skewed);
      if (joins)
        blocks.back().last = layer;
      else
        blocks.push_back({layer, layer, has_experts, window});
    }
    return blocks;
  }

  TraceEntry& add(const std::string& name, Position position, std::int64_t n, std::int64_t k,
                  const std::string& input) {
    TraceEntry& entry = entries_.emplace_back();
    entry.name = kLayer + name;
    entry.layers = layers_text_;
    entry.position = position;
    entry.m.values = {pass_.rows()};
    entry.n = n;
    entry.k = k;
    entry.input = kLayer + input;
    return entry;
  }

  // An operation between the GEMMs, when the trace is to have them.
  void add_rows(OperationKind kind, const std::string& name, const RowSizes& sizes) {
    if (!options_.attention) return;
    TraceEntry& entry = add_operation(kind, kLayer + name);
    entry.layers = layers_text_;
    entry.rows = sizes;
  }

  TraceEntry& add_operation(OperationKind kind, const std::string& name) {
    TraceEntry& entry = entries_.emplace_back();
    entry.op = kind;
    entry.name = name;
    return entry;
  }

  // With a window the keys before those that the first new token sees are neither needed nor kept.
  void attention_product(std::int64_t window) {
    if (!options_.attention) return;
    const std::int64_t context = window == 0 ? options_.context : std::min(options_.context, window - 1);
    const std::int64_t keys = context + pass_.tokens;
    TraceEntry& entry = add_operation(OperationKind::attention, kLayer + "self_attn.attention");
    entry.layers = layers_text_;
    entry.attention = {.sequences = pass_.sequences,
                       .heads = shape_.heads,
                       .kv_heads = shape_.kv_heads,
                       .head_dim = shape_.head_dim,
                       .queries = pass_.tokens,
                       .keys = keys,
                       .causal = true,
                       .window = keys > window ? window : 0};
  }

  void attention(std::int64_t window) {
    const std::int64_t rows = pass_.rows();
    add_rows(OperationKind::rms_norm, "input_layernorm", {.rows = rows, .width = shape_.hidden});
    add("self_attn.q_proj", Position::attn_in, shape_.q_dim(), shape_.hidden, "attn_in");
    add("self_attn.k_proj", Position::attn_in, shape_.kv_dim(), shape_.hidden, "attn_in");
    add("self_attn.v_proj", Position::attn_in, shape_.kv_dim(), shape_.hidden, "attn_in");
    const std::int64_t q_rows = checked_product(rows, shape_.heads, "tokens x heads");
    add_rows(OperationKind::rms_norm, "self_attn.q_norm", {.rows = q_rows, .width = shape_.head_dim});
    add_rows(OperationKind::rms_norm, "self_attn.k_norm", {.rows = rows * shape_.kv_heads, .width = shape_.head_dim});
    add_rows(OperationKind::rope, "self_attn.rope",
             {.rows = rows, .width = shape_.q_dim() + shape_.kv_dim(), .head_dim = shape_.head_dim});
    attention_product(window);
    add("self_attn.o_proj", Position::o_in, shape_.hidden, shape_.q_dim(), "o_in");
    add_rows(OperationKind::residual, "self_attn.residual", {.rows = rows, .width = shape_.hidden});
    add_rows(OperationKind::rms_norm, "post_attention_layernorm", {.rows = rows, .width = shape_.hidden});
  }

  void dense_ffn() {
    add("mlp.gate_proj", Position::ffn_in, shape_.ffn, shape_.hidden, "ffn_in");
    add("mlp.up_proj", Position::ffn_in, shape_.ffn, shape_.hidden, "ffn_in");
    add_rows(OperationKind::silu_multiply, "mlp.act_fn", {.rows = pass_.rows(), .width = shape_.ffn});
    add("mlp.down_proj", Position::down_in, shape_.hidden, shape_.ffn, "down_in");
  }

  void experts(std::int64_t layer) {
    add("mlp.gate", Position::router, shape_.experts, shape_.hidden, "ffn_in");
    const std::int64_t chosen = shape_.experts_per_token;
    add_rows(OperationKind::moe_route, "mlp.route",
             {.rows = pass_.rows(), .width = shape_.experts, .experts_per_token = chosen});
    add_rows(OperationKind::moe_permute, "mlp.permute",
             {.rows = pass_.rows(), .width = shape_.hidden, .experts_per_token = chosen});
    const std::vector<std::int64_t> rows = expert_rows(shape_, pass_.rows(), layer, options_);
    const std::string expert = "mlp.experts.{expert}.";
    add_expert(expert + "gate_proj", Position::ffn_in, shape_.expert_ffn, shape_.hidden, "ffn_in", rows);
    add_expert(expert + "up_proj", Position::ffn_in, shape_.expert_ffn, shape_.hidden, "ffn_in", rows);
    add_rows(OperationKind::silu_multiply, "mlp.act_fn", {.rows = pass_.rows() * chosen, .width = shape_.expert_ffn});
    add_expert(expert + "down_proj", Position::down_in, shape_.hidden, shape_.expert_ffn, expert + "down_in", rows);
    add_rows(OperationKind::moe_combine, "mlp.combine",
             {.rows = pass_.rows(), .width = shape_.hidden, .experts_per_token = chosen});
  }

  void add_expert(const std::string& name, Position position, std::int64_t n, std::int64_t k, const std::string& input,
                  const std::vector<std::int64_t>& rows) {
    TraceEntry& entry = add(name, position, n, k, input);
    entry.experts = fmt::format("0-{}", shape_.experts - 1);
    const bool is_even = std::ranges::all_of(rows, [&](std::int64_t each) { return each == rows.front(); });
    entry.m = is_even ? RowCounts{.values = {rows.front()}} : RowCounts{.values = rows, .is_list = true};
    if (position == Position::ffn_in) entry.input_rows = pass_.rows();  // tokens are dispatched out of all of them
  }

  void lm_head() {
    if (options_.attention)
      add_operation(OperationKind::rms_norm, "model.norm").rows = {.rows = pass_.sequences, .width = shape_.hidden};
    TraceEntry& entry = entries_.emplace_back();
    entry.name = "lm_head";
    entry.position = Position::lm_head;
    entry.m.values = {pass_.sequences};
    entry.n = shape_.vocabulary;
    entry.k = shape_.hidden;
    if (shape_.tied_embedding) entry.weight = "model.embed_tokens.weight";
  }

  const ModelShape& shape_;
  const TraceOptions& options_;
  Pass pass_;
  LayerRange layers_;
  std::string layers_text_;
  std::vector<TraceEntry> entries_;
};

// The share of each expert: 1 / rank^skew, ranks in a seeded order.
std::vector<double> zipf_shares(std::size_t experts, double skew, std::uint64_t key) {
  std::vector<std::size_t> order(experts);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [key](std::size_t expert) { return random_bits(key, expert); });
  std::vector<double> shares(experts);
  for (std::size_t rank = 0; rank < experts; ++rank)
    shares[order[rank]] = 1 / std::pow(static_cast<double>(rank + 1), skew);
  return shares;
}

// Splits `total` in proportion to `shares`, at most `most` each: what a full expert cannot take is split among the
// others, and the units that rounding down leaves go to the largest fractions.
std::vector<std::int64_t> apportioned(const std::vector<double>& shares, std::int64_t total, std::int64_t most) {
  std::vector<std::int64_t> rows(shares.size(), 0);
  std::vector<bool> is_full(shares.size(), false);
  std::vector<double> wanted(shares.size());
  for (bool changed = true; changed;) {
    changed = false;
    double left = static_cast<double>(total);
    double open_shares = 0;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (is_full[i]) left -= static_cast<double>(most);
      if (!is_full[i]) open_shares += shares[i];
    }
    for (std::size_t i = 0; i < shares.size(); ++i) {
      wanted[i] = is_full[i] ? static_cast<double>(most) : left * shares[i] / open_shares;
      if (is_full[i] || wanted[i] < static_cast<double>(most)) continue;
      is_full[i] = true;
      changed = true;
    }
  }
  for (std::size_t i = 0; i < shares.size(); ++i) rows[i] = std::min(most, static_cast<std::int64_t>(wanted[i]));
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return wanted[i] - std::floor(wanted[i]); });
  std::int64_t missing = total - std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  for (std::size_t i = 0; missing > 0; i = (i + 1) % order.size()) {
    if (rows[order[i]] == most) continue;
    ++rows[order[i]];
    --missing;
  }
  return rows;
}

}  // namespace

std::vector<std::int64_t> expert_rows(const ModelShape& shape, std::int64_t tokens, std::int64_t layer,
                                      const TraceOptions& options) {
  ensure(shape.experts > 0 && shape.experts_per_token <= shape.experts, "{} of {} experts", shape.experts_per_token,
         shape.experts);
  if (!(options.skew >= 0 && options.skew <= 16)) input_error("skew = {}; allowed: 0 to 16", options.skew);
  const std::int64_t total = checked_product(tokens, shape.experts_per_token, "tokens x experts per token");
  const auto experts = static_cast<std::size_t>(shape.experts);
  if (options.rows == ExpertRows::skewed) {
    const std::uint64_t key = random_key(options.seed, fmt::format("expert rows of layer {}", layer));
    return apportioned(zipf_shares(experts, options.skew, key), total, tokens);
  }
  std::vector<std::int64_t> rows(experts, total / shape.experts);
  for (std::size_t i = 0; i < static_cast<std::size_t>(total % shape.experts); ++i) ++rows[i];
  return rows;
}

TraceDocument generate(const ModelShape& shape, const TraceOptions& options) {
  return Generator(shape, options).run();
}

}  // namespace oscsim
