// SPDX-License-Identifier: Apache-2.0
#include "models/base/error.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/json_text.h"
#include "sim/workload/safetensors.h"

namespace oscsim {
namespace {

// An index that names files of other folders is not one that a model came with.
bool is_plain_name(std::string_view name) {
  return name.size() > kSafetensors.size() && name.ends_with(kSafetensors) &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

}  // namespace

std::map<std::string, std::string> read_weight_map(const std::string& path, std::string_view text) {
  const nlohmann::json json = parse_json(text, path);
  if (!json.is_object()) input_error("{}: is {}; expected an object with weight_map", path, json_kind(json));
  const auto list = json.find("weight_map");
  if (list == json.end()) input_error("{}: no weight_map: not the index of a checkpoint in shards", path);
  if (!list->is_object()) input_error("{}: weight_map is {}; expected an object", path, json_kind(*list));
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : list->items()) {
    if (!shard.is_string() || !is_plain_name(shard.get_ref<const std::string&>()))
      input_error("{}: tensor '{}' is in {}; expected the name of a .safetensors file in the same folder", path, name,
                  json_kind(shard));
    shards.emplace(name, shard.get<std::string>());
  }
  if (shards.empty()) input_error("{}: weight_map is empty", path);
  return shards;
}

}  // namespace oscsim
