// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/model_shape.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "models/base/error.h"
#include "models/base/text.h"

namespace oscsim {
namespace {

struct Row {
  const char* name;
  std::int64_t hidden, ffn, layers, heads, kv_heads;
  bool tied_embedding;
  std::int64_t experts, experts_per_token, expert_ffn;
};

// hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, tie_word_embeddings,
// num_experts, num_experts_per_tok, moe_intermediate_size of huggingface.co/Qwen/<name>/config.json.
constexpr std::array<Row, 8> kModels{{{"Qwen3-0.6B", 1024, 3072, 28, 16, 8, true, 0, 0, 0},
                                      {"Qwen3-1.7B", 2048, 6144, 28, 16, 8, true, 0, 0, 0},
                                      {"Qwen3-4B", 2560, 9728, 36, 32, 8, true, 0, 0, 0},
                                      {"Qwen3-8B", 4096, 12288, 36, 32, 8, false, 0, 0, 0},
                                      {"Qwen3-14B", 5120, 17408, 40, 40, 8, false, 0, 0, 0},
                                      {"Qwen3-32B", 5120, 25600, 64, 64, 8, false, 0, 0, 0},
                                      {"Qwen3-30B-A3B", 2048, 0, 48, 32, 4, false, 128, 8, 768},
                                      {"Qwen3-235B-A22B", 4096, 0, 94, 64, 4, false, 128, 8, 1536}}};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return text;
}

}  // namespace

bool ModelShape::has_experts(std::int64_t layer) const {
  return experts > 0 && (layer + 1) % sparse_step == 0 && !std::ranges::binary_search(dense_layers, layer);
}

std::int64_t ModelShape::window_of(std::int64_t layer) const {
  const bool slides =
      sliding_layers ? std::ranges::binary_search(*sliding_layers, layer) : layer >= first_sliding_layer;
  return slides ? window : 0;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Row& row : kModels) names.emplace_back(row.name);
  return names;
}

ModelShape shape_of(const std::string& model) {
  std::string wanted = lower(model);
  if (wanted.starts_with("qwen/")) wanted.erase(0, 5);
  std::vector<std::string> candidates;
  for (const Row& row : kModels) {
    candidates.push_back(lower(row.name));
    if (candidates.back() != wanted) continue;
    return {.name = row.name,
            .source = fmt::format("huggingface.co/Qwen/{}/config.json", row.name),
            .hidden = row.hidden,
            .ffn = row.ffn,
            .layers = row.layers,
            .heads = row.heads,
            .kv_heads = row.kv_heads,
            .tied_embedding = row.tied_embedding,
            .experts = row.experts,
            .experts_per_token = row.experts_per_token,
            .expert_ffn = row.expert_ffn};
  }
  const std::string nearest = nearest_name(wanted, candidates);
  const auto found = std::ranges::find_if(kModels, [&](const Row& row) { return lower(row.name) == nearest; });
  input_error("unknown model '{}'; allowed: {}, or a config.json{}", excerpt(model), joined(model_names()),
              found == kModels.end() ? "" : fmt::format("; did you mean '{}'?", found->name));
}

}  // namespace oscsim
