// SPDX-License-Identifier: Apache-2.0
// The scalar definition of casts: scale rules, special values, layout, examples worked by hand.
#include "models/numerics/quantise.h"

#include <gmock/gmock.h>

#include <cmath>

#include "models/numerics/element.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

QuantisedMatrix cast_row_of(FormatId format, const std::vector<float>& row, const CastOptions& options = {}) {
  return reference::quantise(format, matrix_of({row}).view(), options);
}

// ------ the format table

TEST(FormatTable, NamesLeadToTheirEntries) {
  for (const FormatInfo& info : formats()) {
    EXPECT_EQ(format(info.name).id, info.id);
    EXPECT_EQ(format(info.id).name, info.name);
    EXPECT_EQ(name_of(info.id), info.name);
  }
}

TEST(FormatTable, UnknownNameIsAnsweredWithTheNearest) {
  EXPECT_EQ(error_of([] { format("mxpf4"); }),
            "unknown format 'mxpf4'\n  allowed: mxfp4, mxfp8, mxfp8_e5m2, mxint8, mx_e1m2, nvfp4, nvfp4_single, hif4, "
            "amxfp4, int8, int4, "
            "int4_asym, fp8, fp8_e5m2, fp8_tensor, fp8_e5m2_tensor, bf16, fp16; did you mean 'mxfp4'?");
}

TEST(FormatTable, StorageCountsWholeBlocks) {
  EXPECT_EQ(code_bytes(format(FormatId::mxfp4), 2, 33), Bytes(64));
  EXPECT_EQ(scale_bytes(format(FormatId::mxfp4), 2, 33), Bytes(4));
  EXPECT_EQ(code_bytes(format(FormatId::mxfp8), 1, 4096) + scale_bytes(format(FormatId::mxfp8), 1, 4096), Bytes(4224));
  EXPECT_EQ(code_bytes(format(FormatId::fp8), 3, 33), Bytes(99));
  EXPECT_EQ(scale_bytes(format(FormatId::int8), 3, 33), Bytes(12));
  EXPECT_EQ(code_bytes(format(FormatId::bf16), 3, 5), Bytes(30));
  EXPECT_EQ(scale_bytes(format(FormatId::bf16), 3, 5), Bytes(0));
}

// ------ MX scales

TEST(ScaleRules, BlockMaximaDecodeAsTabulated) {
  struct Row {
    ScaleRule rule;
    std::array<float, 4> decoded;  // of block maxima 6.0, 6.5, 7.0, 7.9
    std::array<int, 4> exponent;
  };
  const std::array<float, 4> amax = {6.0F, 6.5F, 7.0F, 7.9F};
  for (const Row& row :
       {Row{ScaleRule::floor, {6, 6, 6, 6}, {0, 0, 0, 0}}, Row{ScaleRule::even, {6, 6, 8, 8}, {0, 0, 1, 1}},
        Row{ScaleRule::ceil, {6, 6, 8, 8}, {1, 1, 1, 1}}, Row{ScaleRule::rceil, {6, 6, 8, 8}, {0, 1, 1, 1}}}) {
    for (std::size_t i = 0; i < amax.size(); ++i) {
      const QuantisedMatrix cast = cast_row_of(FormatId::mxfp4, {0.1F, -amax[i], 1}, {.scale_rule = row.rule});
      EXPECT_EQ(cast.value(0, 1), -row.decoded[i]) << name_of(row.rule) << " " << amax[i];
      EXPECT_EQ(cast.block_scale[0], 127 + row.exponent[i]) << name_of(row.rule) << " " << amax[i];
    }
  }
}

