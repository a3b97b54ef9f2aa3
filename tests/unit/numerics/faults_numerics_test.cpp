// SPDX-License-Identifier: Apache-2.0
// Casts that gave other numbers than their authorities: floors of scales, NVFP4's block scale, HiFloat4's ties,
// overflow of 16 bits, the sign of zero.
#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "models/numerics/cast_targets.h"
#include "models/numerics/element.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

using boost::multiprecision::cpp_int;

// By the reference; every fast cast must give its bytes.
QuantisedMatrix checked_cast(FormatId id, const Matrix& matrix, const CastOptions& options = {}) {
  const QuantisedMatrix expected = reference::quantise(id, matrix.view(), options);
  for (const CastTarget& target : cast_targets()) {
    const QuantisedMatrix fast = quantise_with(target, id, matrix.view(), options);
    EXPECT_EQ(fast.codes, expected.codes) << name_of(id) << " " << target.name;
    EXPECT_EQ(fast.block_scale, expected.block_scale) << name_of(id) << " " << target.name;
    for (std::size_t i = 0; i < expected.outer_scale.size(); ++i)
      EXPECT_EQ(bits_of(fast.outer_scale[i]), bits_of(expected.outer_scale[i])) << name_of(id) << " " << target.name;
  }
  return expected;
}

QuantisedMatrix checked_row(FormatId id, const std::vector<float>& row, const CastOptions& options = {}) {
  return checked_cast(id, matrix_of({row}), options);
}

TEST(FaultA2, Int8FloorsTheMaximumNotTheScale) {
  const std::vector<float> row(64, 4e-6F);
  const QuantisedMatrix eight = checked_row(FormatId::int8, row);
  EXPECT_EQ(eight.outer_scale[0], 1e-5F / 127);
  EXPECT_EQ(eight.code(0, 63), 51U);
  const QuantisedMatrix four = checked_row(FormatId::int4, row);
  EXPECT_EQ(four.outer_scale[0], 1e-5F / 7);
  EXPECT_EQ(four.code(0, 63), 3U);
}

TEST(FaultA2, VariantMaximaAboveTheFloorUseTheWholeGrid) {
  for (const float amax : {1.1e-5F, 1e-4F, 1e-3F}) {
    const QuantisedMatrix eight = checked_row(FormatId::int8, {amax, -amax / 2});
    EXPECT_EQ(eight.outer_scale[0], amax / 127);
    EXPECT_EQ(eight.code(0, 0), 127U);
    EXPECT_EQ(checked_row(FormatId::int4, {amax, -amax}).code(0, 1), 9U);  // -7
  }
}

TEST(FaultA2, VariantFp8HasNoFloor) {
  const QuantisedMatrix row = checked_row(FormatId::fp8, {4e-6F, -1e-6F});
  EXPECT_EQ(row.outer_scale[0], 4e-6F / 448);
  EXPECT_EQ(row.code(0, 0), 0x7EU);
}

std::vector<std::uint8_t> bf16_bytes(float value) {
  const std::uint32_t code = encode(kBf16, static_cast<double>(value), ElementRounding::nearest_even);
  return {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(code >> 8)};
}

TEST(FaultA18, Int4AsymFloorsTheRangeNotTheStep) {
  std::vector<float> row(128);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = 1e-4F * static_cast<float>(i % 16) / 15;
  const QuantisedMatrix group = checked_row(FormatId::int4_asym, row);
  const std::vector<std::uint8_t> step = bf16_bytes(1e-4F / 15);
  EXPECT_EQ(group.block_scale, (std::vector<std::uint8_t>{step[0], step[1], 0}));
  for (std::int64_t i = 0; i < 16; ++i) EXPECT_EQ(group.code(0, i), static_cast<std::uint32_t>(i));
}

TEST(FaultA18, VariantRangesBelowTheFloorAndBeyondFp32) {
  const QuantisedMatrix small = checked_row(FormatId::int4_asym, std::vector<float>(128, -4e-6F));
  const std::vector<std::uint8_t> step = bf16_bytes(1e-5F / 15);
  EXPECT_EQ(small.block_scale, (std::vector<std::uint8_t>{step[0], step[1], 6}));
  EXPECT_EQ(small.code(0, 0), 0U);
  const QuantisedMatrix large = checked_row(FormatId::int4_asym, {3e38F, -3e38F});
  EXPECT_NEAR(large.value(0, 0), 3e38F, 3e37F);
  EXPECT_NEAR(large.value(0, 1), -3e38F, 3e37F);
}

