// SPDX-License-Identifier: Apache-2.0
// Model shapes out of a Hugging Face config.json.
#include <filesystem>
#include <optional>

#include "models/base/error.h"
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
        path_, found);
  }

  std::int64_t size(const char* key, std::optional<std::int64_t> absent = {}) const {
    const auto value = json_.find(key);
    if (value == json_.end() || (value->is_null() && absent)) {
      if (!absent) input_error("{}: missing key '{}'", path_, key);
      return *absent;
    }
    return checked(key, *value, 1);
  }

  bool flag(const char* key) const {
    const auto value = json_.find(key);
    if (value == json_.end()) return false;
    if (!value->is_boolean()) wrong(key, "true or false", *value);
    return value->get<bool>();
  }

  std::vector<std::int64_t> indices(const char* key, std::int64_t count) const {
    std::vector<std::int64_t> list;
    const auto value = json_.find(key);
    if (value == json_.end() || value->is_null()) return list;
    if (!value->is_array()) wrong(key, "a list of integers", *value);
    for (const auto& item : *value) {
      list.push_back(checked(key, item, 0));
      if (list.back() >= count)
        input_error("{}: '{}' holds layer {}, the model has {}", path_, key, list.back(), count);
    }
    return list;
  }

 private:
  [[noreturn]] void wrong(const char* key, const std::string& expected, const nlohmann::json& found) const {
    input_error("{}: '{}' must be {}, found {}", path_, key, expected, json_kind(found));
  }

  std::int64_t checked(const char* key, const nlohmann::json& value, std::int64_t least) const {
    const bool is_positive =
        value.is_number_unsigned() && value.get<std::uint64_t>() >= static_cast<std::uint64_t>(least);
    if (!is_positive || value.get<std::uint64_t>() > static_cast<std::uint64_t>(kLargestSize))
      wrong(key, fmt::format("an integer from {} to {}", least, kLargestSize), value);
    return value.get<std::int64_t>();
  }

  std::string path_;
  const nlohmann::json& json_;
};

// "Qwen3-8B" for models/Qwen3-8B/config.json.
std::string name_from(const std::string& path) {
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  if (absolute.filename() == "config.json" && !absolute.parent_path().filename().empty())
    return absolute.parent_path().filename().string();
  return absolute.stem().string();
}

}  // namespace

ModelShape read_config_json(const std::string& path) {
  const nlohmann::json json = parse_json(config::read_file(path, kLargestConfig), path);
  const ConfigReader reader(path, json);
  ModelShape shape;
  const bool is_moe = reader.model_type() == "qwen3_moe";
  shape.name = name_from(path);
  shape.source = path;
  shape.hidden = reader.size("hidden_size");
  shape.layers = reader.size("num_hidden_layers");
  shape.heads = reader.size("num_attention_heads");
  shape.kv_heads = reader.size("num_key_value_heads", shape.heads);
  if (shape.heads % shape.kv_heads != 0)
    input_error("{}: num_attention_heads = {} is no multiple of num_key_value_heads = {}", path, shape.heads,
                shape.kv_heads);
  if (!json.contains("head_dim") && shape.hidden % shape.heads != 0)
    input_error("{}: without 'head_dim', hidden_size = {} must be a multiple of num_attention_heads = {}", path,
                shape.hidden, shape.heads);
  shape.head_dim = reader.size("head_dim", std::max<std::int64_t>(1, shape.hidden / shape.heads));
  shape.vocabulary = reader.size("vocab_size");
  shape.tied_embedding = reader.flag("tie_word_embeddings");
  if (is_moe) {
    shape.experts = reader.size("num_experts");
    shape.experts_per_token = reader.size("num_experts_per_tok");
    shape.expert_ffn = reader.size("moe_intermediate_size");
    shape.sparse_step = reader.size("decoder_sparse_step", 1);
    shape.dense_layers = reader.indices("mlp_only_layers", shape.layers);
    if (shape.experts_per_token > shape.experts)
      input_error("{}: num_experts_per_tok = {} of num_experts = {}", path, shape.experts_per_token, shape.experts);
  }
  const bool has_dense = !is_moe || shape.sparse_step > 1 || !shape.dense_layers.empty();
  if (has_dense) shape.ffn = reader.size("intermediate_size");
  return shape;
}

}  // namespace oscsim