// The exponent by each rule's own wording, found by search over powers of two instead of by bits.
int searched_exponent(double amax, const FloatLayout& element, ScaleRule rule) {
  const double largest = static_cast<double>(decode(element, element.max_code));
  int exponent = -400;
  switch (rule) {
    case ScaleRule::floor:
      while (std::ldexp(1.0, exponent + 1) <= amax) ++exponent;
      return exponent - element.max_exponent();
    case ScaleRule::ceil:
      while (std::ldexp(1.0, exponent) < amax) ++exponent;
      return exponent - element.max_exponent();
    case ScaleRule::rceil:
      while (std::ldexp(largest, exponent) < amax) ++exponent;
      return exponent;
    case ScaleRule::even: {  // keep mantissa_bits after the leading one, half up, then the floor rule
      while (std::ldexp(1.0, exponent + 1) <= amax) ++exponent;
      const double step = std::ldexp(1.0, exponent - element.mantissa_bits);
      return searched_exponent(std::floor(amax / step + 0.5) * step, element, ScaleRule::floor);
    }
  }
  return 0;
}

TEST(ScaleRules, ExponentsFollowTheirWordingOverTheWholeRange) {
  for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8}) {
    const FloatLayout& element = layout_of(format(id).element);
    for (const auto& [name, rule] : EnumNames<ScaleRule>::kValues) {
      for (std::uint32_t bits = 1; bits < 0x7F800000; bits += 0x1FFFF0 / 2) {
        for (const std::uint32_t nearby : {bits & 0x7FF00000, (bits & 0x7FF00000) + 1, bits, bits | 0x7FFFF}) {
          const float amax = std::bit_cast<float>(nearby);
          if (amax == 0) continue;
          const int exponent = std::clamp(searched_exponent(static_cast<double>(amax), element, rule), -127, 127);
          const QuantisedMatrix cast = cast_row_of(id, {amax}, {.scale_rule = rule});
          ASSERT_EQ(cast.block_scale[0], exponent + 127) << name_of(id) << " " << name << " " << amax;
        }
      }
    }
  }
}

TEST(MxCast, SubnormalBlocksUseTheSmallestScale) {
  const QuantisedMatrix cast = cast_row_of(FormatId::mxfp4, {0x1p-128F, -0x1.8p-127F, 0x1p-149F});
  EXPECT_EQ(cast.block_scale[0], 0);
  EXPECT_EQ(cast.value(0, 0), 0x1p-128F);
  EXPECT_EQ(cast.value(0, 1), -0x1.8p-127F);
  EXPECT_EQ(cast.value(0, 2), 0.0F);
}

TEST(MxCast, LargestFloatsSaturateTheElement) {
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(cast_row_of(FormatId::mxfp4, {largest}).value(0, 0), 0x1.8p127F);
  EXPECT_EQ(cast_row_of(FormatId::mxfp8, {largest}).value(0, 0), 0x1.Cp127F);
  EXPECT_EQ(cast_row_of(FormatId::mxfp8, {largest}, {.scale_rule = ScaleRule::ceil}).value(0, 0), kInfinity);
}

TEST(MxCast, ZeroBlocksHaveScaleZeroAndKeepSigns) {
  const QuantisedMatrix cast = cast_row_of(FormatId::mxfp4, {0.0F, -0.0F});
  EXPECT_EQ(cast.block_scale[0], 0);
  EXPECT_EQ(cast.code(0, 0), 0x0U);
  EXPECT_EQ(cast.code(0, 1), 0x8U);
}

TEST(MxCast, NanOrInfinityMarksItsBlockOnly) {
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
    std::vector<float> row(70, 1.0F);
    row[40] = bad;
    for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8}) {
      const QuantisedMatrix cast = cast_row_of(id, row);
      EXPECT_THAT(std::vector<int>(cast.block_scale.begin(), cast.block_scale.end()),
                  testing::ElementsAre(127 - layout_of(format(id).element).max_exponent(), 0xFF,
                                       127 - layout_of(format(id).element).max_exponent()));
      for (std::int64_t i = 32; i < 64; ++i) EXPECT_EQ(cast.code(0, i), 0U);
      EXPECT_TRUE(std::isnan(cast.value(0, 33)));
      EXPECT_EQ(cast.value(0, 69), 1.0F);
    }
  }
}

TEST(MxCast, TailBlockIsPaddedWithZeroCodes) {
  const QuantisedMatrix cast = cast_row_of(FormatId::mxfp4, std::vector<float>(33, -6.0F));
  EXPECT_EQ(cast.row_bytes, 32);
  EXPECT_EQ(cast.codes[15], 0xFF);
  EXPECT_EQ(cast.codes[16], 0x0F);
  EXPECT_THAT(std::vector<int>(cast.codes.begin() + 17, cast.codes.end()), Each(0));
}

