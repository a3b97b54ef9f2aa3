// SPDX-License-Identifier: Apache-2.0
// Tensors of a run out of safetensors files.
#include <map>
#include <mutex>
#include <set>

#include "models/base/error.h"
#include "sim/workload/matrix_file.h"
#include "sim/workload/sha256.h"
#include "sim/workload/tensors.h"

namespace oscsim {
namespace {

class SafetensorsTensors : public TensorSource {
 public:
  SafetensorsTensors(const std::vector<std::string>& paths, const SafetensorsOptions& options) : options_(options) {
    for (const std::string& path : paths) {
      const auto file = std::make_shared<const SafetensorsFile>(path);
      for (const auto& [name, entry] : file->tensors()) {
        const auto [place, is_new] = tensors_.try_emplace(name, Located{file, &entry});
        if (!is_new)
          input_error("{}: tensor '{}' is also in {}; every name may be there once", path, name,
                      place->second.file->path());
      }
      files_.push_back(file);
    }
  }

  Tensor weight(const std::string& name, std::int64_t n, std::int64_t k) const override { return load(name, n, k); }
  Tensor activation(const std::string& name, Position, std::int64_t rows, std::int64_t k) const override {
    return load(name, rows, k);
  }
  void require(const std::string& name, std::int64_t rows, std::int64_t cols) const override {
    located(name, rows, cols);
  }
  std::string description() const override { return "tensors of " + joined(file_names()); }

  std::vector<std::pair<std::string, std::string>> hashes() const override {
    std::vector<std::pair<std::string, std::string>> list;
    for (const auto& file : files_) list.emplace_back(file->path(), sha256_of_file(file->path()));
    return list;
  }

 private:
  struct Located {
    std::shared_ptr<const SafetensorsFile> file;
    const SafetensorsEntry* entry;
  };

  std::vector<std::string> file_names() const {
    std::vector<std::string> names;
    for (const auto& file : files_) names.push_back(file->path());
    return names;
  }

  const Located& find(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found != tensors_.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [candidate, place] : tensors_) names.push_back(candidate);
    input_error("{}: no tensor '{}'{}", joined(file_names()), name, did_you_mean(name, names));
  }

  const Located& located(const std::string& name, std::int64_t rows, std::int64_t cols) const {
    const Located& place = find(name);
    const auto& [file, entry] = place;
    const std::vector<std::int64_t> expected = {rows, cols};
    if (entry->shape != expected)
      input_error("{}: tensor '{}' has shape {}, expected {}", file->path(), name, shape_text(entry->shape),
                  shape_text(expected));
    if (!matrix_dtype(*entry->dtype))
      input_error("{}: tensor '{}' has dtype {}; allowed: BF16, F16, F32", file->path(), name, entry->dtype->name);
    return place;
  }

  Tensor load(const std::string& name, std::int64_t rows, std::int64_t cols) const {
    const auto& [file, entry] = located(name, rows, cols);
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
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, Located> tensors_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> finite_;
};

}  // namespace

std::unique_ptr<TensorSource> safetensors_tensors(const std::vector<std::string>& files,
                                                  const SafetensorsOptions& options) {
  return std::make_unique<SafetensorsTensors>(files, options);
}

}  // namespace oscsim
