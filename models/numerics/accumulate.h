// SPDX-License-Identifier: Apache-2.0
// The accumulation step of block formats: acc = RNE_FP32(acc + block_sum * 2^exponent), one correct rounding.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace oscsim::numerics {

// 2^exponent for exponents of a normal double.
inline double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// RNE_FP32(a + b) of the exact sum of two doubles, for a an FP32 value and b a finite double whose lowest set bit is
// at or above 2^-1022.
//
// Plain (float)(a + b) rounds twice. Here the first rounding is made harmless: it goes to odd. Two-sum gives the exact
// error of the double addition; when there is one, the exact sum lies strictly between two neighbouring doubles, and
// the one with the odd last bit is taken. A value rounded to odd at 53 bits rounds to nearest at any width of at most
// 51 bits as the exact value would: FP32's 24 bits, fewer for its subnormals, and its overflow threshold (a 25-bit
// number) included (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
// rounding to odd", IEEE Trans. Computers 57(4), 2008). Two-sum itself needs no overflow, which |a| < 2^128 and
// |b| < 2^300 guarantee; its additions are exact when they underflow.
inline float add_rounded_once(float a, double b) {
  const double wide = static_cast<double>(a);
  const double sum = wide + b;
  const double b_seen = sum - wide;
  const double error = (wide - (sum - b_seen)) + (b - b_seen);
  // Inf and NaN: the error is NaN, which is neither below nor above zero.
  if (!(error < 0 || error > 0)) return static_cast<float>(sum);
  std::uint64_t bits = std::bit_cast<std::uint64_t>(sum);
  if ((bits & 1) == 0) bits += (error > 0) == (sum > 0) ? std::uint64_t{1} : ~std::uint64_t{0};
  return static_cast<float>(std::bit_cast<double>(bits));
}

// `block_sum` is the exact sum of a block's products: at most 41 significant bits (32 products of E4M3, multiples of
// 2^-18 and below 2^23), with `exponent` in [-254, 254], the sum of two E8M0 exponents. The product is then exact: its
// bits lie between 2^-272 and 2^277, inside the range of normal doubles. A NaN block_sum gives NaN.
// Signs of zero follow IEEE addition: acc starts at +0 and a zero block sum is +0.
inline float accumulate(float acc, double block_sum, int exponent) {
  return add_rounded_once(acc, block_sum * power_of_two(exponent));
}

}  // namespace oscsim::numerics