// ------ row scales and 16 bit

TEST(RowScaledCast, LargestElementReachesTheLargestCode) {
  const QuantisedMatrix fp8 = cast_row_of(FormatId::fp8, {1, -896, 2});
  EXPECT_EQ(fp8.outer_scale[0], 2.0F);
  EXPECT_EQ(fp8.code(0, 1), 0xFEU);
  EXPECT_EQ(fp8.value(0, 2), 2.0F);
  const QuantisedMatrix int8 = cast_row_of(FormatId::int8, {1, -254, 5});
  EXPECT_EQ(int8.outer_scale[0], 2.0F);
  EXPECT_EQ(int8.code(0, 1), 0x81U);
  EXPECT_EQ(int8.value(0, 0), 0.0F);  // 0.5 ties to even
  EXPECT_EQ(int8.value(0, 2), 4.0F);  // 2.5 ties to even
}

TEST(RowScaledCast, NanOrInfinityMarksItsRowOnly) {
  for (const FormatId id : {FormatId::fp8, FormatId::int8}) {
    const QuantisedMatrix cast = reference::quantise(id, matrix_of({{1, kInfinity}, {1, 2}}).view(), {});
    EXPECT_EQ(std::bit_cast<std::uint32_t>(cast.outer_scale[0]), kCanonicalNanBits);
    EXPECT_EQ(cast.code(0, 0), 0U);
    EXPECT_EQ(cast.code(0, 1), 0U);
    EXPECT_TRUE(std::isfinite(cast.value(1, 1)));
  }
}

TEST(RowScaledCast, ZeroRowsAreZero) {
  EXPECT_EQ(cast_row_of(FormatId::fp8, {0, 0}).outer_scale[0], 1.0F);
  EXPECT_EQ(cast_row_of(FormatId::int8, {0, 0}).outer_scale[0], 1e-5F / 127);
  EXPECT_EQ(cast_row_of(FormatId::int8, {0, 0}).value(0, 1), 0.0F);
}

TEST(PlainCast, SpecialValuesStayInTheirElements) {
  for (const FormatId id : {FormatId::bf16, FormatId::fp16}) {
    const QuantisedMatrix cast = cast_row_of(id, {1, std::nanf(""), -kInfinity, 3e38F});
    EXPECT_EQ(cast.value(0, 0), 1.0F);
    EXPECT_TRUE(std::isnan(cast.value(0, 1)));
    EXPECT_EQ(cast.value(0, 2), -kInfinity);
    EXPECT_TRUE(std::isfinite(cast.value(0, 0)));
  }
}

TEST(TensorScaledCast, ScaleComesFromTheWholeTensor) {
  const Matrix matrix = matrix_of({{1, 2}, {-896, 4}});
  const QuantisedMatrix own = reference::quantise(FormatId::fp8_tensor, matrix.view(), {});
  EXPECT_THAT(own.outer_scale, ElementsAre(2.0F));
  EXPECT_EQ(own.value(0, 1), 2.0F);
  EXPECT_EQ(own.code(1, 0), 0xFEU);
  const QuantisedMatrix given = reference::quantise(FormatId::fp8_e5m2_tensor, matrix.view(), {.tensor_amax = 28672});
  EXPECT_THAT(given.outer_scale, ElementsAre(0.5F));
  EXPECT_EQ(given.value(1, 0), -896.0F);
}

TEST(TensorScaledCast, NanOrInfinityMarksTheTensor) {
  for (const FormatId id : {FormatId::fp8_tensor, FormatId::fp8_e5m2_tensor, FormatId::nvfp4})
    for (const CastOptions& options : {CastOptions{}, CastOptions{.tensor_amax = kInfinity}}) {
      const QuantisedMatrix cast = reference::quantise(id, matrix_of({{1, -kInfinity}, {1, 2}}).view(), options);
      EXPECT_EQ(std::bit_cast<std::uint32_t>(cast.outer_scale[0]), kCanonicalNanBits);
      EXPECT_THAT(cast.codes, Each(0));
      EXPECT_TRUE(std::isnan(cast.value(1, 1)));
    }
  EXPECT_THROW(cast_row_of(FormatId::nvfp4, {1}, {.tensor_amax = -1.0F}), DefectError);
}

