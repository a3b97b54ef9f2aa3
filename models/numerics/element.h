// SPDX-License-Identifier: Apache-2.0
// Scalar element formats: what each code means, and how a real number becomes a code. Written for reading; the fast
// cast (quantise.cpp) gives the same codes.
//
// Encoding rounds to nearest, ties to the even code (or away from zero, by switch). What lies beyond the largest value
// saturates, but in BF16 and FP16, where it becomes Inf (IEEE 754) unless a switch says otherwise. The sign of zero is
// kept.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <optional>

#include "models/numerics/format.h"

namespace oscsim::numerics {

// Every NaN output of ours has these bits.
inline constexpr std::uint32_t kCanonicalNanBits = 0x7FC00000;
inline constexpr float kCanonicalNan = std::bit_cast<float>(kCanonicalNanBits);

inline float canonical(float value) {
  return value == value ? value : kCanonicalNan;
}

// A binary floating-point layout: sign, exponent, mantissa, from the top bit down. Magnitude codes (without the sign)
// count up through the subnormals, the normals up to `max_code`, and what lies above are Inf and NaN.
//   exponent field 0:  value = mantissa / 2^mantissa_bits * 2^(1 - bias)            (zero and subnormals)
//   otherwise:         value = (1 + mantissa / 2^mantissa_bits) * 2^(field - bias)
struct FloatLayout {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  std::uint32_t max_code;                 // magnitude code of the largest finite value
  std::optional<std::uint32_t> inf_code;  // magnitude code
  std::optional<std::uint32_t> nan_code;  // magnitude code that NaN encodes to
  bool overflows = false;                 // to Inf, whose code follows that of the largest finite value

