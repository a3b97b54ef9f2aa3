// SPDX-License-Identifier: Apache-2.0
// The scalar dot products: one rounding for each block, special values, epilogue, branch and operand checks.
#include <gmock/gmock.h>

#include <random>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/exact.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

QuantisedMatrix operand(FormatId format, std::vector<float> row) {
  return reference::quantise(format, MatrixView(row.data(), Dtype::fp32, 1, std::ssize(row)), {});
}

float product(const QuantisedMatrix& a, const QuantisedMatrix& b) {
  const GemmOperands operands{.a = &a, .b = &b};
  check_operands(operands);
  return reference::output(operands, 0, 0);
}

// ------ one rounding

void expect_one_rounding(float acc, double block_sum, int exponent) {
  const double value = std::ldexp(block_sum, exponent);
  const float expected = exact::rounded(exact::of(static_cast<double>(acc)) + exact::of(value));
  // The oracle has no negative zero; an exact zero sum and a tiny negative number differ only there.
  ASSERT_EQ(accumulate(acc, block_sum, exponent), expected)
      << fmt::format("acc {:a} block sum {:a} exponent {}", acc, block_sum, exponent);
}

TEST(Accumulate, RoundsOnceWhereDoubleThenFloatRoundsTwice) {
  // 1 + 2^-24 is a tie of FP32 and goes to 1; a 2^-60 below or above it is lost in a double.
  const double tie = 0x1p-24;
  const float acc = 1;
  const double above = 0x1p-24 + 0x1p-60;
  EXPECT_EQ(static_cast<float>(static_cast<double>(acc) + above), 1.0F) << "the case does not need the care";
  EXPECT_EQ(accumulate(acc, above, 0), 1.0F + 0x1p-23F);
  EXPECT_EQ(accumulate(acc, tie, 0), 1.0F);
  EXPECT_EQ(accumulate(1.0F + 0x1p-23F, 0x1p-24 - 0x1p-60, 0), 1.0F + 0x1p-23F);
  EXPECT_EQ(accumulate(-acc, -above, 0), -1.0F - 0x1p-23F);
}

TEST(Accumulate, TiesNeighboursAndCancellationRoundOnce) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20000; ++i) {
    const auto acc = std::bit_cast<float>(static_cast<std::uint32_t>(random() % 0x7F800000) |
                                          static_cast<std::uint32_t>(random() % 2) << 31);
    // A block value around half a unit in the last place of acc, with a last bit far below, or near -acc.
    const double unit = std::ldexp(1.0, std::max(std::ilogb(acc), -126) - 23);
    const double halves = static_cast<double>(static_cast<int>(random() % 9) - 4);
    const double sliver =
        unit * std::ldexp(static_cast<double>(static_cast<int>(random() % 3) - 1), -static_cast<int>(random() % 41));
    double value = unit * halves / 2;
    if (random() % 4 == 0) value -= static_cast<double>(acc);
    value += sliver;
    expect_one_rounding(acc, value, 0);
  }
}

TEST(Accumulate, AnyBlockSumAndExponentRoundOnce) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 50000; ++i) {
    const int exponent = static_cast<int>(random() % 509) - 254;
    const auto digits = static_cast<std::int64_t>(random() >> (23 + random() % 40));  // up to 41 bits
    const double block_sum = std::ldexp(static_cast<double>(random() % 2 == 0 ? digits : -digits), -18);
    // acc of about the block's size, so that bits meet.
    const int near = std::clamp(exponent + 20 - static_cast<int>(random() % 60), -149, 127);
    const auto acc =
        static_cast<float>(std::ldexp(static_cast<double>(static_cast<std::int32_t>(random())), near - 31));
    expect_one_rounding(acc, block_sum, exponent);
  }
}

