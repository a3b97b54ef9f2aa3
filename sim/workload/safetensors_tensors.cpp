// SPDX-License-Identifier: Apache-2.0
// Tensors of a run out of safetensors files and checkpoints in shards.
#include <map>
#include <mutex>
#include <set>

#include "models/base/error.h"
#include "sim/workload/checkpoint.h"
#include "sim/workload/matrix_file.h"
#include "sim/workload/sha256.h"
#include "sim/workload/tensors.h"

namespace oscsim {
namespace {

class SafetensorsTensors : public TensorSource {
 public:
  SafetensorsTensors(const std::vector<std::string>& arguments, const SafetensorsOptions& options) : options_(options) {
    for (const std::string& argument : arguments) {
      const std::string path = tensor_file(argument);
      paths_.push_back(path);
      if (is_checkpoint_index(path)) {
        checkpoints_.push_back(std::make_unique<const ShardedCheckpoint>(path));
        for (const auto& [name, shard] : checkpoints_.back()->weight_map())
          add(name, {.path = path, .checkpoint = checkpoints_.back().get(), .place = {}});
        continue;
      }
      files_.push_back(std::make_shared<const SafetensorsFile>(path));
      for (const auto& [name, entry] : files_.back()->tensors())
        add(name, {.path = path, .checkpoint = nullptr, .place = {files_.back(), &entry}});
    }
  }

  Tensor weight(const std::string& name, std::int64_t n, std::int64_t k) const override { return load(name, n, k); }
  Tensor activation(const std::string& name, Position, std::int64_t rows, std::int64_t k) const override {
    return load(name, rows, k);
  }
  Tensor vector(const std::string& name, std::int64_t size) const override {
    const auto& [file, entry] = located(name, std::vector<std::int64_t>{size});
    const numerics::MatrixView view(file->bytes(*entry).data(), *matrix_dtype(*entry->dtype), 1, size);
    if (!options_.allow_nonfinite) check_finite(name, file->path(), view);
    return {view, file};
  }
  void require(const std::string& name, std::int64_t rows, std::int64_t cols) const override {
    located(name, {rows, cols});
  }
  std::string description() const override { return "tensors of " + joined(paths_); }

  // Files are hashed whole; of a checkpoint in shards the index, and of the shards only the tensors that are used.
  std::vector<std::pair<std::string, std::string>> hashes() const override {
    std::vector<std::pair<std::string, std::string>> list;
    for (const std::string& path : paths_) list.emplace_back(path, sha256_of_file(path));
    const std::lock_guard lock(mutex_);
    for (const std::string& name : used_) {
      const auto& [file, entry] = tensors_.at(name).place;
      const std::span<const std::byte> bytes = file->bytes(*entry);
      list.emplace_back(fmt::format("{}:{}", file->path(), name), sha256(bytes));
      file->release(bytes);
    }
    return list;
  }

 private:
  struct Located {
    std::string path;                               // that the command line names
    const ShardedCheckpoint* checkpoint = nullptr;  // that opens the tensor's shard
    TensorPlace place;                              // empty: not yet opened
  };

  void add(const std::string& name, Located located) {
    const std::string path = located.path;
    const auto [place, is_new] = tensors_.try_emplace(name, std::move(located));
    if (!is_new)
      input_error("{}: tensor '{}' is also in {}; every name may be there once", path, name, place->second.path);
  }

  // Opens the shard of a checkpoint's tensor.
  TensorPlace find(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      std::vector<std::string> names;
      for (const auto& [candidate, place] : tensors_) names.push_back(candidate);
      input_error("{}: no tensor '{}'{}", joined(paths_), name, did_you_mean(name, names));
    }
    const std::lock_guard lock(mutex_);
    Located& located = found->second;
    if (located.checkpoint && !located.place.file) {
      located.place = located.checkpoint->find(name);
      used_.insert(name);
    }
    return located.place;
  }

  TensorPlace located(const std::string& name, const std::vector<std::int64_t>& expected) const {
    const TensorPlace place = find(name);
    const auto& [file, entry] = place;
    if (entry->shape != expected)
      input_error("{}: tensor '{}' has shape {}, expected {}", file->path(), name, shape_text(entry->shape),
                  shape_text(expected));
    if (!matrix_dtype(*entry->dtype))
      input_error("{}: tensor '{}' has dtype {}; allowed: BF16, F16, F32", file->path(), name, entry->dtype->name);
    return place;
  }

  Tensor load(const std::string& name, std::int64_t rows, std::int64_t cols) const {
    const auto& [file, entry] = located(name, {rows, cols});
    const Tensor tensor = tensor_in(file, *entry);
    if (!options_.allow_nonfinite) check_finite(name, file->path(), tensor.view);
    return tensor;
  }

  // Once for each tensor: it reads every byte.
  void check_finite(const std::string& name, const std::string& path, numerics::MatrixView view) const {
    {
      const std::lock_guard lock(mutex_);
      if (finite_.contains(name)) return;
    }
    require_finite(fmt::format("{}: tensor '{}'", path, name), view);
    const std::lock_guard lock(mutex_);
    finite_.insert(name);
  }

  SafetensorsOptions options_;
  std::vector<std::string> paths_;  // as given, folders resolved
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::vector<std::unique_ptr<const ShardedCheckpoint>> checkpoints_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Located> tensors_;
  mutable std::set<std::string> used_;  // of checkpoints
  mutable std::set<std::string> finite_;
};

}  // namespace

std::unique_ptr<TensorSource> safetensors_tensors(const std::vector<std::string>& files,
                                                  const SafetensorsOptions& options) {
  return std::make_unique<SafetensorsTensors>(files, options);
}

}  // namespace oscsim
