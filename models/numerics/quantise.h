// SPDX-License-Identifier: Apache-2.0
// Casting a matrix to an operand format.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/numerics/format.h"
#include "models/numerics/matrix.h"

namespace oscsim::numerics {

struct CastOptions {
  ScaleRule scale_rule = ScaleRule::floor;
  std::optional<ElementRounding> rounding = std::nullopt;  // of elements; absent: the format's own
  std::optional<float> tensor_amax = std::nullopt;  // of formats with a scale for the tensor; absent: the matrix's own
  Nvfp4Scale nvfp4_scale = Nvfp4Scale::exact;
  Overflow overflow = Overflow::infinity;  // of 16-bit formats
};

inline ElementRounding rounding_of(const FormatInfo& format, const CastOptions& options) {
  return options.rounding.value_or(format.rounding);
}

// The scale of an NVFP4 block is E4M3, to nearest even and at most 448, of one of these, where S is FP32(2688 / amax of
// the tensor), or 1 in the format without the tensor's scale:
//   exact    the real number amax * S / 6
//   te_main  amax * FP32(S * FP32(1 / 6)), in FP32 (TransformerEngine, main)
//   te_2x    FP32(amax / 6) * S, in FP32 (TransformerEngine, 2.x)

// A quantised operand [rows, k], plain layout: what a file would hold, what the scalar reference reads.
//
// codes:       row-major, each row padded to whole bytes (and, for formats with block scales, to whole blocks) with the
//              code of zero. 4-bit: two per byte, element 0 in the low nibble. 8-bit: one byte. 16-bit: little-endian.
// block_scale: [rows, blocks()], of each block
//                e8m0         one byte: 0xFF = NaN, 0 for an all-zero block
//                e4m3         one byte
//                hif4         an E6M2 byte; a byte with the micro-exponent of elements 8 i .. 8 i + 7 in bit i;
//                             two bytes, little-endian, with that of elements 4 i .. 4 i + 3 in bit i
//                signed_e5m2  the byte for positive elements (and +0), the byte for negative ones
//                bf16_zero    a little-endian BF16, a byte with the zero point
// outer_scale: FP32: [rows] (OuterScale::row) or one (OuterScale::tensor).
// value = element * block scale * outer scale.
struct QuantisedMatrix {
  FormatId format{};
  std::int64_t rows = 0;
  std::int64_t k = 0;
  std::int64_t row_bytes = 0;  // of codes
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> block_scale;
  std::vector<float> outer_scale;

  std::int64_t blocks() const { return tiles_of(k, numerics::format(format).block); }  // with block scales only
  const std::uint8_t* scale_of(std::int64_t row, std::int64_t block) const {
    return block_scale.data() + (row * blocks() + block) * (numerics::format(format).block_scale_bits / 8);
  }
  // 1 where the format has no outer scale.
  float outer_scale_of(std::int64_t row) const {
    if (outer_scale.empty()) return 1.0F;
    return outer_scale[outer_scale.size() == 1 ? 0 : static_cast<std::size_t>(row)];
  }
  std::uint32_t code(std::int64_t row, std::int64_t col) const;
  // Decoded value including its scales. Element times block scale is rounded to FP32 (exact unless it leaves FP32's
  // range), and so is the product with the outer scale. A zero has the sign of its element.
  float value(std::int64_t row, std::int64_t col) const;
};

// An operand whose codes and scales are all zero bytes. InputError when a size is negative or overflows.
QuantisedMatrix empty_quantised(FormatId format, std::int64_t rows, std::int64_t k);

// The fast cast: parallel over rows, vectorised; bit-identical to reference::quantise.
// NaN or Inf makes the scale of its block, row or tensor NaN, and that one's codes zero; in 16-bit formats it stays in
// its element.
QuantisedMatrix quantise(FormatId format, MatrixView matrix, const CastOptions& options);

namespace reference {

// The definition, one element at a time.
QuantisedMatrix quantise(FormatId format, MatrixView matrix, const CastOptions& options);

}  // namespace reference
}  // namespace oscsim::numerics
