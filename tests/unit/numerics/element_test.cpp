// SPDX-License-Identifier: Apache-2.0
// Scalar element formats: all codes, tie tables, and casts against a search of the code table.
#include "models/numerics/element.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

constexpr ElementRounding kRoundings[] = {ElementRounding::nearest_even, ElementRounding::half_away};
struct NamedLayout {
  std::string name;
  const FloatLayout* layout;
};

class ElementLayout : public testing::TestWithParam<NamedLayout> {
 protected:
  const FloatLayout& layout() const { return *GetParam().layout; }
  std::uint32_t codes() const { return 2U << layout().sign_shift(); }
};

INSTANTIATE_TEST_SUITE_P(All, ElementLayout,
                         testing::Values(NamedLayout{"E2M1", &kE2m1}, NamedLayout{"E4M3", &kE4m3},
                                         NamedLayout{"BF16", &kBf16}, NamedLayout{"FP16", &kFp16}),
                         [](const auto& test) { return test.param.name; });

TEST_P(ElementLayout, EveryCodeDecodesAndEncodesToItself) {
  for (const ElementRounding rounding : kRoundings) {
    for (std::uint32_t code = 0; code < codes(); ++code) {
      const float value = decode(layout(), code);
      const std::uint32_t expected = std::isnan(value) ? *layout().nan_code : code;
      ASSERT_EQ(encode(layout(), static_cast<double>(value), rounding), expected) << "code " << code;
    }
  }
}

TEST_P(ElementLayout, MagnitudesIncreaseWithTheirCodes) {
  for (std::uint32_t code = 1; code <= layout().max_code; ++code)
    ASSERT_LT(decode(layout(), code - 1), decode(layout(), code)) << "code " << code;
}

TEST_P(ElementLayout, FiniteValuesSaturateOrOverflowAndKeepTheirSign) {
  const std::uint32_t sign = 1U << layout().sign_shift();
  for (const ElementRounding rounding : kRoundings) {
    const std::uint32_t last = layout().overflows ? *layout().inf_code : layout().max_code;
    EXPECT_EQ(encode(layout(), 0x1p1000, rounding), last);
    EXPECT_EQ(encode(layout(), -0x1p1000, rounding), last | sign);
    EXPECT_EQ(encode(layout(), -0x1p1000, rounding, Overflow::saturate), layout().max_code | sign);
    EXPECT_EQ(encode(layout(), 0x1p-1000, rounding), 0U);
    EXPECT_EQ(encode(layout(), -0x1p-1000, rounding), sign);
    EXPECT_EQ(encode(layout(), -0.0, rounding), sign);
  }
}

// The nearest value of the code table, found by search: between two neighbours the midpoint (exact in a double)
// decides, on it the even code, or the larger magnitude.
std::uint32_t nearest_code(const std::vector<double>& magnitudes, double value, ElementRounding rounding) {
  const auto above = std::ranges::upper_bound(magnitudes, value);
  if (above == magnitudes.end()) return static_cast<std::uint32_t>(magnitudes.size()) - 1;
  const auto upper = static_cast<std::uint32_t>(above - magnitudes.begin());
  const std::uint32_t lower = upper - 1;
  const double middle = (magnitudes[lower] + magnitudes[upper]) / 2;
  if (value != middle) return value < middle ? lower : upper;
  if (rounding == ElementRounding::half_away) return upper;
  return lower % 2 == 0 ? lower : upper;
}

TEST_P(ElementLayout, CastsOfASampleOfAllFloatsAreTheNearestCodes) {
  std::vector<double> magnitudes;
  for (std::uint32_t code = 0; code <= layout().max_code; ++code)
    magnitudes.push_back(static_cast<double>(decode(layout(), code)));
  // Inf has the code that the next power of two would have.
  if (layout().overflows) magnitudes.push_back(std::ldexp(1.0, layout().max_exponent() + 1));
  for (const ElementRounding rounding : kRoundings) {
    for (std::uint64_t bits = 0; bits < 0x7F800000; bits += 4097) {
      const double value = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
      const std::uint32_t expected = nearest_code(magnitudes, value, rounding);
      ASSERT_EQ(encode(layout(), value, rounding), expected) << value;
      ASSERT_EQ(encode(layout(), -value, rounding), expected | 1U << layout().sign_shift()) << -value;
    }
  }
}

