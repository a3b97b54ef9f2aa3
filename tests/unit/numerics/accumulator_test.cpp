// SPDX-License-Identifier: Apache-2.0
// Accumulators: names, sums by hand, an oracle in Boost integers, and the engine's bits against the reference's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/exact.h"
#include "tests/unit/numerics/fused_oracle.h"
#include "tests/unit/numerics/rows.h"

namespace oscsim::numerics {
namespace {

float dot(std::string_view name, FormatId id, const Values& a_values, const Values& b_values) {
  const QuantisedMatrix a = row_of(id, a_values);
  const QuantisedMatrix b = row_of(id, b_values);
  return output_of({.a = &a, .b = &b, .accumulator = accumulator(name)});
}

// The sum of the values themselves: FP16 or another format by one.
float sum(std::string_view name, const Values& values, FormatId id = FormatId::bf16) {
  return dot(name, id, values, Values(values.size(), 1.0));
}

std::string message_of(const std::string& text) {
  try {
    accumulator(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Accumulator, EveryPresetIsFoundByItsNameAndHasASource) {
  for (const AccumulatorPreset& preset : accumulators()) {
    EXPECT_EQ(accumulator(preset.name), preset.accumulator) << preset.name;
    EXPECT_EQ(accumulator(text_of(preset.accumulator)), preset.accumulator) << preset.name;
    EXPECT_FALSE(preset.source.empty()) << preset.name;
    EXPECT_FALSE(preset.meaning.empty()) << preset.name;
    EXPECT_EQ(preset.accumulator.wide.sub_block, 1) << preset.name;
  }
  EXPECT_EQ(accumulators().front().accumulator, Accumulator{});
}

TEST(Accumulator, ParametersAreReadAndWritten) {
  const Accumulator read = accumulator("fused(25,16,rne)");
  EXPECT_EQ(read.kind, AccumulatorKind::fused);
  EXPECT_EQ(read.narrow, (Fusion{25, 16, FusedRounding::rne, 1}));
  EXPECT_EQ(read.wide, read.narrow);
  EXPECT_EQ(read.nan_bits, kCanonicalNanBits);
  const Accumulator blocks = accumulator("fused(35, 4, rz, 16)");
  EXPECT_EQ(blocks.narrow, (Fusion{35, 4, FusedRounding::rz, 16}));
  EXPECT_EQ(blocks.wide, (Fusion{35, 4, FusedRounding::rz, 1}));
  EXPECT_EQ(text_of(read), "fused(25,16,rne)");
  EXPECT_EQ(text_of(blocks), "fused(35,4,rz,16)");
  const Accumulator skipping = accumulator("fused(25,16,rz,1,skip)");
  EXPECT_EQ(skipping.narrow, (Fusion{.fraction_bits = 25, .terms = 16, .zeros = ZeroTerms::skip}));
  EXPECT_EQ(skipping.wide, skipping.narrow);
  EXPECT_EQ(text_of(skipping), "fused(25,16,rz,1,skip)");
  EXPECT_EQ(text_of(accumulator("fused(25,16,rz,1,align)")), "fused(25,16,rz)");
}

TEST(Accumulator, MistakesAreNamedWithWhatIsAllowed) {
  EXPECT_THAT(message_of("hoper_fp8"), testing::AllOf(testing::StartsWith("unknown accumulator 'hoper_fp8'\n  allowed: "
                                                                          "fp32_rne, exact, "),
                                                      testing::EndsWith("; did you mean 'hopper_fp8'?")));
  EXPECT_EQ(message_of("fused(25,16)"),
            "accumulator 'fused(25,16)' has 2 parameters\n  allowed: fused(fraction bits, terms, rounding[, "
            "sub-block[, zeros]])");
  EXPECT_EQ(message_of("fused(25,16,rz"),
            "accumulator 'fused(25,16,rz' does not end with ')'\n  allowed: "
            "fused(fraction bits, terms, rounding[, sub-block[, zeros]])");
  EXPECT_EQ(message_of("fused(25,16,rz,1,skp)"),
            "accumulator 'fused(25,16,rz,1,skp)': zeros 'skp'\n  allowed: align, skip; did you mean 'skip'?");
  EXPECT_EQ(message_of("fused(49,16,rz)"), "accumulator 'fused(49,16,rz)': fraction bits '49'\n  allowed: 1 to 48");
  EXPECT_EQ(message_of("fused(25,0x10,rz)"), "accumulator 'fused(25,0x10,rz)': terms '0x10'\n  allowed: 1 to 1024");
  EXPECT_EQ(message_of("fused(25,16,rnee)"),
            "accumulator 'fused(25,16,rnee)': rounding 'rnee'\n  allowed: rz, rne, rz_e8m13; did you mean 'rne'?");
  EXPECT_EQ(message_of("fused(25,16,rz,12)"), "accumulator 'fused(25,16,rz,12)': sub-block 12 is not a power of two");
}

TEST(Accumulator, SubBlocksThatDoNotShareAScaleAreRefused) {
  const auto check = [](FormatId id, std::string_view name) {
    const QuantisedMatrix matrix = empty_quantised(id, 1, 64);
    check_operands({.a = &matrix, .b = &matrix, .accumulator = accumulator(name)});
  };
  EXPECT_NO_THROW(check(FormatId::nvfp4, "blackwell_nvf4"));
  EXPECT_NO_THROW(check(FormatId::mxfp4, "blackwell_mxf4"));
  EXPECT_NO_THROW(check(FormatId::bf16, "blackwell_mxf4"));
  EXPECT_NO_THROW(check(FormatId::amxfp4, "blackwell_mxf8"));
  EXPECT_THROW(check(FormatId::nvfp4, "fused(35,4,rz,32)"), InputError);
  EXPECT_THROW(check(FormatId::amxfp4, "blackwell_mxf4"), InputError);
}

// 1 and -2^-25: the second is lost at 24 fraction bits; at 25 it makes a tie, which RZ and RNE decide differently.
TEST(Fused, TermsBelowTheFractionAreTruncated) {
  EXPECT_EQ(sum("ampere_fp16", {1, -0x1p-25}), 1);
  EXPECT_EQ(sum("hopper_fp16", {1, -0x1p-25}), 1 - 0x1p-24F);
  EXPECT_EQ(sum("fused(25,16,rne)", {1, -0x1p-25}), 1);
  EXPECT_EQ(sum("fused(26,16,rne)", {1, -0x1p-25, -0x1p-26}), 1 - 0x1p-24F);
}

TEST(Fused, TruncationIsTowardZeroForBothSigns) {
  EXPECT_EQ(sum("fused(2,4,rz)", {1, 0.375}), 1.25F);
  EXPECT_EQ(sum("fused(2,4,rz)", {-1, -0.375}), -1.25F);
  EXPECT_EQ(sum("fused(2,4,rz)", {1, -0.375}), 0.75F);
}

TEST(Fused, TheSumOfAGroupIsExact) {
  EXPECT_EQ(sum("turing_fp16", {0x1p24, 1, 1}), 0x1p24F + 2);  // one by one the ones are lost
  EXPECT_EQ(sum("fused(24,1,rz)", {0x1p24, 1, 1}), 0x1p24F);
  EXPECT_EQ(sum("fp32_rne", {0x1p24, 1, 1}), 0x1p24F);
  EXPECT_EQ(sum("exact", {0x1p24, 1, 1}), 0x1p24F + 2);
}

TEST(Fused, ResultsAreRoundedTowardZeroOrToNearest) {
  EXPECT_EQ(sum("fused(25,8,rz)", {0x1p24, 1, 1, 1}), 0x1p24F + 2);
  EXPECT_EQ(sum("fused(25,8,rne)", {0x1p24, 1, 1, 1}), 0x1p24F + 4);
  EXPECT_EQ(sum("fused(25,8,rz)", {-0x1p24, -1, -1, -1}), -0x1p24F - 2);
  EXPECT_EQ(sum("fused(25,8,rz)", {-0x1p24, -1}), -0x1p24F);
}

TEST(Fused, LargeTermsThatCancelTakeSmallOnesWithThem) {
  const Values values{0x1p30, -0x1p30, 0x1p-10};
  EXPECT_EQ(sum("hopper_fp16", values), 0);
  EXPECT_FALSE(std::signbit(sum("hopper_fp16", values)));
  EXPECT_EQ(sum("fp32_rne", values), 0x1p-10F);
  EXPECT_EQ(sum("exact", {0x1p-10, 0x1p100, 0x1p-100, -0x1p100}), 0x1p-10F);
}

TEST(Fused, OrderMattersBetweenGroupsAndNotInsideOne) {
  const Values values{1, 0x1p-20, -0x1p-23, 0x1p-24, 0x1p-24, -0.5, 0x1p-22, 0x1p-25};
  const float once = sum("ampere_fp16", values);
  std::mt19937 generator(1);
  for (int i = 0; i < 20; ++i) {
    Values shuffled = values;
    std::ranges::shuffle(shuffled, generator);
    EXPECT_EQ(sum("ampere_fp16", shuffled), once);
  }
  // Halves of the last place of 2: two of them lift it together, and one by one they are lost. Volta's 23 bits lose
  // them before they add up.
  EXPECT_EQ(sum("ampere_fp16", {2, 0x1p-23, 0x1p-23}), 2 + 0x1p-22F);
  EXPECT_EQ(sum("ampere_fp16", {2, 0x1p-23, 0, 0, 0, 0, 0, 0, 0x1p-23}), 2);
  EXPECT_EQ(sum("volta_fp16", {2, 0x1p-23, 0x1p-23}), 2);
}

TEST(Fused, ProductsAreAlignedWithoutNormalisation) {
  // 1.5 * 1.5 = 2.25 has exponent 0: its unit is 1/2, and the second term stays. With exponent 1 it would be lost.
  EXPECT_EQ(dot("fused(1,2,rz)", FormatId::fp16, {1.5, 1}, {1.5, 0.5}), 2.5F);
}

TEST(Fused, SubnormalFactorsHaveTheLeastNormalExponent) {
  // 2^-24 of FP16 aligns like 2^-14: 2^-16 is below the unit 2^-15.
  EXPECT_EQ(dot("fused(1,2,rz)", FormatId::fp16, {0x1p-24, 0x1p-8}, {1, 0x1p-8}), 0);
  EXPECT_EQ(dot("fused(2,2,rz)", FormatId::fp16, {0x1p-24, 0x1p-8}, {1, 0x1p-8}), 0x1p-16F);
  // E4M3: 2^-9 aligns like 2^-6.
  EXPECT_EQ(dot("fused(1,2,rz)", FormatId::fp8, {0x1p-9, 0x1p-4}, {1, 0x1p-4}), 0);
}

TEST(Fused, ZerosAlignBelowAllOfFp16) {
  EXPECT_EQ(dot("fused(1,2,rz)", FormatId::fp16, {0, 0x1p-8}, {0x1p15, 0x1p-8}), 0x1p-16F);
  EXPECT_EQ(bits_of(dot("hopper_fp16", FormatId::fp16, {-0.0, 0}, {1, -1})), 0U);
}

TEST(Fused, NothingIsAlignedBelowTheLeastNormalExponent) {
  EXPECT_EQ(sum("fused(23,4,rz)", {0x1p-130, 0x1p-133}), 0x1p-130F + 0x1p-133F);
  // Units of 2^-126 - 23: a product of 2^-150 is none.
  EXPECT_EQ(dot("fused(23,4,rz)", FormatId::bf16, {0x1p-75, 0x1p-75}, {0x1p-75, 0x1p-75}), 0);
  EXPECT_EQ(dot("fused(24,4,rz)", FormatId::bf16, {0x1p-75, 0x1p-75}, {0x1p-75, 0x1p-75}), 0x1p-149F);
}

TEST(Fused, OverflowIsInfiniteFrom2To128AndTheLargestNumberBelow) {
  const double top = 0x1.FEp127;  // of BF16
  EXPECT_EQ(sum("hopper_fp16", {top, top}), std::numeric_limits<float>::infinity());
  // 2^128 - 2^102 when its last term is truncated.
  const Values below{top, 0x1.FEp119, 0x1.FEp111, 0x1.FEp103};
  EXPECT_EQ(sum("hopper_fp16", below), std::numeric_limits<float>::max());
  EXPECT_EQ(sum("fused(25,16,rne)", below), std::numeric_limits<float>::infinity());
}

TEST(Fused, SpecialNumbersFollowIeee754WithTheNanOfTheHardware) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sum("hopper_fp16", {1, infinity, 5}), std::numeric_limits<float>::infinity());
  EXPECT_EQ(bits_of(sum("hopper_fp16", {infinity, -infinity})), 0x7FFFFFFFU);
  EXPECT_EQ(bits_of(sum("hopper_fp16", {std::nan(""), 1})), 0x7FFFFFFFU);
  EXPECT_EQ(bits_of(sum("fused(25,16,rz)", {std::nan(""), 1})), kCanonicalNanBits);
  EXPECT_EQ(bits_of(sum("exact", {infinity, -infinity})), kCanonicalNanBits);
  EXPECT_EQ(bits_of(sum("blackwell_fp8", {std::nan(""), 1}, FormatId::fp8)), 0x7FFFFFFFU);
}

TEST(Fused, HopperFp8KeepsThirteenBits) {
  // 2^8 and 2^-5 or 2^-6: 13 and 14 bits below.
  EXPECT_EQ(sum("hopper_fp8", {256, 0x1p-5}, FormatId::fp8), 256 + 0x1p-5F);
  EXPECT_EQ(sum("hopper_fp8", {256, 0x1p-6}, FormatId::fp8), 256);
  EXPECT_EQ(sum("blackwell_fp8", {256, 0x1p-6}, FormatId::fp8), 256 + 0x1p-6F);
  // The result has 13 bits too: 2^9 + 2^-5 needs 14.
  EXPECT_EQ(sum("hopper_fp8", {256, 256, 0x1p-5}, FormatId::fp8), 512);
  EXPECT_EQ(sum("fused(13,32,rz)", {256, 256, 0x1p-5}, FormatId::fp8), 512 + 0x1p-5F);
  // 16-bit operands run on the 16-bit path of the same core.
  EXPECT_EQ(sum("hopper_fp8", {256, 0x1p-6}), 256 + 0x1p-6F);
}

TEST(Fused, HopperFp8GroupsOf32AndAdaGroupsOf16) {
  Values values(32, 0);
  values[0] = 256;
  values[20] = -256;
  values[31] = 0x1p-6;
  EXPECT_EQ(sum("hopper_fp8", values, FormatId::fp8), 0);
  values[15] = 0x1p-6;
  values[31] = 0;
  EXPECT_EQ(sum("ada_fp8", values, FormatId::fp8), 0);
  values[15] = 0;
  values[20] = 0;
  values[15] = -256;
  values[16] = 0x1p-6;
  EXPECT_EQ(sum("ada_fp8", values, FormatId::fp8), 0x1p-6F);
  EXPECT_EQ(sum("hopper_fp8", values, FormatId::fp8), 0);
}

TEST(Fused, ChainedBranchesContinueInTheAccumulator) {
  const QuantisedMatrix a = row_of(FormatId::mxfp4, {4});
  const QuantisedMatrix b = row_of(FormatId::mxfp4, {4});  // 2^4
  const QuantisedMatrix branch_a = row_of(FormatId::bf16, {-0x1p-21, 0x1p-60});
  const QuantisedMatrix branch_b = row_of(FormatId::bf16, {1, 1});
  GemmOperands operands{.a = &a, .b = &b, .branch_a = &branch_a, .branch_b = &branch_b};
  const auto output = [&](Join join, std::string_view name) {
    operands.join = join;
    operands.accumulator = accumulator(name);
    return reference::output(operands, 0, 0);
  };
  EXPECT_EQ(output(Join::chain, "blackwell_mxf4"), 16 - 0x1p-20F);  // 25 bits, toward zero
  EXPECT_EQ(output(Join::chain, "volta_fp16"), 16);                 // below 23 bits
  EXPECT_EQ(output(Join::add, "volta_fp16"), 16);                   // a tie, in FP32
  EXPECT_EQ(output(Join::chain, "fp32_rne"), 16);
  EXPECT_EQ(output(Join::chain, "exact"), 16);
}

TEST(Fused, IntegersKeepTheirExactSum) {
  const QuantisedMatrix a = [] {
    QuantisedMatrix matrix = empty_quantised(FormatId::int8, 1, 3);
    matrix.codes = {127, 127, 1};
    std::ranges::fill(matrix.outer_scale, 1.0F);
    return matrix;
  }();
  for (const AccumulatorPreset& preset : accumulators()) {
    const GemmOperands operands{.a = &a, .b = &a, .accumulator = preset.accumulator};
    EXPECT_EQ(reference::output(operands, 0, 0), 2 * 127 * 127 + 1) << preset.name;
    EXPECT_EQ(engine_output(operands, Kernel::automatic), 2 * 127 * 127 + 1) << preset.name;
  }
}

TEST(Exact, DistantBitsDecide) {
  EXPECT_EQ(sum("exact", {0x1p127, 0x1p-133, -0x1p127}), 0x1p-133F);
  EXPECT_EQ(sum("exact", {1, 0x1p-24, 0x1p-120}), 1 + 0x1p-23F);  // above the tie by a distant bit
  EXPECT_EQ(sum("exact", {1, 0x1p-24}), 1);
}

}  // namespace
}  // namespace oscsim::numerics
