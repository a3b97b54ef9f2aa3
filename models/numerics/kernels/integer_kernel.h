// SPDX-License-Identifier: Apache-2.0
// The interface of the kernels for elements that are small integers: E2M1, E1M2, HiFloat4's S1P2 with its
// micro-exponents, INT4 and INT8, any of them on either side. Block sums are exact INT32; a block's scale is a factor
// that FP32 holds, and so is the product of the two factors of a pair of blocks:
//   acc = RNE(acc + dot * (factor_a * factor_b)) is one FMA, one rounding.
// Plain data only, for the reason given in kernel.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {

// How the factors of a pair of blocks become their product.
enum class Scaling : std::uint8_t {
  none,    // no factors: all of K is one sum, accumulators are INT32
  powers,  // the entries of `factors` add up to the bits of an FP32 number: at least one of them is a power of two
  floats,  // the entries are FP32 numbers
};

// One packed operand. Codes are those of PackedOperand: A by rows, row-major; B by panels of 32 columns:
//   4 bits  [k / 4][16][4] bytes: columns 0..15 in the low nibbles, columns 16..31 in the high nibbles
//   8 bits  [k / 4][32][4] bytes
// K is padded with zeros to a multiple of 64.
struct IntegerOperand {
  int code_bits;                // 4 or 8
  const std::int8_t* integers;  // of 4-bit codes; an 8-bit code is its integer
  const std::uint8_t* codes;
  std::int64_t stride;  // bytes between rows or panels
  // HiF4, else null. An integer is multiplied by 2^shift; 4 elements along K share a shift of 0, 1 or 2. A word holds
  // 16 of them, the first in its low bits: A [row][k / 64], along K; B [panel][k / 4][2], columns 0..15 and 16..31.
  // That is stride / 32 words for a row or a panel.
  const std::uint32_t* shifts;
  // Codes of the factors, [row][block] or [panel][block][32]; null: factors[0] everywhere.
  const std::uint8_t* scales;
  std::int64_t block;            // elements of a scale
  std::int64_t blocks;           // of one row
  const std::uint32_t* factors;  // of the 256 codes; see Scaling
  // Of the product, the same in both operands.
  std::int64_t summed;  // elements of an exact block sum: 16, 32 or 64, at most `block`; 0 without factors: all of K
  std::int32_t bias;    // makes an integer of A unsigned: -smallest
};

// Counts are multiples of 64.
using IntegerKernel = TileKernelOf<IntegerOperand>;

// The integers that codes mean, those included that no cast gives (-8 of INT4, -128 of INT8): largest <= -smallest.
struct IntegerRange {
  std::int32_t smallest;
  std::int32_t largest;
};

// What a kernel is made for. `summed` as in IntegerOperand.
struct IntegerTask {
  Scaling scaling;
  std::int64_t summed;
  IntegerRange a;
  IntegerRange b;
};

namespace avx512 {
IntegerKernel integer_kernel(const IntegerTask& task);
}
namespace avx2 {
IntegerKernel integer_kernel(const IntegerTask& task);
}
namespace portable {
IntegerKernel integer_kernel(const IntegerTask& task);  // not for Scaling::powers
}

}  // namespace oscsim::numerics::kernels