std::vector<int> scale_bytes_of(float tensor_amax, float block_amax, FormatId id = FormatId::nvfp4) {
  std::vector<int> bytes;
  for (const auto& [name, rule] : EnumNames<Nvfp4Scale>::kValues)
    bytes.push_back(checked_row(id, {block_amax, 0}, {.tensor_amax = tensor_amax, .nvfp4_scale = rule}).block_scale[0]);
  return bytes;
}

TEST(FaultA3, BlockScaleIsTheExactQuotientOrTransformerEngines) {
  EXPECT_EQ(scale_bytes_of(4.5625F, 1.7109375F), (std::vector{115, 115, 114}));
  EXPECT_EQ(scale_bytes_of(1, 0.084821425F), (std::vector{97, 98, 97}));
  EXPECT_EQ(scale_bytes_of(1, 0.11132812F, FormatId::nvfp4_single)[0], 9);
}

// The code of the E4M3 number nearest to amax * S / 6, ties to even, in integers: units of 2^-300.
int nearest_e4m3(float amax, float encode_scale) {
  const auto exact = [](double value) {
    int exponent = 0;
    const auto digits = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
    return cpp_int(digits) << (exponent - 53 + 400);
  };
  const cpp_int wanted = exact(static_cast<double>(amax) * static_cast<double>(encode_scale));  // exact in a double
  int best = 0;
  cpp_int distance = -1;
  for (int code = 0; code <= 0x7E; ++code) {
    const cpp_int here = abs(wanted - 6 * exact(static_cast<double>(decode(kE4m3, static_cast<std::uint32_t>(code)))));
    if (distance < 0 || here < distance || (here == distance && code % 2 == 0)) {
      best = code;
      distance = here;
    }
  }
  return best;
}

TEST(FaultA3, VariantTiesAndTheirNeighboursAreRoundedOnce) {
  std::mt19937 generator(3);
  for (int i = 0; i < 400; ++i) {
    const float tensor = std::ldexp(static_cast<float>(1 + generator() % 0xFFFFFF), -20);
    const float scale = nvfp4_encode_scale(tensor);
    // Next to the middle of two neighbouring codes.
    const auto code = static_cast<std::uint32_t>(generator() % 0x7D);
    const double middle = (static_cast<double>(decode(kE4m3, code)) + static_cast<double>(decode(kE4m3, code + 1))) / 2;
    float amax = static_cast<float>(middle * 6 / static_cast<double>(scale));
    for (auto step = generator() % 3; step > 0; --step) amax = std::nextafter(amax, i % 2 == 0 ? 0.0F : kInfinity);
    const QuantisedMatrix cast = checked_row(FormatId::nvfp4, {amax}, {.tensor_amax = tensor});
    EXPECT_EQ(int{cast.block_scale[0]}, nearest_e4m3(amax, scale)) << amax << " of " << tensor;
  }
}

TEST(FaultA3, VariantFastCastsHaveTheReferencesBytesUnderEveryRule) {
  std::mt19937 generator(5);
  Matrix matrix(Dtype::fp32, 40, 1040);
  for (std::int64_t row = 0; row < matrix.rows(); ++row)
    for (float& value : matrix.row_f32(row)) {
      const auto drawn = static_cast<std::uint32_t>(generator());
      // Any bits in the first rows, then exponents near 0.
      value = std::bit_cast<float>(row < 8 ? drawn : (drawn & 0x83FFFFFF) | 0x3C000000);
    }
  for (const FormatId id : {FormatId::nvfp4, FormatId::nvfp4_single})
    for (const auto& [name, rule] : EnumNames<Nvfp4Scale>::kValues)
      for (const float tensor : {1e-38F, 1.0F, 8.0F, 3e38F})
        checked_cast(id, matrix, {.tensor_amax = tensor, .nvfp4_scale = rule});
}

TEST(FaultA5, Hif4TiesGoAwayFromZero) {
  std::vector<float> row(64);
  row[0] = 7;
  row[8] = 0.125F;
  EXPECT_EQ(checked_row(FormatId::hif4, row).value(0, 8), 0.25F);
  EXPECT_EQ(checked_row(FormatId::hif4, row, {.rounding = ElementRounding::nearest_even}).value(0, 8), 0);
}