TEST(Accumulate, SubnormalsAndOverflowRoundOnce) {
  const float largest = std::numeric_limits<float>::max();
  for (const double sliver : {0.0, 0x1p-17, -0x1p-17}) {
    expect_one_rounding(largest, 0x1p20 + sliver, 83);  // half a unit above the largest number
    expect_one_rounding(-largest, -0x1p20 - sliver, 83);
    expect_one_rounding(0, 0x1p20 + sliver, -170);  // half of the smallest subnormal
    expect_one_rounding(0x1p-149F, 0x1p20 + sliver, -170);
    expect_one_rounding(0x1p-126F, -0x1p20 + sliver, -170);
    expect_one_rounding(0x1.8p-127F, 0x1.8p20 + sliver, -169);
  }
  expect_one_rounding(largest, 0x1p22, 254);
  expect_one_rounding(0, 0x1p-18, -254);
  EXPECT_EQ(accumulate(kInfinity, -0x1p22, 254), kInfinity);
  EXPECT_TRUE(std::isnan(accumulate(1, std::nan(""), 0)));
}

TEST(Accumulate, ZeroSignsFollowIeeeAddition) {
  EXPECT_EQ(bits_of(accumulate(0.0F, 0.0, 0)), bits_of(0.0F));
  EXPECT_EQ(bits_of(accumulate(1.0F, -1.0, 0)), bits_of(0.0F));
  EXPECT_EQ(bits_of(accumulate(0.0F, -1.0, -254)), bits_of(-0.0F));  // a negative number too small for FP32
  EXPECT_EQ(bits_of(accumulate(-0.0F, 0.0, 0)), bits_of(0.0F));
}

// ------ dot products against exact arithmetic

// Random codes and scales without NaN: operands that no cast would give.
QuantisedMatrix random_operand(FormatId id, std::int64_t rows, std::int64_t k, std::mt19937& random, int scale_spread) {
  QuantisedMatrix matrix = empty_quantised(id, rows, k);
  const bool nibbles = format(id).element_bits == 4;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < k; ++col) {
      std::uint8_t& byte = matrix.codes[static_cast<std::size_t>(row * matrix.row_bytes + (nibbles ? col / 2 : col))];
      if (nibbles)
        byte = static_cast<std::uint8_t>(byte | (random() & 0xF) << col % 2 * 4);
      else
        do byte = static_cast<std::uint8_t>(random());
        while ((byte & 0x7F) == 0x7F);
    }
  for (std::uint8_t& scale : matrix.block_scale)
    scale = static_cast<std::uint8_t>(127 - scale_spread +
                                      static_cast<int>(random() % (2 * static_cast<unsigned>(scale_spread) + 1)));
  for (float& scale : matrix.outer_scale) scale = std::ldexp(static_cast<float>(random() % 1000 + 1), -12);
  return matrix;
}

float exact_output(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const bool scaled = format(a.format).block_scale == BlockScale::e8m0;
  float acc = 0;
  for (std::int64_t first = 0; first < a.k; first += 32) {
    exact::Integer sum = 0;
    for (std::int64_t i = first; i < std::min(a.k, first + 32); ++i) {
      const float x = decode(layout_of(format(a.format).element), a.code(row, i));
      const float w = decode(layout_of(format(b.format).element), b.code(col, i));
      sum += exact::of(static_cast<double>(x)) * exact::of(static_cast<double>(w));
    }
    // A product of two fixed-point numbers has twice the fraction.
    int shift = -exact::kFraction;
    if (scaled) {
      const std::int64_t block = first / 32;
      shift += a.block_scale[static_cast<std::size_t>(row * a.blocks() + block)] - 127;
      shift += b.block_scale[static_cast<std::size_t>(col * b.blocks() + block)] - 127;
    }
    if (std::isfinite(acc))  // an infinite accumulator stays: every block value is finite
      acc = exact::rounded(exact::of(static_cast<double>(acc)) + exact::Integer(sum >> -shift));
  }
  if (!scaled) {
    acc *= a.outer_scale[static_cast<std::size_t>(row)];
    acc *= b.outer_scale[static_cast<std::size_t>(col)];
  }
  return acc;
}

TEST(BlockProduct, EqualsExactArithmeticRoundedOncePerBlock) {
  std::mt19937 random(4);
  for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8, FormatId::fp8})
    for (const int spread : {0, 3, 30, 127})
      for (const std::int64_t k : {1, 32, 45, 320}) {
        const QuantisedMatrix a = random_operand(id, 4, k, random, spread);
        const QuantisedMatrix b = random_operand(id, 3, k, random, spread);
        const GemmOperands operands{.a = &a, .b = &b};
        for (std::int64_t row = 0; row < 4; ++row)
          for (std::int64_t col = 0; col < 3; ++col)
            ASSERT_EQ(reference::output(operands, row, col), exact_output(a, b, row, col))
                << name_of(id) << " k " << k << " spread " << spread;
      }
}