// ------ examples worked by hand

std::vector<std::uint32_t> codes_of(const QuantisedMatrix& cast, std::int64_t first, std::int64_t count) {
  std::vector<std::uint32_t> codes;
  for (std::int64_t i = first; i < first + count; ++i) codes.push_back(cast.code(0, i));
  return codes;
}

TEST(MxCast, OtherElementsCountInTheirOwnSteps) {
  // Shared exponent floor(log2 3) = 1: 1.5 is 96 of 64; -1/128 ties to 0, 3/128 to 2; 127.5 / 64 saturates.
  const QuantisedMatrix int8 = cast_row_of(FormatId::mxint8, {3, -0x1p-6F, 0x1.8p-5F, 255.0F / 64, -3.99F});
  EXPECT_EQ(int8.block_scale[0], 128);
  EXPECT_THAT(codes_of(int8, 0, 5), ElementsAre(0x30U * 2, 0U, 2U, 127U, 0x81U));
  // The largest E1M2 is 1.75, and 1.9 saturates; 0.625 ties to 0.5, 0.875 to 1.
  const QuantisedMatrix e1m2 = cast_row_of(FormatId::mx_e1m2, {1.9F, 0.625F, -0.875F, 0.1F});
  EXPECT_EQ(e1m2.block_scale[0], 127);
  EXPECT_THAT(codes_of(e1m2, 0, 4), ElementsAre(7U, 2U, 12U, 0U));
  // 57344 / 2^15 = 1.75 is the largest E5M2; 2^-17 is half a subnormal step.
  const QuantisedMatrix e5m2 = cast_row_of(FormatId::mxfp8_e5m2, {57344, -65535, 0x1p-17F, 0x1.8p-16F});
  EXPECT_EQ(e5m2.block_scale[0], 127);
  EXPECT_THAT(codes_of(e5m2, 0, 4), ElementsAre(0x7BU, 0xFBU, 0U, 2U));
}

TEST(Nvfp4Cast, FollowsItsFormulas) {
  // Tensor amax 10.5: encode scale 2688 / 10.5 = 256. Block amax 1.5: 1.5 * 256 / 6 = 64, factor 1 / (64 / 256) = 4.
  // The second block's 10.5 * 256 / 6 is clamped to 448, factor 1 / 1.75.
  std::vector<float> row = {1.5F, 0.0625F, -0.1875F, 0.625F};
  row.resize(16);
  row.insert(row.end(), {10.5F, 5.25F, -1.75F});
  const QuantisedMatrix even = cast_row_of(FormatId::nvfp4, row);
  EXPECT_THAT(even.outer_scale, ElementsAre(1.0F / 256));
  EXPECT_THAT(even.block_scale, ElementsAre(0x68, 0x7E));
  EXPECT_THAT(codes_of(even, 0, 4), ElementsAre(7U, 0U, 10U, 4U));  // 6, 0.25 to 0, -0.75 to -1, 2.5 to 2
  EXPECT_THAT(codes_of(even, 16, 3), ElementsAre(7U, 5U, 10U));     // 6, 3, -1
  EXPECT_EQ(even.value(0, 16), 10.5F);
  const QuantisedMatrix away = cast_row_of(FormatId::nvfp4, row, {.rounding = ElementRounding::half_away});
  EXPECT_THAT(codes_of(away, 0, 4), ElementsAre(7U, 1U, 10U, 5U));  // 0.25 to 0.5, 2.5 to 3
  // A larger tensor: encode scale 128, block scale 32, the same factor.
  const QuantisedMatrix larger = cast_row_of(FormatId::nvfp4, row, {.tensor_amax = 21.0F});
  EXPECT_EQ(larger.block_scale[0], 0x60);
  EXPECT_THAT(codes_of(larger, 0, 4), ElementsAre(7U, 0U, 10U, 4U));
}

