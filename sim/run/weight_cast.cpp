// SPDX-License-Identifier: Apache-2.0
#include "sim/run/weight_cast.h"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "sim/workload/stored_weight.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using numerics::MatrixView;
using numerics::QuantisedMatrix;

// Code 0 is zero in every format that a checkpoint's codes enter in.
void zero_code(QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const bool is_packed = numerics::format(matrix.format).element_bits == 4;
  std::uint8_t& code = matrix.codes[static_cast<std::size_t>(row * matrix.row_bytes + (is_packed ? col / 2 : col))];
  code = is_packed ? static_cast<std::uint8_t>(code & (col % 2 == 0 ? 0xF0U : 0x0FU)) : std::uint8_t{0};
}

QuantisedMatrix with_zeros_of(QuantisedMatrix matrix, MatrixView view) {
  tbb::parallel_for(std::int64_t{0}, matrix.rows, [&](std::int64_t row) {
    for (std::int64_t col = 0; col < matrix.k; ++col)
      if (view.at(row, col) == 0) zero_code(matrix, row, col);
  });
  return matrix;
}

std::optional<QuantisedMatrix> as_stored(const GemmPlan& plan, const Weight& weight) {
  return weight.stored ? as_format(*weight.stored, plan.activation.format) : std::nullopt;
}

}  // namespace

Cast weight_cast(const GemmPlan& plan, const Weight& weight, const Cast& cast) {
  std::optional<QuantisedMatrix> found = as_stored(plan, weight);
  if (!found) return cast;
  const auto stored = std::make_shared<const QuantisedMatrix>(std::move(*found));
  return [&weight, stored, cast](FormatId format, MatrixView matrix, const numerics::CastOptions& options) {
    if (format != stored->format || matrix.rows() != stored->rows || matrix.cols() != stored->k)
      return cast(format, matrix, options);  // the branch's columns
    return matrix.data() == weight.view.data() ? *stored : with_zeros_of(*stored, matrix);
  };
}

std::string weight_words(const GemmPlan& plan, const Weight& weight) {
  if (weight.layout.empty()) return "";
  if (as_stored(plan, weight)) return weight.layout + ", as stored";
  return fmt::format("{}, decoded and cast to {}", weight.layout, name_of(plan.activation.format));
}

}  // namespace oscsim
