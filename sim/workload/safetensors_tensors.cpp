// SPDX-License-Identifier: Apache-2.0
// Tensors of a run out of safetensors files and checkpoints.
#include <mutex>
#include <set>

#include "models/base/error.h"
#include "sim/workload/matrix_file.h"
#include "sim/workload/stored_weight.h"
#include "sim/workload/tensor_set.h"
#include "sim/workload/tensors.h"

namespace oscsim {
namespace {

class SafetensorsTensors : public TensorSource {
 public:
  SafetensorsTensors(const std::vector<std::string>& arguments, const SafetensorsOptions& options)
      : options_(options), tensors_(arguments) {}

  Weight weight(const std::string& name, std::int64_t n, std::int64_t k) const override {
    const StoredWeight stored = located(name, n, k);
    Weight weight;
    weight.layout = stored.layout;
    if (stored.format) weight.stored = std::make_shared<const numerics::QuantisedMatrix>(load_quantised(stored));
    if (stored.is_quantised()) {
      const auto values =
          std::make_shared<const numerics::Matrix>(weight.stored ? decoded(*weight.stored) : load_decoded(stored));
      weight.view = values->view();
      weight.owner = values;
    } else {
      static_cast<Tensor&>(weight) = load_plain(stored);
    }
    if (!options_.allow_nonfinite) check_finite(name, stored.what, weight.view);
    return weight;
  }
  Tensor activation(const std::string& name, Position, std::int64_t rows, std::int64_t k) const override {
    const StoredWeight stored = located(name, rows, k);
    if (stored.is_quantised()) input_error("{} is quantised; activations are BF16, F16 or F32", stored.what);
    const Tensor tensor = load_plain(stored);
    if (!options_.allow_nonfinite) check_finite(name, stored.what, tensor.view);
    return tensor;
  }
  Tensor vector(const std::string& name, std::int64_t size) const override {
    const auto place = tensors_.find(name);
    if (!place) tensors_.refuse_missing(name);
    const std::string what = fmt::format("{}: tensor '{}'", place->file->path(), place->name);
    const SafetensorsEntry& entry = *place->entry;
    if (entry.shape != std::vector<std::int64_t>{size})
      input_error("{} has shape {}, expected [{}]", what, shape_text(entry.shape), size);
    const auto dtype = matrix_dtype(*entry.dtype);
    if (!dtype) input_error("{} has dtype {}; allowed: BF16, F16, F32", what, entry.dtype->name);
    const numerics::MatrixView view(place->file->bytes(entry).data(), *dtype, 1, size);
    if (!options_.allow_nonfinite) check_finite(name, what, view);
    return {view, place->file};
  }
  void require(const std::string& name, std::int64_t rows, std::int64_t cols) const override {
    located(name, rows, cols);
  }
  std::string description() const override { return "tensors of " + joined(tensors_.paths()); }
  std::vector<std::pair<std::string, std::string>> hashes() const override { return tensors_.hashes(); }

 private:
  StoredWeight located(const std::string& name, std::int64_t rows, std::int64_t cols) const {
    const auto stored = find_stored_weight(tensors_, name, MatrixShape{rows, cols});
    if (!stored) tensors_.refuse_missing(name);
    return *stored;
  }

  // Once for each tensor: it reads every byte.
  void check_finite(const std::string& name, const std::string& what, numerics::MatrixView view) const {
    {
      const std::lock_guard lock(mutex_);
      if (finite_.contains(name)) return;
    }
    require_finite(what, view);
    const std::lock_guard lock(mutex_);
    finite_.insert(name);
  }

  SafetensorsOptions options_;
  TensorSet tensors_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> finite_;
};

}  // namespace

std::unique_ptr<TensorSource> safetensors_tensors(const std::vector<std::string>& files,
                                                  const SafetensorsOptions& options) {
  return std::make_unique<SafetensorsTensors>(files, options);
}

}  // namespace oscsim