TEST(BlockProduct, LargeTermsThatCancelLeaveTheSmallOne) {
  // In one block 448 * 448 - 448 * 448 + 2^-9 * 2^-9 is exactly 2^-18; FP32 sums would lose it.
  QuantisedMatrix a = empty_quantised(FormatId::mxfp8, 1, 3);
  QuantisedMatrix b = a;
  a.codes[0] = 0x7E, a.codes[1] = 0xFE, a.codes[2] = 0x01;
  b.codes[0] = 0x7E, b.codes[1] = 0x7E, b.codes[2] = 0x01;
  a.block_scale[0] = b.block_scale[0] = 127;
  EXPECT_EQ(product(a, b), 0x1p-18F);
}

TEST(BlockProduct, NanScaleMakesNanEvenAgainstZero) {
  for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8, FormatId::fp8, FormatId::int8}) {
    std::vector<float> bad(64, 1.0F);
    bad[40] = std::nanf("");
    const QuantisedMatrix a = operand(id, bad);
    const QuantisedMatrix zero = operand(id, std::vector<float>(64, 0.0F));
    EXPECT_EQ(bits_of(product(a, zero)), kCanonicalNanBits) << name_of(id);
    EXPECT_EQ(bits_of(product(zero, a)), kCanonicalNanBits) << name_of(id);
  }
}

TEST(BlockProduct, ZeroOperandsGivePositiveZero) {
  for (const FormatInfo& info : formats()) {
    const QuantisedMatrix minus_zero = operand(info.id, std::vector<float>(40, -0.0F));
    const QuantisedMatrix ones = operand(info.id, std::vector<float>(40, 1.0F));
    EXPECT_EQ(bits_of(product(minus_zero, ones)), 0U) << info.name;
    EXPECT_EQ(bits_of(product(operand(info.id, std::vector<float>(40, 0.0F)), minus_zero)), 0U) << info.name;
  }
}

// ------ INT8, 16 bit, FP32

TEST(Int8Product, SumIsExactAndRoundedOnce) {
  // 2^24 + 1 is not an FP32 number: a running FP32 sum or a rounding per block would differ from one at the end.
  const std::int64_t k = 1042;
  QuantisedMatrix a = empty_quantised(FormatId::int8, 1, k);
  QuantisedMatrix b = empty_quantised(FormatId::int8, 1, k);
  std::ranges::fill(a.codes, std::uint8_t{127});
  std::ranges::fill(b.codes, std::uint8_t{127});
  a.codes[0] = 3, b.codes[0] = 1;
  a.outer_scale[0] = 0.1F, b.outer_scale[0] = 0.3F;
  const float expected = static_cast<float>(1041 * 16129 + 3) * 0.1F * 0.3F;
  EXPECT_EQ(product(a, b), expected);
}

TEST(Int8Product, LongestSumFitsAndOneMoreIsAnInputError) {
  QuantisedMatrix a = empty_quantised(FormatId::int8, 1, 133144);
  std::ranges::fill(a.codes, std::uint8_t{0x81});  // -127
  a.outer_scale[0] = 1;
  EXPECT_EQ(product(a, a), static_cast<float>(133144.0 * 16129.0));
  const QuantisedMatrix longer = empty_quantised(FormatId::int8, 1, 133145);
  try {
    product(longer, longer);
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_STREQ(
        error.what(),
        "operands do not make a product: an INT32 sum of int8 and int8 products can overflow; allowed: k up to 133144\n"
        "  A int8 [1, 133145], B int8 [1, 133145]");
  }
}

TEST(RowScales, TheScaleOfAComesFirst) {
  // 2^-100 * 2^-100 would be zero; (1 * 2^127) * 2 overflows before * 2^-3 can bring it back.
  QuantisedMatrix a = operand(FormatId::int8, {127});
  QuantisedMatrix b = a;
  a.codes[0] = 2, b.codes[0] = 1;
  a.outer_scale[0] = 0x1p127F, b.outer_scale[0] = 0x1p-3F;
  EXPECT_EQ(product(a, b), kInfinity);
  EXPECT_EQ(product(b, a), 0x1p125F);
}

