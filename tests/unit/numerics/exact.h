// SPDX-License-Identifier: Apache-2.0
// An independent oracle for rounding: exact fixed-point numbers of Boost.Multiprecision, rounded once to FP32.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>

namespace oscsim::numerics::exact {

using Integer = boost::multiprecision::cpp_int;

// Numbers are integers times 2^-kFraction: every finite double and every sum of them is exact.
inline constexpr int kFraction = 1100;

inline Integer of(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  const auto digits = static_cast<std::int64_t>(std::ldexp(mantissa, 53));
  const int shift = exponent - 53 + kFraction;
  return shift >= 0 ? Integer(digits) << shift : Integer(digits) >> -shift;
}

// RNE to FP32 in integers: subnormals, and Inf from half a step above the largest number on. Zero is +0.
inline float rounded(const Integer& number) {
  if (number == 0) return 0.0F;
  const Integer magnitude = abs(number);
  const int top = static_cast<int>(msb(magnitude));
  const int step = std::max(top - 23, kFraction - 149);  // position of the last kept bit
  Integer kept = magnitude >> step;
  const Integer rest = magnitude - (kept << step);
  const Integer half = Integer(1) << (step - 1);
  if (rest > half || (rest == half && (kept & 1) != 0)) kept += 1;
  const double value = std::ldexp(kept.convert_to<double>(), step - kFraction);
  const double limit = static_cast<double>(std::numeric_limits<float>::max());
  const float result = value > limit ? std::numeric_limits<float>::infinity() : static_cast<float>(value);
  return number < 0 ? -result : result;
}

}  // namespace oscsim::numerics::exact
