// SPDX-License-Identifier: Apache-2.0
// Casting a matrix to an operand format.
#pragma once

#include <cstdint>
#include <vector>

#include "models/numerics/format.h"
#include "models/numerics/matrix.h"

namespace oscsim::numerics {

struct CastOptions {
  ScaleRule scale_rule = ScaleRule::floor;
  ElementRounding rounding = ElementRounding::nearest_even;
};

// A quantised operand [rows, k], plain layout: what a file would hold, what the scalar reference reads.
//
// codes:       row-major, each row padded with zero codes to whole bytes (and, for block formats, to whole blocks).
//              4-bit: two per byte, element 0 in the low nibble. 8-bit: one byte. 16-bit: little-endian u16.
// block_scale: [rows, ceil(k / block)] E8M0 codes (ScaleKind::block), 0xFF = NaN, 0 for an all-zero block.
// row_scale:   [rows] FP32 (ScaleKind::row_float): value = code * row_scale.
struct QuantisedMatrix {
  FormatId format{};
  std::int64_t rows = 0;
  std::int64_t k = 0;
  std::int64_t row_bytes = 0;  // of codes
  std::vector<std::uint8_t> codes;
  std::vector<std::uint8_t> block_scale;
  std::vector<float> row_scale;

  std::int64_t blocks() const { return tiles_of(k, numerics::format(format).block); }  // ScaleKind::block only
  std::uint32_t code(std::int64_t row, std::int64_t col) const;
  // Decoded value including its scale, rounded to FP32 (exact unless it leaves FP32's range).
  float value(std::int64_t row, std::int64_t col) const;
};

// An operand whose codes and scales are all zero. InputError when a size is negative or overflows.
QuantisedMatrix empty_quantised(FormatId format, std::int64_t rows, std::int64_t k);

// The fast cast: parallel over rows, vectorised; bit-identical to reference::quantise.
// NaN or Inf in a block or row makes its scale NaN; in 16-bit formats it stays in its element.
QuantisedMatrix quantise(FormatId format, MatrixView matrix, const CastOptions& options);

namespace reference {

// The definition, one element at a time.
QuantisedMatrix quantise(FormatId format, MatrixView matrix, const CastOptions& options);

}  // namespace reference
}  // namespace oscsim::numerics