TEST(SixteenBitProduct, EveryProductIsExactAndRoundedOnce) {
  std::mt19937 random(5);
  for (const FormatId id : {FormatId::bf16, FormatId::fp16}) {
    for (int round = 0; round < 200; ++round) {
      QuantisedMatrix a = empty_quantised(id, 1, 20);
      QuantisedMatrix b = empty_quantised(id, 1, 20);
      const std::uint32_t infinity = *layout_of(format(id).element).inf_code;
      for (std::size_t i = 0; i < a.codes.size(); i += 2) {
        for (QuantisedMatrix* matrix : {&a, &b}) {
          const auto code = static_cast<std::uint32_t>(random() % infinity | (random() & 0x8000));
          matrix->codes[i] = static_cast<std::uint8_t>(code);
          matrix->codes[i + 1] = static_cast<std::uint8_t>(code >> 8);
        }
      }
      float acc = 0;
      for (std::int64_t i = 0; i < 20 && std::isfinite(acc); ++i)
        acc = exact::rounded(exact::of(static_cast<double>(acc)) +
                             exact::of(static_cast<double>(a.value(0, i)) * static_cast<double>(b.value(0, i))));
      if (std::isfinite(acc)) {
        ASSERT_EQ(product(a, b), acc);
      } else {
        ASSERT_FALSE(std::isfinite(product(a, b)));
      }
    }
  }
}

TEST(SixteenBitProduct, InfinitiesFollowIeeeAndNanIsCanonical) {
  for (const FormatId id : {FormatId::bf16, FormatId::fp16}) {
    EXPECT_EQ(product(operand(id, {kInfinity, 1}), operand(id, {-1, 1})), -kInfinity);
    EXPECT_EQ(bits_of(product(operand(id, {kInfinity, 1}), operand(id, {0, 1}))), kCanonicalNanBits);
    EXPECT_EQ(bits_of(product(operand(id, {kInfinity, kInfinity}), operand(id, {-1, 1}))), kCanonicalNanBits);
    EXPECT_EQ(bits_of(product(operand(id, {-std::nanf(""), 1}), operand(id, {0, 1}))), kCanonicalNanBits);
  }
}

TEST(Fp32Reference, IsAChainOfFusedMultiplyAdds) {
  const float x[] = {1 + 0x1p-23F, -1, 3};
  const float w[] = {1 + 0x1p-23F, 1, 5};
  // The first product needs 47 bits: rounded to FP32 before the addition, -1 would leave 2^-22 alone.
  EXPECT_EQ(reference::fp32_product(MatrixView(x, Dtype::fp32, 1, 2), MatrixView(w, Dtype::fp32, 1, 2), 0, 0),
            0x1p-22F);
  const float y[] = {1 + 0x1p-12F, 1 + 0x1p-11F};
  const float v[] = {1 + 0x1p-12F, -1};
  EXPECT_EQ(reference::fp32_product(MatrixView(v, Dtype::fp32, 1, 2), MatrixView(y, Dtype::fp32, 1, 2), 0, 0),
            std::fma(1 + 0x1p-11F, -1.0F, (1 + 0x1p-12F) * (1 + 0x1p-12F)));
  const float nan[] = {-std::nanf("")};
  EXPECT_EQ(
      bits_of(reference::fp32_product(MatrixView(nan, Dtype::fp32, 1, 1), MatrixView(x, Dtype::fp32, 1, 1), 0, 0)),
      kCanonicalNanBits);
}

// ------ the 16-bit branch

TEST(Branch, AddsOnceOrContinuesTheChain) {
  // main = 1; branch products 2^-24, 2^-24: added as a sum they reach 1 + 2^-23, one by one each is a tie that goes
  // to 1.
  const QuantisedMatrix main_a = operand(FormatId::mxfp4, {1});
  const QuantisedMatrix branch_a = operand(FormatId::bf16, {0x1p-12F, 0x1p-12F});
  GemmOperands operands{.a = &main_a, .b = &main_a, .branch_a = &branch_a, .branch_b = &branch_a, .join = Join::add};
  check_operands(operands);
  EXPECT_EQ(reference::output(operands, 0, 0), 1 + 0x1p-23F);
  operands.join = Join::chain;
  check_operands(operands);
  EXPECT_EQ(reference::output(operands, 0, 0), 1.0F);
}

