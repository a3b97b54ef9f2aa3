// SPDX-License-Identifier: Apache-2.0
// Zeros under large scales take part in the alignment of fused sums, as in MMA-Sim (arXiv 2511.10909).
#include <gtest/gtest.h>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/rows.h"

namespace oscsim::numerics {
namespace {

float product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::string_view name) {
  return output_of({.a = &a, .b = &b, .accumulator = accumulator(name)});
}

// Two blocks of 32; the second has scales of 2^exponent in both operands.
QuantisedMatrix two_blocks(FormatId id, const Values& values, int exponent) {
  QuantisedMatrix row = row_of(id, values);
  row.block_scale[1] = static_cast<std::uint8_t>(kE8m0Bias + exponent);
  return row;
}

TEST(FaultA4, ASubBlockThatCancelsAlignsByItsScales) {
  Values a(64), b(64);
  a[0] = b[0] = 6;
  a[1] = b[1] = 0.5;  // 36.25
  a[32] = a[33] = b[32] = 1;
  b[33] = -1;
  const QuantisedMatrix x = two_blocks(FormatId::mxfp4, a, 20);
  const QuantisedMatrix w = two_blocks(FormatId::mxfp4, b, 20);
  EXPECT_EQ(product(x, w, "blackwell_mxf4"), 32);  // units of 2^(40 - 35)
  EXPECT_EQ(product(x, w, "fused(35,4,rz,16,skip)"), 36.25F);
}

TEST(FaultA4, VariantASubBlockOfZerosAlignsInNvf4) {
  Values values(32);
  values[0] = 0.5;
  QuantisedMatrix row = row_of(FormatId::nvfp4_single, values);
  row.block_scale = {0x01, 0x78};                     // 2^-9 and 256
  EXPECT_EQ(product(row, row, "blackwell_nvf4"), 0);  // 2^-20 below units of 2^(16 - 35)
  EXPECT_EQ(product(row, row, "fused(35,4,rz,16,skip)"), 0x1p-20F);
  row.block_scale[1] = 0;  // has the exponent -126
  EXPECT_EQ(product(row, row, "blackwell_nvf4"), 0x1p-20F);
}

TEST(FaultA4, AZeroElementUnderLargeScalesAlignsInMxf8) {
  Values a(64), b(64);
  a[0] = b[0] = 6;
  a[1] = b[1] = 0.5;
  b[32] = 256;  // times zero: -126 + 8 + 2 * 73 = 28, units of 2^3
  const QuantisedMatrix x = two_blocks(FormatId::mxfp8, a, 73);
  const QuantisedMatrix w = two_blocks(FormatId::mxfp8, b, 73);
  EXPECT_EQ(product(x, w, "blackwell_mxf8"), 32);
  EXPECT_EQ(product(x, w, "fused(25,32,rz,1,skip)"), 36.25F);
}

TEST(FaultA4, VariantAZeroByALargeBf16) {
  const QuantisedMatrix x = row_of(FormatId::bf16, {0, 0x1p-13});
  const QuantisedMatrix w = row_of(FormatId::bf16, {0x1p127, 0x1p-13});
  EXPECT_EQ(product(x, w, "hopper_fp16"), 0);  // 2^-26 below units of 2^(127 - 126 - 25)
  EXPECT_EQ(product(x, w, "fused(25,16,rz,1,skip)"), 0x1p-26F);
}

TEST(FaultA4, VariantTheTailBehindTheLastColumnDoesNotAlign) {
  // One sub-block of NVFP4 in a group of four: what fills the group has no scale, of 2^0 for example.
  Values values(16);
  values[0] = 0.5;
  QuantisedMatrix row = row_of(FormatId::nvfp4_single, values);
  row.block_scale = {0x01};
  EXPECT_EQ(product(row, row, "fused(10,4,rz,16)"), 0x1p-20F);
}

TEST(FaultA4, VariantANanScaleSpoilsTheSumOfAGroupOfZeros) {
  QuantisedMatrix row = row_of(FormatId::mxfp4, Values(64));
  row.block_scale[1] = kE8m0Nan;
  EXPECT_EQ(bits_of(product(row, row_of(FormatId::mxfp4, Values(64)), "blackwell_mxf4")), 0x7FFFFFFFU);
}

}  // namespace
}  // namespace oscsim::numerics
