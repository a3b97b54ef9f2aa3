// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/checkpoint.h"

#include <filesystem>
#include <set>

#include "models/base/error.h"
#include "sim/config/files.h"
#include "sim/config/open_files.h"

namespace oscsim {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexEnding = ".safetensors.index.json";
constexpr std::string_view kWholeName = "model.safetensors";

}  // namespace

std::string tensor_file(const std::string& argument) {
  std::error_code error;
  if (!fs::is_directory(argument, error)) return argument;
  for (const std::string_view name : {kIndexName, kWholeName})
    if (const fs::path path = fs::path(argument) / name; fs::exists(path, error)) return path.string();
  input_error("{}: a folder without {} or {}; allowed: FILE.safetensors, the folder of a checkpoint, or its index",
              argument, kIndexName, kWholeName);
}

bool is_checkpoint_index(const std::string& path) {
  return path.ends_with(kIndexEnding);
}

ShardedCheckpoint::ShardedCheckpoint(const std::string& index)
    : index_(index), weight_map_(read_weight_map(index, config::read_file(index, kLargestHeader))) {
  // Also those of which no tensor is used: what is written must not replace a part of the checkpoint.
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map_) shards.insert(shard);
  for (const std::string& shard : shards) config::note_input(fs::path(index_).parent_path() / shard);
}

TensorPlace ShardedCheckpoint::find(const std::string& name) const {
  const std::string& shard = weight_map_.at(name);
  const fs::path path = fs::path(index_).parent_path() / shard;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const SafetensorsFile>& file = shards_[shard];
  if (std::error_code error; !file && !fs::exists(path, error))
    input_error("{}: there is no such shard; {} says that tensor '{}' is in it", path.string(), index_, name);
  if (!file) file = std::make_shared<const SafetensorsFile>(path.string());
  const auto found = file->tensors().find(name);
  if (found != file->tensors().end()) return {file, &found->second};
  std::vector<std::string> names;
  for (const auto& [candidate, entry] : file->tensors()) names.push_back(candidate);
  input_error("{}: no tensor '{}'{}\n  {} says that it is there", path.string(), name, did_you_mean(name, names),
              index_);
}

}  // namespace oscsim
