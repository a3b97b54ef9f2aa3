// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/exact_value.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace oscsim::numerics {
namespace {

__extension__ typedef unsigned __int128 Uint128;

constexpr int kMantissaBits = 24;     // of FP32
constexpr int kLeastExponent = -149;  // of FP32's smallest subnormal
constexpr int kRoom = 126;            // bits that a sum may use before its carry

Uint128 magnitude_of(Int128 number) {
  return number < 0 ? -static_cast<Uint128>(number) : static_cast<Uint128>(number);
}

int width_of(Uint128 number) {
  const auto high = static_cast<std::uint64_t>(number >> 64);
  const auto low = static_cast<std::uint64_t>(number);
  return high != 0 ? 128 - __builtin_clzll(high) : low != 0 ? 64 - __builtin_clzll(low) : 0;
}

int sign_of(Int128 number) {
  return number < 0 ? -1 : 1;
}

}  // namespace

float rounded(const ExactValue& value) {
  if (value.significand == 0) return 0.0F;
  const Uint128 magnitude = magnitude_of(value.significand);
  const int top = width_of(magnitude) + value.exponent;  // the value lies below 2^top
  const int last = std::max({top - kMantissaBits, kLeastExponent, value.exponent});
  const int dropped = last - value.exponent;
  Uint128 kept = 0;
  if (dropped == 0) {
    kept = magnitude;
  } else if (dropped < 128) {
    kept = magnitude >> dropped;
    const Uint128 rest = magnitude - (kept << dropped);
    const Uint128 half = Uint128{1} << (dropped - 1);
    if (rest > half || (rest == half && (kept & 1) != 0)) kept += 1;
  }
  // At most 25 bits are kept: the double is exact, and its conversion only turns what is too large into Inf.
  const auto result = static_cast<float>(std::ldexp(static_cast<double>(kept), last));
  return value.significand < 0 ? -result : result;
}

float rounded_toward_zero(const ExactValue& value, int fraction_bits) {
  if (value.significand == 0) return 0.0F;
  constexpr int kLeastNormal = -126;
  const Uint128 magnitude = magnitude_of(value.significand);
  const int leading = width_of(magnitude) - 1 + value.exponent;
  const int last = std::max(std::max(leading, kLeastNormal) - fraction_bits, value.exponent);
  const int dropped = last - value.exponent;
  const Uint128 kept = dropped < 128 ? magnitude >> dropped : 0;
  const auto result = static_cast<float>(std::ldexp(static_cast<double>(kept), last));
  return value.significand < 0 ? -result : result;
}

float add_rounded_once(float acc, const ExactValue& value) {
  if (!std::isfinite(acc)) return acc;
  if (value.significand == 0) return acc + 0.0F;
  const ExactValue start = exact(static_cast<double>(acc));
  if (start.significand == 0) return rounded(value);
  const int gap = start.exponent - value.exponent;
  if (gap >= 0) {
    // Beyond the room the value is below a quarter of the accumulator's last place: its sign is all that matters.
    if (gap <= kRoom - kMantissaBits)
      return rounded({value.significand + start.significand * (Int128{1} << gap), value.exponent});
    constexpr int kGuard = 40;
    return rounded({start.significand * (Int128{1} << kGuard) + sign_of(value.significand), start.exponent - kGuard});
  }
  // The value moves up to fill the room; what of the accumulator then lies below its last place is less than 2^24 of
  // those and far below the place where FP32 rounds.
  const int room = kRoom - width_of(magnitude_of(value.significand));
  if (-gap <= room) return rounded({value.significand * (Int128{1} << -gap) + start.significand, start.exponent});
  return rounded({value.significand * (Int128{1} << room) + sign_of(start.significand), value.exponent - room});
}

ExactValue exact(double value) {
  constexpr int kDoubleBits = 53;
  int exponent = 0;
  auto significand = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), kDoubleBits));
  if (significand == 0) return {};
  const int zeros = __builtin_ctzll(static_cast<std::uint64_t>(significand));
  significand >>= zeros;
  return {significand, exponent - kDoubleBits + zeros};
}

}  // namespace oscsim::numerics
