// SPDX-License-Identifier: Apache-2.0
// Shapes of Qwen3 models. Source: config.json of the models at huggingface.co/Qwen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim {

struct ModelShape {
  std::string name;
  std::string source;
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;  // of a dense layer
  std::int64_t layers = 0;
  std::int64_t heads = 0;     // of the queries
  std::int64_t kv_heads = 0;  // of keys and values
  std::int64_t head_dim = 128;
  std::int64_t vocabulary = 151936;
  bool tied_embedding = false;
  std::int64_t experts = 0;  // 0: dense
  std::int64_t experts_per_token = 0;
  std::int64_t expert_ffn = 0;
  std::int64_t sparse_step = 1;              // layer l has experts when (l + 1) % sparse_step == 0 ...
  std::vector<std::int64_t> dense_layers{};  // ... and it is not listed here; ascending
  std::int64_t window = 0;                   // of sliding attention, in keys; 0: none
  // The layers that have the window: these, ascending, else all from the first one on.
  std::optional<std::vector<std::int64_t>> sliding_layers{};
  std::int64_t first_sliding_layer = 0;

  std::int64_t q_dim() const { return heads * head_dim; }
  std::int64_t kv_dim() const { return kv_heads * head_dim; }
  bool has_experts(std::int64_t layer) const;
  std::int64_t window_of(std::int64_t layer) const;  // 0: none
};

std::vector<std::string> model_names();

// By name, in any case, with or without "Qwen/" in front. InputError with the nearest name.
ModelShape shape_of(const std::string& model);

// From a Hugging Face config.json of Qwen3ForCausalLM or Qwen3MoeForCausalLM, as transformers reads it: what is not
// written has the default of its configuration class.
ModelShape read_config_json(const std::string& path);
ModelShape read_config_json(const std::string& path, std::string_view text);  // of that content

}  // namespace oscsim
