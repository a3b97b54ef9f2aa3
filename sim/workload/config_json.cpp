// SPDX-License-Identifier: Apache-2.0
// Model shapes out of a Hugging Face config.json.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "models/base/error.h"
#include "models/base/text.h"
#include "sim/config/files.h"
#include "sim/workload/json_text.h"
#include "sim/workload/model_shape.h"

namespace oscsim {
namespace {

constexpr std::size_t kLargestConfig = std::size_t{1} << 24;  // bytes
constexpr std::int64_t kLargestSize = std::int64_t{1} << 30;  // of any one dimension; products stay in 63 bits

class ConfigReader {
 public:
  ConfigReader(std::string path, const nlohmann::json& json) : path_(std::move(path)), json_(json) {
    if (!json.is_object()) input_error("{}: expected an object, found {}", path_, json_kind(json));
  }

  // "qwen3" or "qwen3_moe", out of model_type, else out of architectures.
  std::string model_type() const {
    std::string found;
    if (const auto type = json_.find("model_type"); type != json_.end()) {
      if (!type->is_string()) wrong("model_type", "a text", *type);
      found = type->get<std::string>();
    } else if (const auto list = json_.find("architectures"); list != json_.end()) {
      if (!list->is_array() || list->size() != 1 || !list->front().is_string())
        wrong("architectures", "a list of one text", *list);
      found = list->front().get<std::string>();
    } else {
      input_error("{}: neither 'model_type' nor 'architectures' is there", path_);
    }
    if (found == "qwen3" || found == "Qwen3ForCausalLM") return "qwen3";
    if (found == "qwen3_moe" || found == "Qwen3MoeForCausalLM") return "qwen3_moe";
    input_error(
        "{}: architecture '{}' is not supported; allowed: qwen3 (Qwen3ForCausalLM), qwen3_moe "
        "(Qwen3MoeForCausalLM)",
        path_, excerpt(found));
  }

  // `absent` also for null.
  std::int64_t size(const char* key, std::int64_t absent, std::int64_t least = 1) const {
    const nlohmann::json* value = find(key);
    return value == nullptr ? absent : checked(key, *value, least);
  }

  // Written, and not null.
  bool has(const char* key) const { return find(key) != nullptr; }
  bool is_null(const char* key) const { return json_.contains(key) && json_[key].is_null(); }

  bool flag(const char* key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) wrong(key, "true or false", *value);
    return value->get<bool>();
  }

  // Those of a list that are layers of the model, in order; the others are no layer's.
  std::vector<std::int64_t> layers(const char* key, std::int64_t count) const {
    std::vector<std::int64_t> list;
    const nlohmann::json* value = find(key);
    if (value == nullptr) return list;
    if (!value->is_array()) wrong(key, "a list of integers", *value);
    for (const auto& item : *value) {
      if (!item.is_number_integer()) wrong(key, "a list of integers", item);
      if (item.is_number_unsigned() && item.get<std::uint64_t>() < static_cast<std::uint64_t>(count))
        list.push_back(item.get<std::int64_t>());
    }
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return list;
  }

  // Layers that `layer_types` says have the window; nothing when it is not there.
  std::optional<std::vector<std::int64_t>> sliding_layers(std::int64_t count) const {
    constexpr const char* kKey = "layer_types";
    const nlohmann::json* value = find(kKey);
    if (value == nullptr) return std::nullopt;
    if (!value->is_array()) wrong(kKey, "a list of texts", *value);
    if (std::ssize(*value) != count)
      input_error("{}: '{}' has {} entries for {} layers", path_, kKey, value->size(), count);
    std::vector<std::int64_t> list;
    for (std::size_t layer = 0; layer < value->size(); ++layer) {
      const nlohmann::json& type = (*value)[layer];
      if (type == "sliding_attention")
        list.push_back(static_cast<std::int64_t>(layer));
      else if (type != "full_attention")
        input_error("{}: '{}' has {} for layer {}; allowed: full_attention, sliding_attention", path_, kKey,
                    json_kind(type), layer);
    }
    return list;
  }

 private:
  const nlohmann::json* find(const char* key) const {
    const auto value = json_.find(key);
    return value == json_.end() || value->is_null() ? nullptr : &*value;
  }

  [[noreturn]] void wrong(const char* key, const std::string& expected, const nlohmann::json& found) const {
    input_error("{}: '{}' must be {}, found {}", path_, key, expected, json_kind(found));
  }

  std::int64_t checked(const char* key, const nlohmann::json& value, std::int64_t least) const {
    const bool is_large_enough =
        value.is_number_unsigned() && value.get<std::uint64_t>() >= static_cast<std::uint64_t>(least);
    if (!is_large_enough || value.get<std::uint64_t>() > static_cast<std::uint64_t>(kLargestSize))
      wrong(key, fmt::format("an integer from {} to {}", least, kLargestSize), value);
    return value.get<std::int64_t>();
  }

