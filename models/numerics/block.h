// SPDX-License-Identifier: Apache-2.0
// Blocks of a quantised operand as exact integers: element i = integers[i] * factor, without the outer scale.
#pragma once

#include <cstdint>
#include <span>

#include "models/numerics/quantise.h"

namespace oscsim::numerics {

// significand * 2^exponent. |significand| is below 2^8: the bits of a BF16.
struct BlockFactor {
  int significand = 1;
  int exponent = 0;
  bool nan = false;
};

// What multiplies the integers of a block: the block's scale and the unit of the element. Formats of at most 8 bits.
BlockFactor block_factor(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t block);

// An element that is Inf or NaN (codes that a file may hold; our casts do not make them).
inline constexpr std::int64_t kNoNumber = INT64_MIN;

// Elements [first, first + out.size()) of a row, all of one block of the format, in units of the block's factor:
// |integer| < 2^36. HiF4's micro-exponents, AMXFP4's scales and zero points are in the integer.
void read_integers(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t first, std::span<std::int64_t> out);

// Element times block scale; exact. Any format.
double block_value(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col);

}  // namespace oscsim::numerics
