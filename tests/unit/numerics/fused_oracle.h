// SPDX-License-Identifier: Apache-2.0
// One fusion of accumulator.h in Boost's integers: an oracle that shares nothing with the reference but decoded values.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/numerics/accumulator.h"
#include "tests/unit/numerics/exact.h"

namespace oscsim::numerics::exact {

struct Term {
  Integer value;
  int alignment = 0;
};

// Toward zero to `fraction_bits` bits of FP32's exponents, which then may reach infinity.
inline float truncated(const Integer& number, int fraction_bits) {
  if (number == 0) return 0;
  const Integer magnitude = abs(number);
  const int leading = std::max(static_cast<int>(msb(magnitude)), kFraction - 126);
  const Integer step = Integer(1) << (leading - fraction_bits);
  const float result = rounded(magnitude / step * step);
  return number < 0 ? -result : result;
}

inline float fused(float acc, const std::vector<Term>& terms, const Fusion& fusion) {
  if (std::isinf(acc)) return acc;
  int largest = acc == 0 ? -126 : std::max(std::ilogb(acc), -126);
  for (const Term& term : terms)
    if (term.value != 0 || fusion.zeros == ZeroTerms::align) largest = std::max(largest, term.alignment);
  const Integer unit = Integer(1) << (kFraction + largest - fusion.fraction_bits);
  Integer total = of(static_cast<double>(acc)) / unit * unit;
  for (const Term& term : terms) total += term.value / unit * unit;
  if (fusion.rounding == FusedRounding::rne) return rounded(total);
  return truncated(total, fusion.rounding == FusedRounding::rz ? 23 : 13);
}

}  // namespace oscsim::numerics::exact