TEST_P(ElementLayout, EveryMidpointIsATieAndItsNeighboursAreNot) {
  for (std::uint32_t code = 0; code < layout().max_code; ++code) {
    const double middle =
        (static_cast<double>(decode(layout(), code)) + static_cast<double>(decode(layout(), code + 1))) / 2;
    const std::uint32_t even = code % 2 == 0 ? code : code + 1;
    ASSERT_EQ(encode(layout(), middle, ElementRounding::nearest_even), even) << middle;
    ASSERT_EQ(encode(layout(), middle, ElementRounding::half_away), code + 1) << middle;
    for (const ElementRounding rounding : kRoundings) {
      ASSERT_EQ(encode(layout(), std::nextafter(middle, 0.0), rounding), code) << middle;
      ASSERT_EQ(encode(layout(), std::nextafter(middle, 1e300), rounding), code + 1) << middle;
    }
  }
}

TEST(E2m1, CodesAreTheEightMagnitudes) {
  const float magnitudes[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  for (std::uint32_t code = 0; code < 8; ++code) {
    EXPECT_EQ(decode(kE2m1, code), magnitudes[code]);
    EXPECT_EQ(decode(kE2m1, code | 8), -magnitudes[code]);
  }
  EXPECT_TRUE(std::signbit(decode(kE2m1, 8)));
}

TEST(E2m1, TiesGoToTheEvenCodeOrAwayFromZero) {
  struct Tie {
    double value;
    float even, away;
  };
  for (const Tie& tie : {Tie{.25, 0, .5F}, Tie{.75, 1, 1}, Tie{1.25, 1, 1.5F}, Tie{1.75, 2, 2}, Tie{2.5, 2, 3},
                         Tie{3.5, 4, 4}, Tie{5, 4, 6}}) {
    EXPECT_EQ(decode(kE2m1, encode(kE2m1, tie.value, ElementRounding::nearest_even)), tie.even) << tie.value;
    EXPECT_EQ(decode(kE2m1, encode(kE2m1, tie.value, ElementRounding::half_away)), tie.away) << tie.value;
  }
}

TEST(E2m1, HasNoInfinityAndNoNan) {
  EXPECT_EQ(encode(kE2m1, static_cast<double>(-kInfinity), ElementRounding::nearest_even), 0xFU);
  EXPECT_EQ(encode(kE2m1, std::nan(""), ElementRounding::nearest_even), 0U);
}

TEST(E4m3, LimitsAreThoseOfTheStandard) {
  EXPECT_EQ(decode(kE4m3, 0x7E), 448.0F);
  EXPECT_EQ(decode(kE4m3, 0x08), 0x1p-6F);
  EXPECT_EQ(decode(kE4m3, 0x01), 0x1p-9F);
  EXPECT_EQ(kE4m3.max_exponent(), 8);
  EXPECT_EQ(encode(kE4m3, static_cast<double>(kInfinity), ElementRounding::nearest_even), 0x7EU);
}

TEST(E4m3, OnlyAllOnesIsNan) {
  for (std::uint32_t code = 0; code < 256; ++code)
    EXPECT_EQ(std::isnan(decode(kE4m3, code)), (code & 0x7F) == 0x7F) << code;
}

TEST(SixteenBit, LimitsAreThoseOfIeee754) {
  EXPECT_EQ(decode(kFp16, 0x7BFF), 65504.0F);
  EXPECT_EQ(decode(kFp16, 0x0400), 0x1p-14F);
  EXPECT_EQ(decode(kFp16, 0x0001), 0x1p-24F);
  EXPECT_EQ(decode(kBf16, 0x7F7F), 0x1.FEp127F);
  EXPECT_EQ(decode(kBf16, 0x0001), 0x1p-133F);
  EXPECT_EQ(encode(kFp16, 65520, ElementRounding::nearest_even), 0x7C00U);
  EXPECT_EQ(encode(kFp16, 65520, ElementRounding::nearest_even, Overflow::saturate), 0x7BFFU);
  for (const FloatLayout* layout : {&kFp16, &kBf16}) {
    EXPECT_EQ(decode(*layout, encode(*layout, static_cast<double>(kInfinity), ElementRounding::nearest_even)),
              kInfinity);
    EXPECT_EQ(decode(*layout, encode(*layout, static_cast<double>(-kInfinity), ElementRounding::nearest_even)),
              -kInfinity);
  }
}

TEST(SixteenBit, LoopDecodersAgreeWithTheLayoutOnEveryCode) {
  for (std::uint32_t code = 0; code < 65536; ++code) {
    const auto code16 = static_cast<std::uint16_t>(code);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(canonical(bf16_to_float(code16))),
              std::bit_cast<std::uint32_t>(decode(kBf16, code)));
    ASSERT_EQ(std::bit_cast<std::uint32_t>(canonical(fp16_to_float(code16))),
              std::bit_cast<std::uint32_t>(decode(kFp16, code)));
  }
}

