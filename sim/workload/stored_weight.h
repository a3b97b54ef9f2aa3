// SPDX-License-Identifier: Apache-2.0
// How a checkpoint holds a weight [n, k]: as a matrix, as one expert of a stack, or quantised, as codes and scales
// under several names. sim/workload/README.md lists the layouts.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "models/numerics/quantise.h"
#include "sim/workload/matrix_file.h"
#include "sim/workload/tensor_set.h"

namespace oscsim {

// Rows and columns of a block with one scale: weight_block_size of DeepSeek-V3 and its like, in compressed-tensors too.
inline constexpr std::int64_t kFp8Block = 128;

// Rows of a weight in a larger tensor: row r of the weight is row first + r * step there.
struct StoredRows {
  std::int64_t first = 0, step = 1;
};

struct StoredWeight {
  std::string what;            // file and tensor, for messages
  MatrixShape shape;           // of the weight
  TensorPlace place;           // of its elements or codes
  StoredRows rows;             // in units of k elements
  bool is_transposed = false;  // the tensor holds [k, columns] for each expert: `columns`, and `rows` count there
  std::int64_t begin = 0, columns = 0;

  // Of quantised weights.
  std::string layout;                        // "NVFP4", "FP8 with a scale for each block of 128 x 128"; empty: none
  std::optional<numerics::FormatId> format;  // of ours that holds codes and scales as they are; none: no format does
  std::optional<TensorPlace> scale, outer_scale;
  bool divides = false;  // by the outer scale

  bool is_quantised() const { return !layout.empty(); }
};

// The weight of that name; the shape is checked where one is expected. Nothing when there is none. InputError for a
// layout that is not read, tensors that do not fit each other, and another shape.
std::optional<StoredWeight> find_stored_weight(const TensorSet& tensors, const std::string& name,
                                               std::optional<MatrixShape> expected);

// Unquantised: the elements, copied only where they do not lie row by row.
Tensor load_plain(const StoredWeight& weight);
// With a format: codes and scales, byte by byte; the FP32 scale of a tensor that divides is inverted, one FP32
// rounding.
numerics::QuantisedMatrix load_quantised(const StoredWeight& weight);
// Without one: each code times its block's scale, one FP32 rounding.
numerics::Matrix load_decoded(const StoredWeight& weight);

// All values, FP32.
numerics::Matrix decoded(const numerics::QuantisedMatrix& matrix);

// The same numbers in another format: FP8 with one scale as FP8 with a scale for each row, NVFP4 without an FP32 scale
// as NVFP4 with one of 1. Nothing when `format` cannot hold them as they are.
std::optional<numerics::QuantisedMatrix> as_format(const numerics::QuantisedMatrix& matrix, numerics::FormatId format);

}  // namespace oscsim