TEST(Nvfp4Cast, SingleLevelClampsItsScale) {
  const QuantisedMatrix cast = cast_row_of(FormatId::nvfp4_single, {12, 5, -0.25F});
  EXPECT_TRUE(cast.outer_scale.empty());
  EXPECT_EQ(cast.block_scale[0], 0x40);                        // 2
  EXPECT_THAT(codes_of(cast, 0, 3), ElementsAre(7U, 4U, 8U));  // 6, 2.5 to 2, -0.125 to -0
  const QuantisedMatrix large = cast_row_of(FormatId::nvfp4_single, {1e6F, 1344});
  EXPECT_EQ(large.block_scale[0], 0x7E);
  EXPECT_THAT(codes_of(large, 0, 2), ElementsAre(7U, 5U));
  const QuantisedMatrix zero = cast_row_of(FormatId::nvfp4_single, {0.0F, -0.0F});
  EXPECT_EQ(zero.block_scale[0], 0);
  EXPECT_THAT(codes_of(zero, 0, 2), ElementsAre(0U, 8U));
  EXPECT_EQ(cast_row_of(FormatId::nvfp4_single, {1, kInfinity}).block_scale[0], 0x7F);
}

TEST(Hif4Cast, BlockWorkedByHand) {
  // 7 * BF16(1/7) = 0.998 rounds to BF16 1: scale 2^0. Elements 0 to 7 reach 4 and are halved; of them the first four
  // reach 2 still and are halved again. Of elements 8 to 15 only the first four reach 2.
  const QuantisedMatrix cast = cast_row_of(
      FormatId::hif4, {7, -5, 2.6F, 0.3F, 1, -1, 0.5F, 0.1F, 3, -2, 0.375F, 0.125F, 1.75F, -0.875F, 0.375F, 0});
  EXPECT_THAT(cast.block_scale, ElementsAre(192, 0b01, 0b0101, 0));
  EXPECT_THAT(codes_of(cast, 0, 8), ElementsAre(7U, 13U, 3U, 0U, 2U, 10U, 1U, 0U));
  EXPECT_THAT(codes_of(cast, 8, 8), ElementsAre(6U, 12U, 1U, 0U, 7U, 12U, 2U, 0U));
  EXPECT_THAT(std::vector<int>(cast.codes.begin() + 8, cast.codes.end()), Each(0));
  EXPECT_EQ(cast.value(0, 0), 7.0F);
  EXPECT_EQ(cast.value(0, 13), -1.0F);
}

TEST(Hif4Cast, ScaleIsRoundedTwiceAndItsInverseOnce) {
  // 9 * 0.142578125 = 1.2832 is 1.28125 in BF16 and 1.25 in E6M2; BF16(1 / 1.25) = 0.80078125. In the last four of the
  // block 9 becomes 7.207 / 4 = 1.80, -3 becomes 2.402 / 4 = 0.60.
  std::vector<float> row(64);
  row[60] = 9;
  row[63] = -3;
  const QuantisedMatrix cast = cast_row_of(FormatId::hif4, row);
  EXPECT_THAT(cast.block_scale, ElementsAre(193, 0x80, 0, 0x80));
  EXPECT_THAT(codes_of(cast, 60, 4), ElementsAre(7U, 0U, 0U, 10U));
  EXPECT_EQ(cast_row_of(FormatId::hif4, {0.0F, -0.0F}).block_scale[0], 0);  // 2^-48, the smallest
  EXPECT_EQ(cast_row_of(FormatId::hif4, {3e38F}).block_scale[0], 0xFE);
  EXPECT_THAT(cast_row_of(FormatId::hif4, {9, kInfinity}).block_scale, ElementsAre(kE6m2Nan, 0, 0, 0));
}

