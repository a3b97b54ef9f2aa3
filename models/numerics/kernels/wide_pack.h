// SPDX-License-Identifier: Apache-2.0
// Operands of any format in the layout of wide.h, packed in parallel.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/numerics/kernels/pack.h"
#include "models/numerics/kernels/wide.h"

namespace oscsim::numerics::kernels {

class WideMatrix {
 public:
  // `step`: elements of an accumulation step, the block of formats that have none. `scaled`: as in WideOperand.
  WideMatrix(const QuantisedMatrix& source, Side side, std::int64_t step, bool scaled);

  WideOperand operand() const;
  std::int64_t rows() const { return rows_; }
  std::int64_t k() const { return k_; }
  // The row has a NaN scale, or an 8-bit element that is Inf or NaN: every output of it is NaN.
  bool row_is_nan(std::int64_t row) const { return nan_rows_[static_cast<std::size_t>(row)] != 0; }

  // Over all blocks that are not zero: factors are multiples of 2^factor_low() and below 2^factor_high(), and an
  // element times its factor is an FP32 number.
  int factor_low() const { return facts_.factor_low; }
  int factor_high() const { return facts_.factor_high; }
  bool is_fp32() const { return facts_.fp32; }
  // Bits of a factor's significand; 0 where factors are powers of two.
  int factor_bits() const { return factor_bits_; }
  // Bits of the significand of an element times its factor.
  int value_bits() const { return element_bits_ + factor_bits_; }

 private:
  struct Facts {
    int factor_low = 0;
    int factor_high = 1;
    bool fp32 = true;
  };
  struct Metadata;

  void fill_tables(const FormatInfo& info);
  Metadata read_metadata(const std::uint8_t* scale) const;
  bool read_elements(const std::uint8_t* codes, std::int64_t first, std::int64_t count, const Metadata& metadata,
                     float* out) const;
  void pack_row(const QuantisedMatrix& source, std::int64_t row, std::uint8_t* codes, Facts& facts);
  void pack_block(const std::uint8_t* scale, std::int64_t block, std::int64_t row, std::uint8_t* codes, Facts& facts);
  void pack_panel(const QuantisedMatrix& source, std::int64_t panel, Facts* facts);
  std::size_t metadata_index(std::int64_t row, std::int64_t block) const;

  WideCodec codec_;
  BlockScale block_scale_;
  Adjust adjust_;
  Side side_;
  bool scaled_;
  int factor_bits_;
  int element_bits_;
  std::array<float, 256> values_{};          // of element codes; 0 for Inf and NaN
  std::array<std::uint8_t, 256> special_{};  // codes of Inf and NaN
  std::array<float, 256> scales_{};          // of scale bytes, the element's unit included
  std::int64_t rows_;
  std::int64_t k_;
  std::int64_t block_;
  std::int64_t blocks_;
  std::int64_t row_bytes_;
  AlignedBytes codes_;
  std::vector<std::uint16_t> factors_;
  std::vector<std::uint16_t> first_;
  std::vector<std::uint16_t> second_;
  std::vector<std::uint32_t> micro_;
  std::vector<std::uint8_t> spans_;
  std::vector<std::uint8_t> nan_rows_;
  Facts facts_;
};

}  // namespace oscsim::numerics::kernels