TEST(FaultA5, VariantTiesUnderMicroExponentsAndOtherFormats) {
  std::vector<float> row(64);
  row[0] = 7;        // a scale of 1
  row[16] = 2;       // a step of 1/2 for four elements
  row[17] = -0.25F;  // half of it
  row[24] = -0.625F;
  const QuantisedMatrix away = checked_row(FormatId::hif4, row);
  EXPECT_EQ(away.value(0, 17), -0.5F);
  EXPECT_EQ(away.value(0, 24), -0.75F);
  EXPECT_EQ(checked_row(FormatId::hif4, row, {.rounding = ElementRounding::nearest_even}).value(0, 24), -0.5F);
  EXPECT_EQ(checked_row(FormatId::mx_e1m2, {1, 0.625F}).value(0, 1), 0.5F);
  EXPECT_EQ(checked_row(FormatId::mxfp4, {6, 2.5F}).value(0, 1), 2);
}

TEST(FaultA7, NumbersBeyondSixteenBitsBecomeInfinite) {
  EXPECT_EQ(checked_row(FormatId::fp16, {65520, -65520, 1e9F}).codes,
            (std::vector<std::uint8_t>{0, 0x7C, 0, 0xFC, 0, 0x7C}));
  EXPECT_EQ(checked_row(FormatId::bf16, {3.4e38F}).value(0, 0), kInfinity);
  const CastOptions saturate{.overflow = Overflow::saturate};
  EXPECT_EQ(checked_row(FormatId::fp16, {65520, -1e9F}, saturate).codes,
            (std::vector<std::uint8_t>{0xFF, 0x7B, 0xFF, 0xFB}));
  EXPECT_EQ(checked_row(FormatId::bf16, {3.4e38F}, saturate).codes, (std::vector<std::uint8_t>{0x7F, 0x7F}));
}

TEST(FaultA7, VariantTheLastNumberThatStaysFiniteIsBelowHalfAStep) {
  const float largest16 = std::nextafter(65520.0F, 0.0F);
  const float tie = std::bit_cast<float>(0x7F7F8000U);  // half a step above the largest BF16
  for (const auto& [name, rounding] : EnumNames<ElementRounding>::kValues) {
    const CastOptions options{.rounding = rounding};
    EXPECT_EQ(checked_row(FormatId::fp16, {largest16}, options).value(0, 0), 65504) << name;
    EXPECT_EQ(checked_row(FormatId::fp16, {65520}, options).value(0, 0), kInfinity) << name;
    EXPECT_EQ(checked_row(FormatId::bf16, {std::nextafter(tie, 0.0F)}, options).codes[0], 0x7F) << name;
    EXPECT_EQ(checked_row(FormatId::bf16, {-tie}, options).value(0, 0), -kInfinity) << name;
  }
}

TEST(FaultA7, VariantNarrowFormatsStillSaturate) {
  EXPECT_EQ(checked_row(FormatId::fp8_e5m2_tensor, {61440, 1}, {.tensor_amax = 57344.0F}).value(0, 0), 57344);
  EXPECT_EQ(checked_row(FormatId::fp8_tensor, {1e9F, 1}, {.tensor_amax = 448.0F}).value(0, 0), 448);
  EXPECT_EQ(checked_row(FormatId::mxfp8_e5m2, {65535, 1}).value(0, 0), 57344);
}

TEST(FaultA7, DecodedZerosKeepTheirSign) {
  const QuantisedMatrix cast = checked_row(FormatId::mxfp4, {6, -0.1F, 0.1F});
  EXPECT_EQ(bits_of(cast.value(0, 1)), 0x80000000);
  EXPECT_EQ(bits_of(cast.value(0, 2)), 0U);
}

TEST(FaultA7, VariantEveryFloatingPointElementKeepsTheSignOfZero) {
  for (const FormatInfo& info : formats()) {
    const QuantisedMatrix cast = checked_row(info.id, {6, -0.0F, 0});
    EXPECT_EQ(bits_of(cast.value(0, 1)), is_integer(info.element) ? 0U : 0x80000000) << info.name;
    EXPECT_EQ(bits_of(cast.value(0, 2)), 0U) << info.name;
  }
}

}  // namespace
}  // namespace oscsim::numerics
