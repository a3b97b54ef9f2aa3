// SPDX-License-Identifier: Apache-2.0
// Operands of small integers in the layout of integer_kernel.h, packed in parallel, and the range of their factors.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/numerics/gemm.h"
#include "models/numerics/kernels/integer_kernel.h"
#include "models/numerics/kernels/pack.h"

namespace oscsim::numerics::kernels {

// Whether an int8 holds every element of the format in its unit, with what its metadata does to it inside a block.
bool has_small_integers(const FormatInfo& info);

class PackedIntegers {
 public:
  PackedIntegers(const QuantisedMatrix& source, Side side);

  // Without the factors and the fields of a product.
  IntegerOperand operand() const;
  std::int64_t rows() const { return rows_; }
  std::int64_t padded_k() const { return padded_k_; }
  // The row has a NaN scale: every output of it is NaN.
  bool row_is_nan(std::int64_t row) const { return nan_rows_[static_cast<std::size_t>(row)] != 0; }
  IntegerRange range() const { return range_; }

  // Factor of every code of a scale, the unit of the elements included: an FP32 number, subnormal ones included.
  const std::array<double, 256>& factors() const { return factors_; }
  // Magnitudes of the factors of blocks that are neither zero nor NaN, without factors of zero. Zero and NaN blocks
  // have the smallest one; 1 when there is none.
  double smallest_factor() const { return smallest_factor_; }
  double largest_factor() const { return largest_factor_; }

 private:
  struct ScaleRange;

  void set_tables(const FormatInfo& info);
  void pack_row(const QuantisedMatrix& source, std::int64_t row, std::uint8_t* codes, ScaleRange& range);
  void pack_panel(const QuantisedMatrix& source, std::int64_t panel, ScaleRange* ranges);
  std::uint8_t block_code(const FormatInfo& info, const std::uint8_t* scale, bool zero, ScaleRange& range) const;
  void pack_shifts(std::int64_t row, std::int64_t block, const std::uint8_t* scale);
  void set_factor_range(const std::vector<ScaleRange>& ranges);

  Side side_;
  std::int64_t rows_;
  std::int64_t padded_k_;
  int code_bits_;
  std::int64_t row_bytes_;
  std::int64_t block_ = 0;
  std::int64_t blocks_ = 0;  // of a row, padding included; 0 without scales
  AlignedBytes codes_;
  std::vector<std::uint32_t> shifts_;
  std::vector<std::uint8_t> scales_;
  std::vector<std::uint8_t> nan_rows_;
  std::array<std::int8_t, 16> integers_{};
  std::array<double, 256> factors_{};
  IntegerRange range_{};
  double smallest_factor_ = 1;
  double largest_factor_ = 1;
};

}  // namespace oscsim::numerics::kernels
