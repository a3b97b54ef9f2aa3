// SPDX-License-Identifier: Apache-2.0
// Fused sums of sub-blocks, whose terms are exact sums times two block scales: by hand, by an oracle in Boost integers,
// and by every kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/exact.h"
#include "tests/unit/numerics/fused_oracle.h"
#include "tests/unit/numerics/rows.h"

namespace oscsim::numerics {
namespace {

TEST(SubBlocks, BlackwellMxf4SumsSixteenExactlyAndAlignsByScales) {
  // Blocks of 32 with scales 1 and 2^36: the second's two sub-blocks cancel. Its unit is 2^36 - 35 = 2.
  Values a(64, 0);
  a[32] = 6;
  a[63] = -6;
  Values ones(64, 1);
  const auto result = [&](double first, std::string_view name) {
    a[0] = first;
    QuantisedMatrix x = row_of(FormatId::mxfp4, a);
    const QuantisedMatrix y = row_of(FormatId::mxfp4, ones);
    x.block_scale[1] = kE8m0Bias + 36;
    return reference::output({.a = &x, .b = &y, .accumulator = accumulator(name)}, 0, 0);
  };
  EXPECT_EQ(result(3, "blackwell_mxf4"), 2);
  EXPECT_EQ(result(1.5, "blackwell_mxf4"), 0);
  EXPECT_EQ(result(1.5, "exact"), 1.5F);
  // Products of 32 one by one are aligned with their own exponents: 6 and 2^36 make 2^38, whose unit is 2^13.
  EXPECT_EQ(result(3, "fused(25,64,rz)"), 0);
}

TEST(SubBlocks, BlackwellNvf4MultipliesTheSumBySignificandsOfScales) {
  QuantisedMatrix x = row_of(FormatId::nvfp4_single, Values(32, 1.5));
  const QuantisedMatrix y = row_of(FormatId::nvfp4_single, Values(32, 0.5));
  x.block_scale[0] = static_cast<std::uint8_t>(encode(kE4m3, 1.625, ElementRounding::nearest_even));
  x.block_scale[1] = static_cast<std::uint8_t>(encode(kE4m3, 0x1p-9, ElementRounding::nearest_even));
  const GemmOperands operands{.a = &x, .b = &y, .accumulator = accumulator("blackwell_nvf4")};
  EXPECT_EQ(reference::output(operands, 0, 0), 12 * 1.625F + 12 * 0x1p-9F);
}

// Elements that are not zero below a scale that is: its exponent of -126 aligns below everything here.
TEST(SubBlocks, AScaleOfZeroAlignsByItsOwnExponent) {
  constexpr std::uint8_t kZero = 0x00, kMinusZero = 0x80, kLeast = 0x01, k1 = 0x38, k256 = 0x78;  // of E4M3
  const auto result = [](std::uint8_t a_first, std::uint8_t b_first, std::uint8_t second) {
    QuantisedMatrix a = row_of(FormatId::nvfp4_single, Values(32, 1));
    QuantisedMatrix b = a;
    a.block_scale = {a_first, second};
    b.block_scale = {b_first, second};
    return output_of({.a = &a, .b = &b, .accumulator = accumulator("fused(2,2,rz,16)")});
  };
  // The second sub-block is 16, or 2^-14. An alignment to 2^8 would leave units of 2^6, one to 1 units of 2^-2.
  EXPECT_EQ(result(kZero, k256, k1), 16);
  EXPECT_EQ(result(k256, kMinusZero, k1), 16);
  EXPECT_EQ(result(kZero, kZero, kLeast), 0x1p-14F);
}

TEST(SubBlocks, GroupsWithAScaleOfZeroKeepTheAccumulator) {
  // BF16 scales of 1 and 2^100, each of two groups of 64.
  QuantisedMatrix b = empty_quantised(FormatId::int4_asym, 1, 256);
  std::ranges::fill(b.codes, std::uint8_t{0x11});
  b.block_scale = {0x80, 0x3F, 0, 0x80, 0x71, 0};
  QuantisedMatrix a = row_of(FormatId::nvfp4_single, Values(256, 1));
  std::fill(a.block_scale.begin() + 8, a.block_scale.end(), std::uint8_t{0});
  EXPECT_EQ(output_of({.a = &a, .b = &b, .accumulator = accumulator("blackwell_mxf4")}), 128);
}

// Blocks of 32 with these scales, powers of two.
QuantisedMatrix large_row(const Values& values, int first_exponent, int second_exponent) {
  QuantisedMatrix row = row_of(FormatId::mxfp4, values);
  row.block_scale = {static_cast<std::uint8_t>(kE8m0Bias + first_exponent),
                     static_cast<std::uint8_t>(kE8m0Bias + second_exponent)};
  return row;
}

TEST(SubBlocks, SubBlocksThatOverflowStayInfinite) {
  const QuantisedMatrix b = large_row(Values(64, 4), 60, 60);
  Values values(64, 4);
  const auto result = [&](int first, int second, std::string_view name) {
    const QuantisedMatrix a = large_row(values, first, second);
    return output_of({.a = &a, .b = &b, .accumulator = accumulator(name)});
  };
  // 32 products of 16 are 2^9.
  EXPECT_EQ(result(58, 0, "blackwell_mxf4"), 0x1p127F);
  EXPECT_EQ(result(59, 0, "blackwell_mxf4"), kInfinity);
  std::fill(values.begin() + 32, values.end(), -4);
  // In one group what follows may take the sum back below 2^128; in groups of 32 the first is infinite for good.
  EXPECT_EQ(result(59, 58, "blackwell_mxf4"), 0x1p127F);
  EXPECT_EQ(result(59, 58, "fused(35,2,rz,16)"), kInfinity);
  EXPECT_EQ(result(59, 67, "fused(35,2,rz_e8m13,16)"), kInfinity);
  std::fill(values.begin(), values.begin() + 32, -4);
  EXPECT_EQ(result(59, -20, "fused(35,2,rne,16)"), -kInfinity);
}

TEST(SubBlocks, InfinitePathsOfOppositeSignsJoinToNan) {
  const QuantisedMatrix a = large_row(Values(64, 4), 67, 67);
  const QuantisedMatrix b = large_row(Values(64, 4), 60, 60);
  const QuantisedMatrix branch_a = row_of(FormatId::bf16, {0x1p100});
  const QuantisedMatrix branch_b = row_of(FormatId::bf16, {-0x1p100});
  GemmOperands operands{.a = &a, .b = &b, .branch_a = &branch_a, .branch_b = &branch_b};
  operands.accumulator = accumulator("blackwell_mxf4");
  EXPECT_EQ(bits_of(output_of(operands)), operands.accumulator.nan_bits);
  operands.join = Join::chain;  // the branch's product is finite, the accumulator no longer
  EXPECT_EQ(output_of(operands), std::numeric_limits<float>::infinity());
}

// Any codes; scales from the smallest to the largest, one in four of them zero where the format has a zero.
QuantisedMatrix random_row(FormatId id, std::int64_t k, std::mt19937& generator) {
  QuantisedMatrix row = empty_quantised(id, 1, k);
  for (std::uint8_t& code : row.codes) code = static_cast<std::uint8_t>(generator());
  const FormatInfo& info = format(id);
  const bool is_zero_free = info.block_scale == BlockScale::e8m0 || info.block_scale == BlockScale::hif4;
  const auto stride = static_cast<std::size_t>(info.block_scale_bits / 8);
  for (std::size_t i = 0; i < row.block_scale.size(); i += stride) {
    std::uint8_t* scale = row.block_scale.data() + i;
    for (std::size_t j = 0; j < stride; ++j) scale[j] = static_cast<std::uint8_t>(generator());
    if (info.block_scale == BlockScale::e8m0) scale[0] = static_cast<std::uint8_t>(90 + generator() % 80);
    if (info.block_scale == BlockScale::hif4) scale[0] %= kE6m2Nan;
    if (info.block_scale == BlockScale::e4m3 && (scale[0] & 0x7F) == 0x7F) scale[0] = 0x7E;
    if (info.block_scale == BlockScale::bf16_zero) {
      scale[1] = static_cast<std::uint8_t>((scale[1] & 0x80) | (0x30 + generator() % 32));
      scale[2] %= 16;
    }
    if (!is_zero_free && generator() % 4 == 0) std::fill_n(scale, info.block_scale == BlockScale::e4m3 ? 1 : 2, 0);
  }
  return row;
}

// The exponent that the bits of a block scale hold.
int scale_exponent(const QuantisedMatrix& row, std::int64_t col) {
  const FormatInfo& info = format(row.format);
  const std::uint8_t* scale = row.scale_of(0, col / info.block);
  switch (info.block_scale) {
    case BlockScale::e8m0:
      return scale[0] - 127;
    case BlockScale::e4m3:
      if ((scale[0] & 0x7F) == 0) return -126;
      return std::max(scale[0] >> 3 & 15, 1) - 7;
    case BlockScale::hif4:
      return (scale[0] >> 2) - 48;
    case BlockScale::bf16_zero:
      return std::max((scale[1] & 0x7F) * 2 + (scale[0] >> 7), 1) - 127;
    case BlockScale::none:
    case BlockScale::signed_e5m2:
      break;
  }
  return 0;
}

float oracle(const QuantisedMatrix& a, const QuantisedMatrix& b, const Fusion& fusion) {
  float acc = 0;
  for (std::int64_t first = 0; first < a.k; first += fusion.group()) {
    std::vector<exact::Term> terms;
    for (std::int64_t t = first; t < std::min(a.k, first + fusion.group()); t += fusion.sub_block) {
      exact::Term term{0, scale_exponent(a, t) + scale_exponent(b, t)};
      for (std::int64_t i = t; i < std::min(a.k, t + fusion.sub_block); ++i)
        term.value += exact::of(static_cast<double>(a.value(0, i)) * static_cast<double>(b.value(0, i)));
      terms.push_back(term);
    }
    acc = exact::fused(acc, terms, fusion);
  }
  return acc;
}

TEST(SubBlocks, RandomSumsMatchAnOracleInBoostIntegers) {
  constexpr std::array kFormats{FormatId::mxfp4, FormatId::mxint8, FormatId::nvfp4_single, FormatId::hif4,
                                FormatId::int4_asym};
  std::mt19937 generator(1);
  for (const FormatId a_id : kFormats)
    for (const FormatId b_id : kFormats)
      for (const std::string_view name : {"blackwell_mxf4", "fused(2,3,rz,4)", "fused(12,8,rne,8)",
                                          "fused(13,2,rz_e8m13,16)", "fused(30,40,rz,4)", "fused(9,3,rz,8,skip)"})
        for (int i = 0; i < 8; ++i) {
          const QuantisedMatrix a = random_row(a_id, 256, generator);
          const QuantisedMatrix b = random_row(b_id, 256, generator);
          const Accumulator used = accumulator(name);
          EXPECT_EQ(bits_of(output_of({.a = &a, .b = &b, .accumulator = used})), bits_of(oracle(a, b, used.narrow)))
              << name << " " << name_of(a_id) << " by " << name_of(b_id);
        }
}

}  // namespace
}  // namespace oscsim::numerics