TEST(E8m0, EveryCodeIsAPowerOfTwoExceptNan) {
  for (int code = 0; code < 255; ++code) {
    const auto code8 = static_cast<std::uint8_t>(code);
    EXPECT_EQ(decode_e8m0(code8), std::pow(2.0, code - 127));
    EXPECT_EQ(encode_e8m0(code - 127), code8);
  }
  EXPECT_TRUE(std::isnan(decode_e8m0(0xFF)));
}

TEST(E8m0, ExponentsAreClamped) {
  EXPECT_EQ(encode_e8m0(-128), 0);
  EXPECT_EQ(encode_e8m0(-1000), 0);
  EXPECT_EQ(encode_e8m0(128), 254);
}

TEST(Int8, TiesGoToEvenOrAwayAndTheRangeIsSymmetric) {
  EXPECT_EQ(encode_integer(0.5F, 127, ElementRounding::nearest_even), 0);
  EXPECT_EQ(encode_integer(1.5F, 127, ElementRounding::nearest_even), 2);
  EXPECT_EQ(encode_integer(-2.5F, 127, ElementRounding::nearest_even), -2);
  EXPECT_EQ(encode_integer(0.5F, 127, ElementRounding::half_away), 1);
  EXPECT_EQ(encode_integer(-2.5F, 127, ElementRounding::half_away), -3);
  EXPECT_EQ(encode_integer(0.49999997F, 127, ElementRounding::half_away), 0);
  EXPECT_EQ(encode_integer(127.5F, 127, ElementRounding::half_away), 127);
  EXPECT_EQ(encode_integer(-1000.0F, 127, ElementRounding::nearest_even), -127);
}

TEST(RowScale, IsAmaxOverTheLargestCode) {
  EXPECT_EQ(outer_scale(ElementType::e4m3, 448.0F), 1.0F);
  EXPECT_EQ(outer_scale(ElementType::e4m3, 1.0F), 1.0F / 448.0F);
  EXPECT_EQ(outer_scale(ElementType::int8, 254.0F), 2.0F);
}

TEST(RowScale, HasAFloorForInt8AndIsNeverZeroForFp8) {
  EXPECT_EQ(outer_scale(ElementType::int8, 0.0F), 1e-5F / 127);
  EXPECT_EQ(outer_scale(ElementType::int8, 1e-4F), 1e-4F / 127);
  EXPECT_EQ(outer_scale(ElementType::e4m3, 0.0F), 1.0F);
  EXPECT_EQ(outer_scale(ElementType::e4m3, 0x1p-149F), 1.0F);
}

}  // namespace
}  // namespace oscsim::numerics