TEST(Branch, MeetsTheMainPathAfterItsRowScales) {
  const QuantisedMatrix main_a = operand(FormatId::fp8, {896});
  const QuantisedMatrix branch_a = operand(FormatId::fp16, {3});
  const GemmOperands operands{.a = &main_a, .b = &main_a, .branch_a = &branch_a, .branch_b = &branch_a};
  check_operands(operands);
  EXPECT_EQ(reference::output(operands, 0, 0), 896.0F * 896.0F + 9.0F);
}

// ------ operand checks

std::string rejection(const GemmOperands& operands) {
  try {
    check_operands(operands);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CheckOperands, NamesTheReasonAndEveryShape) {
  const QuantisedMatrix a = empty_quantised(FormatId::mxfp4, 4, 64);
  const QuantisedMatrix b = empty_quantised(FormatId::mxfp4, 5, 64);
  const QuantisedMatrix short_b = empty_quantised(FormatId::mxfp4, 5, 32);
  const QuantisedMatrix other = empty_quantised(FormatId::mxfp8, 5, 64);
  EXPECT_EQ(rejection({.a = &a, .b = &b}), "accepted");
  EXPECT_EQ(rejection({.a = &a, .b = &short_b}),
            "operands do not make a product: A and B differ in k\n  A mxfp4 [4, 64], B mxfp4 [5, 32]");
  EXPECT_EQ(rejection({.a = &a, .b = &other}), "accepted");
}

TEST(CheckOperands, BranchMustFitTheMainPath) {
  const QuantisedMatrix a = empty_quantised(FormatId::mxfp4, 4, 64);
  const QuantisedMatrix b = empty_quantised(FormatId::mxfp4, 5, 64);
  const QuantisedMatrix branch_a = empty_quantised(FormatId::bf16, 4, 2);
  const QuantisedMatrix branch_b = empty_quantised(FormatId::bf16, 5, 2);
  const QuantisedMatrix half = empty_quantised(FormatId::fp16, 5, 2);
  const QuantisedMatrix wide = empty_quantised(FormatId::bf16, 5, 3);
  EXPECT_EQ(rejection({&a, &b, &branch_a, &branch_b, Join::chain}), "accepted");
  EXPECT_EQ(rejection({&a, &b, &branch_a, &wide}),
            "operands do not make a product: the branch's operands differ in k\n"
            "  A mxfp4 [4, 64], B mxfp4 [5, 64], branch A bf16 [4, 2], branch B bf16 [5, 3]");
  EXPECT_THAT(rejection({&a, &b, &branch_a, &half}), testing::HasSubstr("bf16 by bf16 or fp16 by fp16"));
  EXPECT_THAT(rejection({&a, &b, &a, &b}), testing::HasSubstr("bf16 by bf16 or fp16 by fp16"));
  EXPECT_THAT(rejection({&a, &b, &branch_b, &branch_b}), testing::HasSubstr("A and branch A differ in rows"));
  EXPECT_THAT(rejection({&a, &b, &branch_a, &branch_a}), testing::HasSubstr("B and branch B differ in rows"));
}

TEST(CheckOperands, RowScalesCannotChainABranch) {
  const QuantisedMatrix a = empty_quantised(FormatId::fp8, 4, 64);
  const QuantisedMatrix branch = empty_quantised(FormatId::bf16, 4, 2);
  EXPECT_EQ(rejection({&a, &a, &branch, &branch, Join::add}), "accepted");
  EXPECT_THAT(rejection({&a, &a, &branch, &branch, Join::chain}), testing::HasSubstr("cannot chain its branch"));
}

TEST(CheckOperands, MissingOperandsAreDefects) {
  const QuantisedMatrix a = empty_quantised(FormatId::bf16, 1, 1);
  EXPECT_THROW(check_operands({.a = &a}), DefectError);
  EXPECT_THROW(check_operands({.a = &a, .b = &a, .branch_a = &a}), DefectError);
}

}  // namespace
}  // namespace oscsim::numerics
