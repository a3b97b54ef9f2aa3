// SPDX-License-Identifier: Apache-2.0
// The terms of fused and exact sums: values, and the exponents that an alignment goes by. For the scalar reference, and
// for the tables of the fast engine.
//
// The alignment exponent of a term is the sum of the exponents of its factors, as their bits hold them: the product is
// not normalised, a subnormal factor has the exponent of the smallest normal number of its format, and one that is zero
// has -126 in every format, as in MMA-Sim: under large scales a zero takes part in the alignment.
#pragma once

#include <limits>
#include <span>

#include "models/numerics/accumulator.h"
#include "models/numerics/quantise.h"

namespace oscsim::numerics {

inline constexpr int kNoLeast = std::numeric_limits<int>::min();
// Of FP32. An accumulator never lies lower, zero included, and so no group does.
inline constexpr int kLeastAlignment = -126;
inline constexpr int kZeroExponent = -126;  // of a factor that is zero

// floor(log2 |value|), at least `least`; of a finite number, not zero.
int exponent_of(double value, int least);

// A factor of a product, exact.
struct Factor {
  double value = 1;  // may be Inf or NaN, whose exponent nobody may look at
  int exponent = 0;
};

// Element `col` of a row without the scale of scale_at. Elements that are integers are normalised; a micro-exponent
// (HiF4), a scale chosen by the sign (AMXFP4) and a zero point belong to the element.
Factor element_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col);

// The block scale of element `col`; 1 where the format has none, or keeps it in element_at.
Factor scale_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col);

// Operands [m, k] and [n, k] whose products enter one sum.
struct OperandPair {
  const QuantisedMatrix* a = nullptr;
  const QuantisedMatrix* b = nullptr;

  bool is_wide() const;  // an operand has 16 bits
};

namespace reference {
// One output element before the epilogue: the pairs one after the other in the same accumulator, which starts at +0.
// Not of kind fp32_rne, and not of pairs that are summed in INT32.
float accumulated(const Accumulator& accumulator, std::span<const OperandPair> pairs, std::int64_t row,
                  std::int64_t col);
}  // namespace reference

}  // namespace oscsim::numerics
