// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "models/numerics/gemm.h"
#include "sim/run/result.h"

namespace oscsim {

// Of a GEMM with too many multiply-accumulates to compare every row (row_sample.h), at least so many rows are compared.
inline constexpr std::int64_t kLeastAccuracyRows = 256;

// The FP32 product of the unquantised operands in some rows of the output.
struct ExactRows {
  std::vector<std::int64_t> rows;  // of the output, ascending
  numerics::Matrix values;         // [rows.size(), n]
};

// X [m, k], W [n, k].
ExactRows exact_rows(numerics::MatrixView x, numerics::MatrixView w, std::vector<std::int64_t> rows,
                     numerics::Kernel kernel);

numerics::Matrix as_fp32(numerics::MatrixView view);

// Of every row of two FP32 matrices of one shape.
ErrorSums compared(const numerics::Matrix& output, const numerics::Matrix& exact);

// Compares the rows of an FP32 output [m, n] with theirs. Sums are in double, by rows in a fixed order, so that the
// figures do not depend on threads. A NaN or an infinity in a row without an exact one makes all figures NaN.
Accuracy measure_accuracy(const numerics::Matrix& output, const ExactRows& exact);

}  // namespace oscsim
