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

const FloatLayout& element_layout(FormatId format) {
  switch (format) {
    case FormatId::mxfp4:
      return kE2m1;
    case FormatId::mxfp8:
    case FormatId::fp8:
      return kE4m3;
    case FormatId::bf16:
      return kBf16;
    case FormatId::fp16:
      return kFp16;
    case FormatId::int8:
      break;
  }
  ensure(false, "format {} has no floating-point element", name_of(format));
  return kE2m1;
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

std::uint32_t encode(const FloatLayout& layout, double value, ElementRounding rounding) {
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
  return sign | static_cast<std::uint32_t>(std::min<std::int64_t>(code, layout.max_code));
}

std::int8_t encode_int8(float value, ElementRounding rounding) {
  const double magnitude = std::min(round_steps(std::fabs(static_cast<double>(value)), rounding), 127.0);
  return static_cast<std::int8_t>(value < 0 ? -magnitude : magnitude);
}

double decode_e8m0(std::uint8_t code) {
  return code == kE8m0Nan ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, code - kE8m0Bias);
}

std::uint8_t encode_e8m0(int exponent) {
  return static_cast<std::uint8_t>(std::clamp(exponent, -kE8m0Bias, kE8m0Bias) + kE8m0Bias);
}

}  // namespace oscsim::numerics
