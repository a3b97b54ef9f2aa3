// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/element.h"

#include <algorithm>
#include <cmath>

namespace oscsim::numerics {
namespace {

// A non-negative number to the nearest integer. Ties go to the even one under the default floating-point environment.
double round_steps(double steps, ElementRounding rounding) {
  return rounding == ElementRounding::nearest_even ? std::nearbyint(steps) : std::round(steps);
}

}  // namespace

bool is_integer(ElementType element) {
  return element == ElementType::int8 || element == ElementType::int4;
}

const FloatLayout& layout_of(ElementType element) {
  switch (element) {
    case ElementType::e2m1:
      return kE2m1;
    case ElementType::e1m2:
      return kE1m2;
    case ElementType::e4m3:
      return kE4m3;
    case ElementType::e5m2:
      return kE5m2;
    case ElementType::bf16:
      return kBf16;
    case ElementType::fp16:
      return kFp16;
    case ElementType::int8:
    case ElementType::int4:
      break;
  }
  ensure(false, "element {} is no floating-point number", name_of(element));
  return kE2m1;
}

double largest_value(ElementType element) {
  if (element == ElementType::int8) return 127;
  if (element == ElementType::int4) return 7;
  const FloatLayout& layout = layout_of(element);
  return static_cast<double>(decode(layout, layout.max_code));
}

float decode(const FloatLayout& layout, std::uint32_t code) {
  const std::uint32_t magnitude = code & layout.magnitude_mask();
  const bool negative = (code >> layout.sign_shift() & 1) != 0;
  if (magnitude > layout.max_code && magnitude != layout.inf_code) return kCanonicalNan;

  const int field = static_cast<int>(magnitude >> layout.mantissa_bits);
  const double mantissa = static_cast<double>(magnitude & ((1U << layout.mantissa_bits) - 1));
  const double hidden = field == 0 ? 0.0 : std::ldexp(1.0, layout.mantissa_bits);
  const double value = magnitude == layout.inf_code
                           ? std::numeric_limits<double>::infinity()
                           : std::ldexp(hidden + mantissa, std::max(field, 1) - layout.bias - layout.mantissa_bits);
  return static_cast<float>(negative ? -value : value);
}

std::uint32_t encode(const FloatLayout& layout, double value, ElementRounding rounding, Overflow overflow) {
  if (std::isnan(value)) return layout.nan_code.value_or(0);
  const std::uint32_t sign = static_cast<std::uint32_t>(std::signbit(value)) << layout.sign_shift();
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | layout.inf_code.value_or(layout.max_code);
  if (magnitude == 0) return sign;

  // Steps of the grid around the value: the exponent of the value itself, but never below that of the subnormals.
  // A value that rounds up to the next power of two carries into the exponent field, which is the right code.
  const int exponent = std::max(std::ilogb(magnitude), 1 - layout.bias);
  const double steps = round_steps(std::ldexp(magnitude, layout.mantissa_bits - exponent), rounding);
  const auto field = static_cast<std::int64_t>(exponent + layout.bias - 1) << layout.mantissa_bits;
  const std::int64_t code = field + static_cast<std::int64_t>(steps);
  return sign | static_cast<std::uint32_t>(std::min<std::int64_t>(code, layout.last_code(overflow)));
}

int encode_integer(double value, int limit, ElementRounding rounding) {
  const double magnitude = std::min(round_steps(std::fabs(value), rounding), static_cast<double>(limit));
  return static_cast<int>(value < 0 ? -magnitude : magnitude);
}

double decode_e8m0(std::uint8_t code) {
  return code == kE8m0Nan ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, code - kE8m0Bias);
}

std::uint8_t encode_e8m0(int exponent) {
  return static_cast<std::uint8_t>(std::clamp(exponent, -kE8m0Bias, kE8m0Bias) + kE8m0Bias);
}

double decode_e6m2(std::uint8_t code) {
  if (code == kE6m2Nan) return std::numeric_limits<double>::quiet_NaN();
  return std::ldexp(4 + code % 4, code / 4 - kE6m2Bias - 2);
}

std::uint8_t encode_e6m2(double value) {
  if (std::isnan(value)) return kE6m2Nan;
  const double clamped = std::clamp(value, std::ldexp(1.0, -kE6m2Bias), 49152.0);
  const int exponent = std::ilogb(clamped);
  const double steps = round_steps(std::ldexp(clamped, 2 - exponent), ElementRounding::nearest_even);  // 4 to 8
  return static_cast<std::uint8_t>((exponent + kE6m2Bias) * 4 + static_cast<int>(steps) - 4);
}

}  // namespace oscsim::numerics