  std::string path_;
  const nlohmann::json& json_;
};

// What a configuration class takes for a key that the file does not have: files that transformers writes leave out what
// equals it. Source: Qwen3Config and Qwen3MoeConfig of huggingface.co/docs/transformers, version 5.
struct Defaults {
  std::int64_t hidden, ffn, layers, heads, kv_heads;
};
constexpr Defaults kDense{.hidden = 4096, .ffn = 22016, .layers = 32, .heads = 32, .kv_heads = 32};
constexpr Defaults kMoe{.hidden = 2048, .ffn = 6144, .layers = 24, .heads = 32, .kv_heads = 4};
constexpr std::int64_t kVocabulary = 151936, kDenseHeadDim = 128, kWindow = 4096, kMaxWindowLayers = 28;
constexpr std::int64_t kExperts = 128, kExpertsPerToken = 8, kExpertFfn = 768;

// "Qwen3-8B" for models/Qwen3-8B/config.json.
std::string name_from(const std::string& path) {
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  if (absolute.filename() == "config.json" && !absolute.parent_path().filename().empty())
    return absolute.parent_path().filename().string();
  return absolute.stem().string();
}

void read_heads(const ConfigReader& reader, const std::string& path, bool is_moe, ModelShape& shape) {
  const Defaults& defaults = is_moe ? kMoe : kDense;
  shape.heads = reader.size("num_attention_heads", defaults.heads);
  shape.kv_heads =
      reader.size("num_key_value_heads", reader.is_null("num_key_value_heads") ? shape.heads : defaults.kv_heads);
  if (shape.heads % shape.kv_heads != 0)
    input_error("{}: num_attention_heads = {} is no multiple of num_key_value_heads = {}", path, shape.heads,
                shape.kv_heads);
  // The class of models with experts has no default: their attention then divides.
  const bool divides = is_moe && !reader.has("head_dim");
  if (divides && shape.hidden % shape.heads != 0)
    input_error("{}: without 'head_dim', hidden_size = {} must be a multiple of num_attention_heads = {}", path,
                shape.hidden, shape.heads);
  shape.head_dim =
      reader.size("head_dim", is_moe ? std::max<std::int64_t>(1, shape.hidden / shape.heads) : kDenseHeadDim);
}

// Models with experts: transformers 4.51 to 4.5x skip the layers before max_window_layers, version 5 has no such key
// and gives every layer the window. A file that has the key means it.
void read_window(const ConfigReader& reader, bool is_moe, ModelShape& shape) {
  if (!reader.flag("use_sliding_window") || reader.is_null("sliding_window")) return;
  shape.window = reader.size("sliding_window", kWindow);
  shape.sliding_layers = reader.sliding_layers(shape.layers);
  shape.first_sliding_layer = reader.size("max_window_layers", is_moe ? 0 : kMaxWindowLayers, 0);
}

void read_experts(const ConfigReader& reader, const std::string& path, ModelShape& shape) {
  // Version 5 calls the attribute num_local_experts, and takes it when a file has both.
  const char* key = reader.has("num_local_experts") ? "num_local_experts" : "num_experts";
  shape.experts = reader.size(key, kExperts, 0);
  if (shape.experts == 0) return;
  shape.experts_per_token = reader.size("num_experts_per_tok", kExpertsPerToken);
  shape.expert_ffn = reader.size("moe_intermediate_size", kExpertFfn);
  shape.sparse_step = reader.size("decoder_sparse_step", 1);
  shape.dense_layers = reader.layers("mlp_only_layers", shape.layers);
  if (shape.experts_per_token > shape.experts)
    input_error("{}: num_experts_per_tok = {} of {} = {}", path, shape.experts_per_token, key, shape.experts);
}

}  // namespace

ModelShape read_config_json(const std::string& path) {
  return read_config_json(path, config::read_file(path, kLargestConfig));
}

ModelShape read_config_json(const std::string& path, std::string_view text) {
  const nlohmann::json json = parse_python_json(text, path);
  const ConfigReader reader(path, json);
  const bool is_moe = reader.model_type() == "qwen3_moe";
  const Defaults& defaults = is_moe ? kMoe : kDense;
  ModelShape shape;
  shape.name = name_from(path);
  shape.source = path;
  shape.hidden = reader.size("hidden_size", defaults.hidden);
  shape.layers = reader.size("num_hidden_layers", defaults.layers);
  shape.vocabulary = reader.size("vocab_size", kVocabulary);
  shape.tied_embedding = reader.flag("tie_word_embeddings");
  read_heads(reader, path, is_moe, shape);
  read_window(reader, is_moe, shape);
  if (is_moe) read_experts(reader, path, shape);
  const bool has_dense = shape.experts == 0 || shape.sparse_step > 1 || !shape.dense_layers.empty();
  if (has_dense) shape.ffn = reader.size("intermediate_size", defaults.ffn);
  return shape;
}

}  // namespace oscsim
