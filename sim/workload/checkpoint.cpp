// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/checkpoint.h"

#include <re2/re2.h>

#include <filesystem>
#include <set>
#include <vector>

#include "models/base/error.h"
#include "sim/config/files.h"
#include "sim/config/open_files.h"

namespace oscsim {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexEnding = ".safetensors.index.json";
constexpr std::string_view kWholeName = "model.safetensors";

// Names of the files NAME-00001-of-00002.safetensors in a folder, sorted. InputError when they are of several
// checkpoints.
std::vector<std::string> numbered_shards(const fs::path& folder) {
  static const RE2 kNumbered(R"((.+)-[0-9]+-of-([0-9]+)\.safetensors)");
  std::set<std::string> names, checkpoints;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::string stem, count;
    if (!RE2::FullMatch(name, kNumbered, &stem, &count)) continue;
    names.insert(name);
    checkpoints.insert(fmt::format("{}-*-of-{}{}", stem, count, kSafetensors));
  }
  if (checkpoints.size() > 1)
    input_error("{}: shards of several checkpoints and no {}: {}", folder.string(), kIndexName,
                joined(std::vector<std::string>(checkpoints.begin(), checkpoints.end())));
  return {names.begin(), names.end()};
}

}  // namespace

std::string tensor_file(const std::string& argument) {
  std::error_code error;
  if (!fs::is_directory(argument, error)) return argument;
  for (const std::string_view name : {kIndexName, kWholeName})
    if (const fs::path path = fs::path(argument) / name; fs::exists(path, error)) return path.string();
  if (!numbered_shards(argument).empty()) return argument;
  input_error("{}: a folder without {} or {}; allowed: FILE.safetensors, the folder of a checkpoint, or its index",
              argument, kIndexName, kWholeName);
}

bool is_checkpoint(const std::string& path) {
  std::error_code error;
  return path.ends_with(kIndexEnding) || fs::is_directory(path, error);
}

ShardedCheckpoint::ShardedCheckpoint(const std::string& path)
    : path_(path),
      has_index_(path.ends_with(kIndexEnding)),
      folder_(has_index_ ? fs::path(path).parent_path() : fs::path(path)) {
  if (has_index_) {
    weight_map_ = read_weight_map(path, config::read_file(path, kLargestHeader));
    // Also those of which no tensor is used: what is written must not replace a part of the checkpoint.
    std::set<std::string> shards;
    for (const auto& [name, shard] : weight_map_) shards.insert(shard);
    for (const std::string& shard : shards) config::note_input(folder_ / shard);
    return;
  }
  for (const std::string& shard : numbered_shards(folder_))
    for (const auto& [name, entry] : open(shard)->tensors())
      if (const auto [first, is_new] = weight_map_.emplace(name, shard); !is_new)
        input_error("{}: tensor '{}' is also in {}; every name may be there once", (folder_ / shard).string(), name,
                    first->second);
}

std::shared_ptr<const SafetensorsFile> ShardedCheckpoint::open(const std::string& shard) const {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const SafetensorsFile>& file = shards_[shard];
  if (!file) file = std::make_shared<const SafetensorsFile>((folder_ / shard).string());
  return file;
}

std::map<std::string, std::string> ShardedCheckpoint::unlisted() const {
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map_) shards.insert(shard);
  std::map<std::string, std::string> found;
  for (const std::string& shard : shards) {
    try {
      for (const auto& [name, entry] : open(shard)->tensors())
        if (!weight_map_.contains(name)) found.emplace(name, shard);
    } catch (const InputError&) {
      // One that is missing or broken is refused when a tensor that is listed in it is asked for.
    }
  }
  return found;
}

TensorPlace ShardedCheckpoint::find(const std::string& name, const std::string& shard) const {
  const fs::path path = folder_ / shard;
  if (std::error_code error; !fs::exists(path, error))
    input_error("{}: there is no such shard; {} says that tensor '{}' is in it", path.string(), path_, name);
  const std::shared_ptr<const SafetensorsFile> file = open(shard);
  const auto found = file->tensors().find(name);
  if (found != file->tensors().end()) return {file, &found->second, name};
  std::vector<std::string> names;
  for (const auto& [candidate, entry] : file->tensors()) names.push_back(candidate);
  input_error("{}: no tensor '{}'{}\n  {} says that it is there", path.string(), name, did_you_mean(name, names),
              path_);
}

}  // namespace oscsim
