// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/tensor_set.h"

#include <filesystem>

#include "models/base/error.h"
#include "sim/workload/sha256.h"
#include "sim/workload/tensor_names.h"

namespace oscsim {

TensorSet::TensorSet(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    const std::string path = tensor_file(argument);
    paths_.push_back(path);
    if (is_checkpoint(path)) {
      checkpoints_.push_back(std::make_unique<const ShardedCheckpoint>(path));
      for (const auto& [name, shard] : checkpoints_.back()->weight_map())
        add(name, {.path = path, .checkpoint = checkpoints_.back().get(), .shard = shard, .place = {}});
      continue;
    }
    files_.push_back(std::make_shared<const SafetensorsFile>(path));
    for (const auto& [name, entry] : files_.back()->tensors())
      add(name, {.path = path, .checkpoint = nullptr, .shard = {}, .place = {files_.back(), &entry, name}});
  }
}

void TensorSet::add(const std::string& name, Source source) const {
  const std::string path = source.path;
  const auto [place, is_new] = tensors_.try_emplace(name, std::move(source));
  if (!is_new)
    input_error("{}: tensor '{}' is also in {}; every name may be there once", path, name, place->second.path);
}

void TensorSet::add_unlisted() const {
  if (has_unlisted_) return;
  has_unlisted_ = true;
  for (const auto& checkpoint : checkpoints_) {
    if (!checkpoint->has_index()) continue;
    for (const auto& [name, shard] : checkpoint->unlisted())
      add(name, {.path = checkpoint->path(), .checkpoint = checkpoint.get(), .shard = shard, .place = {}});
  }
}

std::vector<std::string> TensorSet::names() const {
  const std::lock_guard lock(mutex_);
  add_unlisted();
  std::vector<std::string> names;
  for (const auto& [name, source] : tensors_) names.push_back(name);
  return names;
}

std::optional<TensorPlace> TensorSet::find_listed(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    for (const std::string& spelling : spellings(name)) {
      const auto other = tensors_.find(spelling);
      if (other == tensors_.end()) continue;
      if (found != tensors_.end())
        input_error("{}: '{}' may be '{}' or '{}': a trace that names one of them as its weight decides",
                    other->second.path, name, found->first, other->first);
      found = other;
    }
  }
  if (found == tensors_.end()) return std::nullopt;
  Source& source = found->second;
  if (source.checkpoint) {
    if (!source.place.file) source.place = source.checkpoint->find(found->first, source.shard);
    used_.insert(found->first);
  }
  return source.place;
}

std::optional<TensorPlace> TensorSet::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = find_listed(name)) return found;
  add_unlisted();
  return find_listed(name);
}

void TensorSet::refuse_missing(const std::string& name) const {
  input_error("{}: no tensor '{}'{}", joined(paths_), name, did_you_mean(name, names()));
}

std::vector<std::pair<std::string, std::string>> TensorSet::hashes() const {
  std::vector<std::pair<std::string, std::string>> list;
  std::error_code error;
  for (const std::string& path : paths_)
    if (!std::filesystem::is_directory(path, error)) list.emplace_back(path, sha256_of_file(path));
  const std::lock_guard lock(mutex_);
  for (const std::string& name : used_) {
    const TensorPlace& place = tensors_.at(name).place;
    const std::span<const std::byte> bytes = place.file->bytes(*place.entry);
    list.emplace_back(fmt::format("{}:{}", place.file->path(), name), sha256(bytes));
    place.file->release(bytes);
  }
  return list;
}

}  // namespace oscsim
