// SPDX-License-Identifier: Apache-2.0
// The tensors of several safetensors files and checkpoints by name, as one set.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/workload/checkpoint.h"

namespace oscsim {

class TensorSet {
 public:
  // Files, checkpoints' folders or indices. InputError for a name that two of them have.
  explicit TensorSet(const std::vector<std::string>& arguments);

  // As given, folders resolved.
  const std::vector<std::string>& paths() const { return paths_; }
  // All names, sorted; with what shards hold and their index leaves out.
  std::vector<std::string> names() const;

  // The tensor of that name or, where there is none, of another spelling of it (tensor_names.h); opens its shard.
  // InputError for a broken shard, and when several spellings are there.
  std::optional<TensorPlace> find(const std::string& name) const;
  // The same without looking into shards for what an index leaves out, which opens all of them.
  std::optional<TensorPlace> find_listed(const std::string& name) const;
  // InputError that names the nearest one.
  [[noreturn]] void refuse_missing(const std::string& name) const;

  // (file, SHA-256): files whole, the indices of checkpoints and, of their shards, the tensors that were found here.
  std::vector<std::pair<std::string, std::string>> hashes() const;

 private:
  struct Source {
    std::string path;                               // that the command line names
    const ShardedCheckpoint* checkpoint = nullptr;  // that opens the tensor's shard
    std::string shard;
    TensorPlace place;  // empty: not yet opened
  };

  void add(const std::string& name, Source source) const;
  void add_unlisted() const;

  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::vector<std::unique_ptr<const ShardedCheckpoint>> checkpoints_;
  mutable std::recursive_mutex mutex_;
  mutable std::map<std::string, Source> tensors_;
  mutable std::set<std::string> used_;  // of checkpoints
  mutable bool has_unlisted_ = false;   // add_unlisted() was called
};

}  // namespace oscsim
