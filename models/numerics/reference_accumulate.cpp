// SPDX-License-Identifier: Apache-2.0
// The scalar definition of the accumulators other than fp32_rne, in the words of gemm.h and accumulator.h.
#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "models/numerics/block.h"
#include "models/numerics/element.h"
#include "models/numerics/exact_value.h"
#include "models/numerics/terms.h"

namespace oscsim::numerics {
namespace {

using boost::multiprecision::cpp_int;

ExactValue product(const ExactValue& x, const ExactValue& y) {
  return {x.significand * y.significand, x.exponent + y.exponent};
}

// Exact while the bits of both fit 127 together.
ExactValue sum(const ExactValue& x, const ExactValue& y) {
  if (x.significand == 0) return y;
  if (y.significand == 0) return x;
  if (x.exponent < y.exponent) return sum(y, x);
  return {x.significand * (Int128{1} << (x.exponent - y.exponent)) + y.significand, y.exponent};
}

// A row of A and one of B, with their scales.
struct Factors {
  Factors(const OperandPair& pair, std::int64_t row, std::int64_t col) {
    for (std::int64_t i = 0; i < pair.a->k; ++i) {
      a.push_back(element_at(*pair.a, row, i));
      b.push_back(element_at(*pair.b, col, i));
      a_scale.push_back(scale_at(*pair.a, row, i));
      b_scale.push_back(scale_at(*pair.b, col, i));
      special.push_back(block_value(*pair.a, row, i) * block_value(*pair.b, col, i));
    }
  }

  std::size_t size() const { return a.size(); }
  bool is_special(std::size_t i) const { return !std::isfinite(special[i]); }
  // Without the scales.
  ExactValue element_product(std::size_t i) const { return product(exact(a[i].value), exact(b[i].value)); }
  ExactValue scales(std::size_t i) const { return product(exact(a_scale[i].value), exact(b_scale[i].value)); }
  int element_exponents(std::size_t i) const { return a[i].exponent + b[i].exponent; }
  int scale_exponents(std::size_t i) const { return a_scale[i].exponent + b_scale[i].exponent; }

  std::vector<Factor> a, b, a_scale, b_scale;
  std::vector<double> special;  // the product by IEEE 754, for its Inf and NaN
};

struct Term {
  ExactValue value;
  int alignment = 0;
};

// Elements [first, last) as one term. They share their scales.
Term term_of(const Factors& factors, std::size_t first, std::size_t last, const Fusion& fusion) {
  ExactValue value;
  for (std::size_t i = first; i < last; ++i) value = sum(value, factors.element_product(i));
  const int alignment = factors.scale_exponents(first) + (fusion.sub_block == 1 ? factors.element_exponents(first) : 0);
  return {product(value, factors.scales(first)), alignment};
}

// value in units of 2^unit, toward zero.
Int128 truncated(const ExactValue& value, int unit) {
  const int shift = value.exponent - unit;
  if (value.significand == 0 || shift <= -127) return 0;
  return shift >= 0 ? value.significand * (Int128{1} << shift) : value.significand / (Int128{1} << -shift);
}

float rounded_by(FusedRounding rounding, const ExactValue& value) {
  switch (rounding) {
    case FusedRounding::rne:
      return rounded(value);
    case FusedRounding::rz:
      return rounded_toward_zero(value, 23);
    case FusedRounding::rz_e8m13:
      return rounded_toward_zero(value, 13);
  }
  return 0;
}

// One fusion. The accumulator is finite.
float fused(float acc, const std::vector<Term>& terms, const Fusion& fusion) {
  int largest = kLeastAlignment;
  if (acc != 0) largest = exponent_of(static_cast<double>(acc), kLeastAlignment);
  for (const Term& term : terms)
    if (term.value.significand != 0 || fusion.zeros == ZeroTerms::align) largest = std::max(largest, term.alignment);
  const int unit = largest - fusion.fraction_bits;
  Int128 sum = truncated(exact(static_cast<double>(acc)), unit);
  for (const Term& term : terms) sum += truncated(term.value, unit);
  return rounded_by(fusion.rounding, {sum, unit});
}

// Every group of a pair.
float fused_chain(float acc, const Factors& factors, const Fusion& fusion) {
  const auto group = static_cast<std::size_t>(fusion.group());
  const auto sub_block = static_cast<std::size_t>(fusion.sub_block);
  for (std::size_t first = 0; first < factors.size(); first += group) {
    const std::size_t last = std::min(first + group, factors.size());
    std::vector<Term> terms;
    float special = acc;
    for (std::size_t i = first; i < last; ++i)
      if (factors.is_special(i)) special += static_cast<float>(factors.special[i]);
    if (!std::isfinite(special)) {
      acc = special;
      continue;
    }
    for (std::size_t i = first; i < last; i += sub_block)
      terms.push_back(term_of(factors, i, std::min(i + sub_block, last), fusion));
    acc = fused(acc, terms, fusion);
  }
  return acc;
}

// A sum of any products: an integer times 2^kUnit, which lies below every one of them (two E8M0 scales and two
// subnormals of E5M2 give 2^-286, two subnormals of BF16 2^-266).
class ExactSum {
 public:
  void add(const Factors& factors) {
    for (std::size_t i = 0; i < factors.size(); ++i) {
      if (factors.is_special(i)) {
        special_ += static_cast<float>(factors.special[i]);
        continue;
      }
      const ExactValue value = product(factors.element_product(i), factors.scales(i));
      sum_ += cpp_int(static_cast<std::int64_t>(value.significand)) << (value.exponent - kUnit);
    }
  }

  float rounded_once() const {
    if (special_ != 0) return special_;
    if (sum_ == 0) return 0;
    // The leading 62 bits, the last of which says whether anything follows.
    const cpp_int magnitude = abs(sum_);
    const auto width = static_cast<int>(msb(magnitude)) + 1;
    const int dropped = std::max(0, width - 62);
    const cpp_int kept = magnitude >> dropped;
    const bool rest = (kept << dropped) != magnitude;
    const std::int64_t leading = kept.convert_to<std::int64_t>() | (rest ? 1 : 0);
    return rounded({sum_ < 0 ? -leading : leading, kUnit + dropped});
  }

 private:
  static constexpr int kUnit = -400;
  cpp_int sum_ = 0;
  float special_ = 0;  // infinities and NaN
};

}  // namespace

namespace reference {

float accumulated(const Accumulator& accumulator, std::span<const OperandPair> pairs, std::int64_t row,
                  std::int64_t col) {
  ensure(accumulator.kind != AccumulatorKind::fp32_rne, "{} is not accumulated term by term", text_of(accumulator));
  if (accumulator.kind == AccumulatorKind::exact) {
    ExactSum sum;
    for (const OperandPair& pair : pairs) sum.add(Factors(pair, row, col));
    return sum.rounded_once();
  }
  float acc = 0;
  for (const OperandPair& pair : pairs)
    acc = fused_chain(acc, Factors(pair, row, col), accumulator.fusion(pair.is_wide()));
  return acc;
}

}  // namespace reference
}  // namespace oscsim::numerics
