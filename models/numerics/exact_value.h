// SPDX-License-Identifier: Apache-2.0
// Exact dyadic numbers, wide enough for any block value, and their one rounding into an FP32 accumulator. For the
// scalar reference, and for the rare blocks that a fast kernel cannot hold exactly.
#pragma once

namespace oscsim::numerics {

__extension__ typedef __int128 Int128;

// significand * 2^exponent, |significand| < 2^100.
struct ExactValue {
  Int128 significand = 0;
  int exponent = 0;
};

// RNE_FP32(value); subnormals, and Inf from half a step above the largest number on. Zero is +0.
float rounded(const ExactValue& value);

// Toward zero to `fraction_bits` (at most 23) below the leading bit, or below 2^-126 where that is higher. What reaches
// 2^128 is Inf. A negative number that vanishes is -0.
float rounded_toward_zero(const ExactValue& value, int fraction_bits);

// RNE_FP32(acc + value), one rounding. A zero value is +0; an infinite or NaN accumulator stays what it is.
float add_rounded_once(float acc, const ExactValue& value);

// The exact value of a finite double.
ExactValue exact(double value);

}  // namespace oscsim::numerics