TEST(Amxfp4Cast, TheSignPicksTheScale) {
  const QuantisedMatrix cast = cast_row_of(FormatId::amxfp4, {12, 6, 1, -0.5F, -3, -0.25F});
  EXPECT_THAT(cast.block_scale, ElementsAre(0x40, 0x38));  // 12 / 6 and 3 / 6
  EXPECT_THAT(codes_of(cast, 0, 6), ElementsAre(7U, 5U, 1U, 10U, 15U, 9U));
  EXPECT_EQ(cast.value(0, 4), -3.0F);
  // 7 / 6 rounds to 1.25; 7 / 1.25 = 5.6. Without negative elements their scale is 1.
  const QuantisedMatrix positive = cast_row_of(FormatId::amxfp4, {7, 0});
  EXPECT_THAT(positive.block_scale, ElementsAre(0x3D, 0x3C));
  EXPECT_EQ(positive.value(0, 0), 7.5F);
  const QuantisedMatrix zero = cast_row_of(FormatId::amxfp4, {0.0F, -0.0F});
  EXPECT_THAT(zero.block_scale, ElementsAre(0x3C, 0x3C));
  EXPECT_THAT(codes_of(zero, 0, 2), ElementsAre(0U, 8U));
  EXPECT_THAT(cast_row_of(FormatId::amxfp4, {1, std::nanf("")}).block_scale, ElementsAre(0x7E, 0x7E));
}

TEST(AsymmetricCast, ZeroPointIsTheCodeOfZeroAndOfThePadding) {
  // Range 10 - -5 in 15 steps: scale 1, zero point 5.
  const std::vector<float> row = {10, -5, 0, 0.5F, -0.5F, 1.5F, 9.4F};
  const QuantisedMatrix even = cast_row_of(FormatId::int4_asym, row);
  EXPECT_THAT(even.block_scale, ElementsAre(0x80, 0x3F, 5));
  EXPECT_THAT(codes_of(even, 0, 7), ElementsAre(15U, 0U, 5U, 5U, 5U, 7U, 14U));
  EXPECT_THAT(std::vector<int>(even.codes.begin() + 4, even.codes.end()), Each(0x55));
  EXPECT_EQ(even.value(0, 1), -5.0F);
  EXPECT_EQ(even.value(0, 2), 0.0F);
  const QuantisedMatrix away = cast_row_of(FormatId::int4_asym, row, {.rounding = ElementRounding::half_away});
  EXPECT_THAT(codes_of(away, 3, 3), ElementsAre(6U, 4U, 7U));
}

TEST(AsymmetricCast, OneSidedAndZeroGroupsKeepZeroInTheirRange) {
  const QuantisedMatrix negative = cast_row_of(FormatId::int4_asym, {-15, -1});
  EXPECT_THAT(negative.block_scale, ElementsAre(0x80, 0x3F, 15));
  EXPECT_THAT(codes_of(negative, 0, 2), ElementsAre(0U, 14U));
  EXPECT_EQ(negative.codes[1], 0xFF);
  EXPECT_EQ(cast_row_of(FormatId::int4_asym, {15, 1}).block_scale[2], 0);
  EXPECT_THAT(cast_row_of(FormatId::int4_asym, {0, 0}).block_scale, ElementsAre(0x33, 0x35, 0));  // BF16(1e-5 / 15)
  EXPECT_THAT(cast_row_of(FormatId::int4_asym, {1, -kInfinity}).block_scale, ElementsAre(0xC0, 0x7F, 0));
}

TEST(RowScaledCast, Int4IsPackedInTwosComplement) {
  const QuantisedMatrix cast = cast_row_of(FormatId::int4, {14, -14, 3, -1, -3});
  EXPECT_THAT(cast.outer_scale, ElementsAre(2.0F));
  EXPECT_THAT(cast.codes, ElementsAre(0x97, 0x02, 0x0E));  // 7 -7; 1.5 to 2, -0.5 to 0; -1.5 to -2 and no more
}

TEST(EmptyOperand, NegativeSizesAreInputErrors) {
  EXPECT_EQ(error_of([] { empty_quantised(FormatId::mxfp4, 4, -32); }), "operand size [4, -32] is negative");
  EXPECT_THAT(error_of([] { empty_quantised(FormatId::bf16, std::int64_t{1} << 40, std::int64_t{1} << 40); }),
              HasSubstr("size of codes overflows"));
}

}  // namespace
}  // namespace oscsim::numerics