  constexpr int sign_shift() const { return exponent_bits + mantissa_bits; }
  // The magnitude code that large finite numbers end at.
  constexpr std::uint32_t last_code(Overflow overflow) const {
    return overflows && overflow == Overflow::infinity ? *inf_code : max_code;
  }
  constexpr std::uint32_t magnitude_mask() const { return (1U << sign_shift()) - 1; }
  // floor(log2) of the largest finite value: the emax of the MX scale rules.
  constexpr int max_exponent() const { return static_cast<int>(max_code >> mantissa_bits) - bias; }
};

// E2M1 (FP4), OCP Microscaling Formats (MX) v1.0, section 5.3.3. 1/2/1 bits, bias 1. Magnitudes 0 .5 1 1.5 2 3 4 6:
// one subnormal, 0.5; both zeros; no Inf, no NaN. A NaN encodes as zero: the cast marks the block's scale instead.
inline constexpr FloatLayout kE2m1{
    .exponent_bits = 2, .mantissa_bits = 1, .bias = 1, .max_code = 0x7, .inf_code = {}, .nan_code = {}};

// E4M3, OCP 8-bit Floating Point (OFP8) v1.0, section 5. 1/4/3 bits, bias 7. Largest 448, smallest normal 2^-6,
// smallest subnormal 2^-9. No Inf (it saturates); the one NaN magnitude is 1111.111.
inline constexpr FloatLayout kE4m3{
    .exponent_bits = 4, .mantissa_bits = 3, .bias = 7, .max_code = 0x7E, .inf_code = {}, .nan_code = 0x7F};

// E1M2, the S1P2 of HiFloat4 (arXiv 2602.11287). 1/1/2 bits, bias 1: magnitudes are the quarters 0 .25 .. 1.75.
inline constexpr FloatLayout kE1m2{
    .exponent_bits = 1, .mantissa_bits = 2, .bias = 1, .max_code = 0x7, .inf_code = {}, .nan_code = {}};

// E5M2, OCP 8-bit Floating Point (OFP8) v1.0, section 5. 1/5/2 bits, bias 15. Largest 57344, smallest normal 2^-14,
// smallest subnormal 2^-16. Inf and NaN as in IEEE 754; a finite number saturates.
inline constexpr FloatLayout kE5m2{
    .exponent_bits = 5, .mantissa_bits = 2, .bias = 15, .max_code = 0x7B, .inf_code = 0x7C, .nan_code = 0x7E};

// BF16: the upper half of an IEEE 754 binary32. 1/8/7 bits, bias 127; subnormals, Inf and NaN as in binary32.
inline constexpr FloatLayout kBf16{.exponent_bits = 8,
                                   .mantissa_bits = 7,
                                   .bias = 127,
                                   .max_code = 0x7F7F,
                                   .inf_code = 0x7F80,
                                   .nan_code = 0x7FC0,
                                   .overflows = true};

// FP16: IEEE 754-2019 binary16. 1/5/10 bits, bias 15. Largest 65504, smallest subnormal 2^-24; Inf and NaN.
inline constexpr FloatLayout kFp16{.exponent_bits = 5,
                                   .mantissa_bits = 10,
                                   .bias = 15,
                                   .max_code = 0x7BFF,
                                   .inf_code = 0x7C00,
                                   .nan_code = 0x7E00,
                                   .overflows = true};

bool is_integer(ElementType element);
// Of an element that is not an integer.
const FloatLayout& layout_of(ElementType element);
// The largest magnitude that a cast gives: 6, 1.75, 448, 57344, 127, 7, ... MXINT8's is in units of its step.
double largest_value(ElementType element);

// Exact. Codes above `max_code` that are not Inf are NaN (payload and sign dropped).
float decode(const FloatLayout& layout, std::uint32_t code);

// `value` is any double. Inf stays Inf where the layout has one and saturates elsewhere.
std::uint32_t encode(const FloatLayout& layout, double value, ElementRounding rounding,
                     Overflow overflow = Overflow::infinity);

// Symmetric integers: rounded and saturated to -limit..limit.
int encode_integer(double value, int limit, ElementRounding rounding);

// What integer formats take for a largest magnitude, or for a range, that is smaller: SmoothQuant, arXiv 2211.10438.
inline constexpr float kLeastRange = 1e-5F;

// The step of 15 in the range [lowest, highest] of an asymmetric group, which holds zero. A range beyond FP32 is
// divided end by end.
inline float asymmetric_step(float lowest, float highest) {
  constexpr float kSteps = 15;
  const float range = highest - lowest;
  if (range > std::numeric_limits<float>::max()) return highest / kSteps - lowest / kSteps;
  return std::max(range, kLeastRange) / kSteps;
}

// The outer FP32 scale of a row or tensor with a finite largest magnitude, one FP32 rounding.
// FP8: amax / 448 or amax / 57344, or 1 where that is zero (all zero, or far down in FP32's subnormals).
// INT8, INT4: max(amax, 1e-5) / 127 or / 7 (SmoothQuant's floor, of the magnitude and not of the scale).
inline float outer_scale(ElementType element, float amax) {
  switch (element) {
    case ElementType::int8:
      return std::max(amax, kLeastRange) / 127.0F;
    case ElementType::int4:
      return std::max(amax, kLeastRange) / 7.0F;
    default: {
      const float scale = amax / (element == ElementType::e5m2 ? 57344.0F : 448.0F);
      return scale == 0 ? 1.0F : scale;
    }
  }
}

// NVFP4's FP32 scale of a tensor with a finite largest magnitude, as it multiplies before the cast: it brings that
// magnitude to 6 * 448, the product of the largest element and block scale.
inline float nvfp4_encode_scale(float tensor_amax) {
  if (tensor_amax == 0) return 1.0F;
  return std::min(2688.0F / tensor_amax, std::numeric_limits<float>::max());
}

// The outer scale of a whole tensor from its largest magnitude, NaN when that is NaN or Inf. NVFP4: amax / 2688, by
// two FP32 divisions (2688 / amax, 1 where amax is zero; then its inverse).
float tensor_scale(const FormatInfo& info, float amax);

// E8M0, OCP MX v1.0, section 5.4.1: an unsigned power-of-two scale, 2^(code - 127) for codes 0..0xFE; 0xFF is NaN. No
// zero, no sign, no Inf.
inline constexpr std::uint8_t kE8m0Nan = 0xFF;
inline constexpr int kE8m0Bias = 127;
double decode_e8m0(std::uint8_t code);
// The code of 2^exponent; the exponent is clamped to [-127, 127].
std::uint8_t encode_e8m0(int exponent);

// E6M2, the scale of HiFloat4 (arXiv 2602.11287): unsigned, (1 + mantissa / 4) * 2^(field - 48) for codes 0..0xFE,
// without zero, subnormals or Inf; 0xFF is NaN. Largest 2^15 * 1.5.
inline constexpr std::uint8_t kE6m2Nan = 0xFF;
inline constexpr int kE6m2Bias = 48;
double decode_e6m2(std::uint8_t code);
// To nearest even; clamped to [2^-48, 49152]; NaN to NaN.
std::uint8_t encode_e6m2(double value);

// The same values as decode(kBf16, code) and decode(kFp16, code), for loops; NaN may keep its payload.
inline float bf16_to_float(std::uint16_t code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
}
inline float fp16_to_float(std::uint16_t code) {
  // Multiplying by 2^112 moves the bias from 15 to 127 and normalises subnormals; exact.
  const float magnitude = std::bit_cast<float>((code & 0x7FFFU) << 13) * 0x1p112F;
  const std::uint32_t special = (code & 0x7C00U) == 0x7C00U ? 0x7F800000U : 0U;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | special | (code & 0x8000U) << 16);
}

}  // namespace oscsim::numerics
