// SPDX-License-Identifier: Apache-2.0
// Hugging Face checkpoints in shards, read where they lie: model.safetensors.index.json says which file beside it holds
// which tensor; a shard is opened (mapped) when a tensor of it is first asked for.
#pragma once

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

// What `--tensors ARGUMENT` names: a file as it is; of a folder its index, or model.safetensors where there is none.
std::string tensor_file(const std::string& argument);
bool is_checkpoint_index(const std::string& path);

// A tensor of a mapped file.
struct TensorPlace {
  std::shared_ptr<const SafetensorsFile> file;
  const SafetensorsEntry* entry = nullptr;
};

class ShardedCheckpoint {
 public:
  explicit ShardedCheckpoint(const std::string& index);

  const std::string& index() const { return index_; }
  const std::map<std::string, std::string>& weight_map() const { return weight_map_; }
  // `name` is one of the weight map's. InputError for a shard that is missing or broken, or lacks the tensor.
  TensorPlace find(const std::string& name) const;

 private:
  std::string index_;
  std::map<std::string, std::string> weight_map_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards_;  // those opened so far
};

}  // namespace oscsim
