// SPDX-License-Identifier: Apache-2.0
// Where the tensors of a run come from: mapped safetensors files, or the synthetic generator.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/numerics/matrix.h"
#include "models/numerics/quantise.h"
#include "models/schemes/channel_table.h"
#include "models/schemes/position.h"
#include "sim/workload/synthetic_params.h"

namespace oscsim {

// A loaded matrix and whatever keeps its memory alive.
struct Tensor {
  numerics::MatrixView view;
  std::shared_ptr<const void> owner;
};

// A weight; of a quantised checkpoint the view has the values that its codes and scales stand for, in FP32.
struct Weight : Tensor {
  std::string layout;                                       // "NVFP4"; empty: not quantised
  std::shared_ptr<const numerics::QuantisedMatrix> stored;  // codes and scales as they are; none: no format holds them
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // W [n, k] under a parameter's name, or what a checkpoint has in its place (stored_weight.h); X [rows, k] under an
  // activation's name. InputError for a missing tensor (with the nearest name), a wrong shape or dtype, and, unless
  // non-finite values are allowed, for a NaN or Inf (with position).
  virtual Weight weight(const std::string& name, std::int64_t n, std::int64_t k) const = 0;
  virtual Tensor activation(const std::string& name, Position position, std::int64_t rows, std::int64_t k) const = 0;
  // A parameter with one dimension, as a row; InputError as above.
  virtual Tensor vector(const std::string& name, std::int64_t size) const = 0;
  // InputError as above when the tensor is missing or has a wrong shape or dtype; reads no values.
  virtual void require(const std::string& name, std::int64_t rows, std::int64_t cols) const = 0;
  // "synthetic, seed 1" or the files' names.
  virtual std::string description() const = 0;
  // (file, SHA-256 of its bytes) for provenance; empty for synthetic tensors.
  virtual std::vector<std::pair<std::string, std::string>> hashes() const = 0;
};

// BF16 tensors, a pure function of (seed, tensor name, statistics): no order, no thread count enters.
std::unique_ptr<TensorSource> synthetic_tensors(const SyntheticParams& params, std::uint64_t seed);

// The outlier channels that the generator plants in an activation, as a table for groups of `group`: what calibration
// finds, without generating the tensor. For timing-only runs.
ChannelTable planted_channels(const SyntheticParams& params, std::uint64_t seed, const std::string& activation,
                              Position position, std::int64_t k, std::int64_t group);

struct SafetensorsOptions {
  bool allow_nonfinite = false;
};
std::unique_ptr<TensorSource> safetensors_tensors(const std::vector<std::string>& files,
                                                  const SafetensorsOptions& options);

// The m rows of an activation of `rows` rows that a GEMM (an expert) reads: a seeded choice, ascending.
std::vector<std::int64_t> dispatched_rows(std::uint64_t seed, const std::string& gemm, std::int64_t rows,
                                          std::int64_t m);

}  // namespace oscsim
