// SPDX-License-Identifier: Apache-2.0
// Hugging Face checkpoints in shards, read where they lie: model.safetensors.index.json says which file beside it holds
// which tensor; a shard is opened (mapped) when a tensor of it is first asked for. Shards without an index
// (model-00001-of-00002.safetensors and so on) say it themselves: all of them are opened.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "sim/workload/safetensors.h"

namespace oscsim {

inline constexpr std::string_view kIndexName = "model.safetensors.index.json";

// Tensor -> name of its shard. `text` is the content of the index called `path`. InputError for JSON that is no index,
// and for a shard that is no plain name of a .safetensors file.
std::map<std::string, std::string> read_weight_map(const std::string& path, std::string_view text);

// What `--tensors ARGUMENT` names: a file as it is; of a folder its index, model.safetensors where there is none, or
// the folder itself where it holds numbered shards. InputError for a folder without any of them.
std::string tensor_file(const std::string& argument);
// The index of a checkpoint, or a folder of shards: what a ShardedCheckpoint reads.
bool is_checkpoint(const std::string& path);

// A tensor of a mapped file.
struct TensorPlace {
  std::shared_ptr<const SafetensorsFile> file;
  const SafetensorsEntry* entry = nullptr;
  std::string name{};  // in the file
};

class ShardedCheckpoint {
 public:
  // `path` is one that is_checkpoint() takes.
  explicit ShardedCheckpoint(const std::string& path);

  const std::string& path() const { return path_; }
  bool has_index() const { return has_index_; }
  // Tensor -> name of its shard.
  const std::map<std::string, std::string>& weight_map() const { return weight_map_; }
  // What the shards hold and the index leaves out. Opens every shard that can be read.
  std::map<std::string, std::string> unlisted() const;
  // `name` is in `shard`. InputError for a shard that is missing or broken, or lacks the tensor.
  TensorPlace find(const std::string& name, const std::string& shard) const;

 private:
  std::shared_ptr<const SafetensorsFile> open(const std::string& shard) const;

  std::string path_;
  bool has_index_;
  std::filesystem::path folder_;
  std::map<std::string, std::string> weight_map_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards_;  // those opened so far
};

}  // namespace oscsim
