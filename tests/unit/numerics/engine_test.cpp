// SPDX-License-Identifier: Apache-2.0
// The engine's bits are the reference's bits: every format, kernel, tail, region, join and special value.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/random_matrix.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

constexpr float kUntouched = -12345.0F;

// Every finite code equally likely: wide blocks, all mantissas, integers that no cast gives, and any bytes of scales in
// [low, high]. Outer scales differ by powers of two.
QuantisedMatrix random_codes(FormatId id, std::int64_t rows, std::int64_t k, unsigned seed, int low = 100,
                             int high = 140) {
  std::mt19937 generator(seed);
  QuantisedMatrix matrix = empty_quantised(id, rows, k);
  const int bits = format(id).element_bits;
  const ElementType element = format(id).element;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
    for (std::int64_t i = 0; i < k * bits / 8; ++i) {
      do {
        codes[i] = static_cast<std::uint8_t>(generator());
      } while (bits == 8 && !is_integer(element) && (codes[i] & 0x7FU) > layout_of(element).max_code);
    }
  }
  for (std::uint8_t& scale : matrix.block_scale)
    scale = static_cast<std::uint8_t>(low + static_cast<int>(generator() % static_cast<unsigned>(high - low + 1)));
  for (float& scale : matrix.outer_scale) scale = std::ldexp(1.37F, static_cast<int>(generator() % 20) - 10);
  return matrix;
}

// Computes the regions, compares each output with the reference, and expects the rest untouched.
void expect_reference_bits(const GemmOperands& operands, Kernel kernel, const std::vector<OutputRegion>& regions) {
  const std::int64_t m = operands.a->rows;
  const std::int64_t n = operands.b->rows;
  const GemmEngine engine(operands, kernel);
  Matrix out(Dtype::fp32, m, n);
  for (std::int64_t row = 0; row < m; ++row) std::ranges::fill(out.row_f32(row), kUntouched);
  const OutputView view{reinterpret_cast<float*>(out.data()), m, n};
  for (const OutputRegion& region : regions) engine.compute(region, view);
  int differences = 0;
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t col = 0; col < n; ++col) {
      const bool computed = std::ranges::any_of(regions, [&](const OutputRegion& region) {
        return row >= region.row && row < region.row + region.rows && col >= region.col &&
               col < region.col + region.cols;
      });
      const float expected = computed ? reference::output(operands, row, col) : kUntouched;
      const float actual = out.row_f32(row)[static_cast<std::size_t>(col)];
      if (bits_of(actual) != bits_of(expected) && ++differences <= 3)
        ADD_FAILURE() << name_of(operands.a->format) << " " << name_of(kernel) << " [" << m << ", " << n << ", "
                      << operands.a->k << "] at (" << row << ", " << col << "): " << std::hexfloat << actual
                      << ", expected " << expected;
    }
  }
  EXPECT_EQ(differences, 0);
}

void expect_reference_bits(const GemmOperands& operands) {
  for (const Kernel kernel : available_kernels())
    expect_reference_bits(operands, kernel, {{0, 0, operands.a->rows, operands.b->rows}});
}

class EveryFormat : public testing::TestWithParam<FormatId> {};
class EveryBlockFormat : public testing::TestWithParam<FormatId> {};

std::string format_name(const testing::TestParamInfo<FormatId>& info) {
  return std::string(name_of(info.param));
}

std::vector<FormatId> block_format_ids() {
  std::vector<FormatId> ids;
  for (const FormatInfo& info : formats())
    if (info.block_scale != BlockScale::none) ids.push_back(info.id);
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Engine, EveryFormat, testing::ValuesIn(all_formats()), format_name);
INSTANTIATE_TEST_SUITE_P(Engine, EveryBlockFormat, testing::ValuesIn(block_format_ids()), format_name);

TEST_P(EveryFormat, TailsInEveryDimensionMatchTheReference) {
  unsigned seed = 1;
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{1, 33, 31}, Shape{2, 1, 32}, Shape{3, 40, 33}, Shape{5, 7, 100},
                             Shape{7, 65, 511}, Shape{13, 31, 512}, Shape{17, 32, 513}, Shape{29, 70, 1000}}) {
    const QuantisedMatrix a = random_operand(GetParam(), shape.m, shape.k, ++seed);
    const QuantisedMatrix b = random_operand(GetParam(), shape.n, shape.k, ++seed);
    expect_reference_bits({.a = &a, .b = &b});
  }
}

TEST_P(EveryFormat, ArbitraryCodesMatchTheReference) {
  const QuantisedMatrix a = random_codes(GetParam(), 20, 610, 3);
  const QuantisedMatrix b = random_codes(GetParam(), 45, 610, 4);
  expect_reference_bits({.a = &a, .b = &b});
}

TEST_P(EveryFormat, RegionsCutAnywhereMatchTheReferenceAndWriteNothingElse) {
  const QuantisedMatrix a = random_operand(GetParam(), 37, 200, 5);
  const QuantisedMatrix b = random_operand(GetParam(), 101, 200, 6);
  for (const Kernel kernel : available_kernels())
    expect_reference_bits(
        {.a = &a, .b = &b}, kernel,
        {{0, 0, 5, 3}, {5, 1, 1, 100}, {6, 31, 13, 2}, {7, 33, 30, 64}, {36, 100, 1, 1}, {9, 9, 0, 4}});
}

TEST_P(EveryFormat, BranchesJoinAsTheReferenceDoes) {
  const QuantisedMatrix a = random_operand(GetParam(), 19, 330, 7);
  const QuantisedMatrix b = random_operand(GetParam(), 43, 330, 8);
  for (const FormatId branch : {FormatId::bf16, FormatId::fp16}) {
    const QuantisedMatrix branch_a = random_operand(branch, 19, 11, 9);
    const QuantisedMatrix branch_b = random_operand(branch, 43, 11, 10);
    for (const Join join : {Join::add, Join::chain}) {
      if (join == Join::chain && format(GetParam()).outer_scale != OuterScale::none) continue;
      expect_reference_bits({.a = &a, .b = &b, .branch_a = &branch_a, .branch_b = &branch_b, .join = join});
    }
  }
}

TEST_P(EveryFormat, ZeroOperandsGivePositiveZero) {
  const QuantisedMatrix a = empty_quantised(GetParam(), 9, 70);
  const QuantisedMatrix b = random_operand(GetParam(), 35, 70, 11);
  expect_reference_bits({.a = &a, .b = &b});
  expect_reference_bits({.a = &a, .b = &a});
}

TEST_P(EveryFormat, NotANumberSpreadsOverItsRowsAndColumnsWithCanonicalBits) {
  Matrix x = random_matrix(11, 100, 12);
  Matrix w = random_matrix(40, 100, 13);
  x.row_f32(3)[70] = std::numeric_limits<float>::quiet_NaN();
  x.row_f32(4)[99] = std::numeric_limits<float>::infinity();
  w.row_f32(33)[1] = -std::numeric_limits<float>::infinity();
  const QuantisedMatrix a = quantise(GetParam(), x.view(), {});
  const QuantisedMatrix b = quantise(GetParam(), w.view(), {});
  EXPECT_EQ(bits_of(reference::output({.a = &a, .b = &b}, 3, 0)), kCanonicalNanBits);
  expect_reference_bits({.a = &a, .b = &b});
  const QuantisedMatrix branch_a = random_operand(FormatId::bf16, 11, 4, 14);
  const QuantisedMatrix branch_b = random_operand(FormatId::bf16, 40, 4, 15);
  expect_reference_bits({.a = &a, .b = &b, .branch_a = &branch_a, .branch_b = &branch_b});
}

// All ones: a NaN in every type of scale.
void set_nan_scale(QuantisedMatrix& matrix, std::int64_t row, std::int64_t block) {
  const std::int64_t bytes = format(matrix.format).block_scale_bits / 8;
  std::fill_n(matrix.block_scale.begin() + (row * matrix.blocks() + block) * bytes, bytes, std::uint8_t{0xFF});
}

TEST_P(EveryBlockFormat, NanScaleMeetsZeroElements) {
  QuantisedMatrix a = random_operand(GetParam(), 7, 300, 16);
  QuantisedMatrix b = empty_quantised(GetParam(), 40, 300);
  set_nan_scale(a, 4, 1);
  set_nan_scale(b, 33, a.blocks() - 1);
  EXPECT_EQ(bits_of(reference::output({.a = &a, .b = &b}, 4, 0)), kCanonicalNanBits);
  EXPECT_EQ(bits_of(reference::output({.a = &a, .b = &b}, 0, 33)), kCanonicalNanBits);
  expect_reference_bits({.a = &a, .b = &b});
  expect_reference_bits({.a = &b, .b = &a});
}

TEST_P(EveryBlockFormat, ExtremeBlockScalesMatchTheReference) {
  struct Range {
    int a_low, a_high, b_low, b_high;
  };
  // Subnormal results, results that vanish, overflow to infinity, both in one operand, and each kernel's limits.
  for (const Range& range :
       {Range{0, 2, 120, 130}, Range{0, 0, 0, 0}, Range{250, 254, 120, 254}, Range{0, 254, 0, 254},
        Range{0, 10, 122, 125}, Range{0, 12, 130, 140}, Range{254, 254, 129, 129}, Range{30, 60, 30, 93},
        Range{127, 254, 127, 129}, Range{60, 60, 69, 69}, Range{60, 60, 70, 70}, Range{254, 254, 130, 130}}) {
    const QuantisedMatrix a = random_codes(GetParam(), 9, 200, 17, range.a_low, range.a_high);
    const QuantisedMatrix b = random_codes(GetParam(), 37, 200, 18, range.b_low, range.b_high);
    expect_reference_bits({.a = &a, .b = &b});
    if (!a.outer_scale.empty()) continue;
    const QuantisedMatrix branch_a = random_operand(FormatId::bf16, 9, 6, 19);
    const QuantisedMatrix branch_b = random_operand(FormatId::bf16, 37, 6, 20);
    expect_reference_bits({.a = &a, .b = &b, .branch_a = &branch_a, .branch_b = &branch_b, .join = Join::chain});
  }
}

TEST_P(EveryFormat, AnyBytesOfScalesMatchTheReferenceWithEveryFormat) {
  struct Range {
    int a_low, a_high, b_low, b_high;
  };
  for (const FormatInfo& other : formats()) {
    // Whatever type of scale a byte belongs to: zeros, negative ones, subnormals, NaN, both ends of the range.
    for (const Range& range : {Range{0, 1, 100, 160}, Range{0, 0, 250, 254}, Range{130, 254, 0, 20},
                               Range{0, 254, 0, 254}, Range{190, 195, 188, 194}, Range{124, 129, 126, 130}}) {
      const QuantisedMatrix a = random_codes(GetParam(), 4, 200, 70, range.a_low, range.a_high);
      const QuantisedMatrix b = random_codes(other.id, 34, 200, 71, range.b_low, range.b_high);
      expect_reference_bits({.a = &a, .b = &b});
    }
  }
}

// A matrix of k = 33 whose padding is not zero.
QuantisedMatrix random_codes_with_padding(FormatId id, std::int64_t rows, unsigned seed) {
  QuantisedMatrix matrix = random_codes(id, rows, 33, seed);
  const std::int64_t bits = format(id).element_bits;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
    if (bits == 4) codes[16] = static_cast<std::uint8_t>((codes[16] & 0x0F) | 0x50);
    std::fill(codes + tiles_of(33 * bits, 8), codes + matrix.row_bytes, std::uint8_t{0x55});
  }
  return matrix;
}

TEST_P(EveryFormat, CodesBeyondKAreNotRead) {
  const QuantisedMatrix a = random_codes_with_padding(GetParam(), 3, 80);
  for (const FormatInfo& other : formats()) {
    const QuantisedMatrix b = random_codes_with_padding(other.id, 5, 81);
    expect_reference_bits({.a = &a, .b = &b});
  }
}

// Writes `value`, which E4M3 holds exactly, to elements (row, col) of all rows.
void fill_column(QuantisedMatrix& matrix, std::int64_t col, double value) {
  for (std::int64_t row = 0; row < matrix.rows; ++row)
    matrix.codes[static_cast<std::size_t>(row * matrix.row_bytes + col)] =
        static_cast<std::uint8_t>(encode(kE4m3, value, ElementRounding::nearest_even));
}

TEST(Engine, BlockSumsThatADoubleCannotHoldRoundOnce) {
  // Block 0 makes acc = s (1 + t 2^-23), block 1 adds u (2^-24 + v 2^-54): half a unit of acc, and a bit whose distance
  // from acc's top is more than a double's 53 bits. Rounding to double first would lose it and meet a tie.
  // The last scales move the result among FP32's subnormals, where 2^-150 is the half.
  QuantisedMatrix a = empty_quantised(FormatId::mxfp8, 7, 64);
  QuantisedMatrix b = empty_quantised(FormatId::mxfp8, 41, 64);
  for (const double s : {1.0, -1.0}) {
    for (const double t : {0.0, 1.0}) {
      for (const double u : {1.0, -1.0}) {
        for (const double v : {1.0, -1.0}) {
          fill_column(a, 0, s * 64);
          fill_column(b, 0, 64);  // 2^12
          fill_column(a, 1, s * t * 0x1p-4);
          fill_column(b, 1, 0x1p-7);  // 2^-11
          fill_column(a, 32, u * 64);
          fill_column(b, 32, 64);
          fill_column(a, 63, u * v * 0x1p-9);
          fill_column(b, 63, 0x1p-9);  // 2^-18
          for (const auto& [a_first, a_second, b_both] : {std::array{0, -24, -12}, {0, -24, 60}, {-12, -35, -127}}) {
            for (std::size_t i = 0; i < a.block_scale.size(); i += 2) {
              a.block_scale[i] = static_cast<std::uint8_t>(kE8m0Bias + a_first);
              a.block_scale[i + 1] = static_cast<std::uint8_t>(kE8m0Bias + a_second);
            }
            std::ranges::fill(b.block_scale, static_cast<std::uint8_t>(kE8m0Bias + b_both));
            expect_reference_bits({.a = &a, .b = &b});
          }
        }
      }
    }
  }
}

TEST(Engine, SixteenBitInfinitiesAndSubnormalsMatchTheReference) {
  for (const FormatId id : {FormatId::bf16, FormatId::fp16}) {
    std::mt19937 generator(23);
    QuantisedMatrix a = empty_quantised(id, 23, 9);
    QuantisedMatrix b = empty_quantised(id, 65, 9);
    for (std::uint8_t& byte : a.codes) byte = static_cast<std::uint8_t>(generator());
    for (std::uint8_t& byte : b.codes) byte = static_cast<std::uint8_t>(generator());
    expect_reference_bits({.a = &a, .b = &b});
    // The smallest values of the format: products far below FP32's subnormals, signs of zero included.
    for (std::size_t i = 1; i < a.codes.size(); i += 2) a.codes[i] &= 0x80;
    for (std::size_t i = 1; i < b.codes.size(); i += 2) b.codes[i] &= 0x87;
    expect_reference_bits({.a = &a, .b = &b});
  }
}

TEST(Engine, Int8SumsAtTheEdgeOfInt32AreExact) {
  constexpr std::int64_t kLongest = 133144;  // of the k that check_operands allows
  QuantisedMatrix a = empty_quantised(FormatId::int8, 2, kLongest);
  std::fill_n(a.codes.begin(), kLongest, static_cast<std::uint8_t>(127));
  std::fill_n(a.codes.begin() + a.row_bytes, kLongest, static_cast<std::uint8_t>(-127));
  std::ranges::fill(a.outer_scale, 1.0F);
  expect_reference_bits({.a = &a, .b = &a});
  // Codes that no cast gives, whose sum leaves INT32.
  std::ranges::fill(a.codes, std::uint8_t{0x80});
  expect_reference_bits({.a = &a, .b = &a});
}

TEST(Engine, E4m3NanElementsSpreadLikeNanScales) {
  for (const FormatId id : {FormatId::fp8, FormatId::mxfp8}) {
    QuantisedMatrix a = random_operand(id, 5, 70, 40);
    QuantisedMatrix b = random_operand(id, 34, 70, 41);
    a.codes[static_cast<std::size_t>(2 * a.row_bytes + 69)] = 0xFF;
    b.codes[static_cast<std::size_t>(33 * b.row_bytes)] = 0x7F;
    expect_reference_bits({.a = &a, .b = &b});
  }
}

TEST(Engine, RegionsLargerThanAStripAndLongRowsMatchTheReference) {
  for (const FormatId id : {FormatId::mxfp4, FormatId::nvfp4, FormatId::hif4, FormatId::fp8, FormatId::mxfp8,
                            FormatId::int8, FormatId::int4, FormatId::bf16}) {
    const QuantisedMatrix a = random_operand(id, 300, 40, 24);
    const QuantisedMatrix b = random_operand(id, 290, 40, 25);
    expect_reference_bits({.a = &a, .b = &b}, Kernel::automatic, {{3, 2, 290, 288}});
    const QuantisedMatrix long_a = random_operand(id, 2, 20001, 26);
    const QuantisedMatrix long_b = random_operand(id, 33, 20001, 27);
    expect_reference_bits({.a = &long_a, .b = &long_b}, Kernel::automatic, {{0, 0, 2, 33}});
  }
}

TEST(Engine, ParallelComputeMatchesTheReference) {
  const QuantisedMatrix a = random_operand(FormatId::mxfp8, 270, 64, 28);
  const QuantisedMatrix b = random_operand(FormatId::mxfp8, 530, 64, 29);
  const GemmOperands operands{.a = &a, .b = &b};
  const GemmEngine engine(operands);
  Matrix out(Dtype::fp32, 270, 530);
  compute_all(engine, {reinterpret_cast<float*>(out.data()), 270, 530});
  for (std::int64_t row = 0; row < 270; ++row)
    for (std::int64_t col = 0; col < 530; ++col)
      ASSERT_EQ(bits_of(out.row_f32(row)[static_cast<std::size_t>(col)]),
                bits_of(reference::output(operands, row, col)))
          << row << ", " << col;
}

TEST(Engine, OutputOutsideTheProductIsADefect) {
  const QuantisedMatrix a = random_operand(FormatId::fp8, 4, 32, 30);
  const GemmEngine engine({.a = &a, .b = &a});
  std::vector<float> out(16);
  EXPECT_THROW(engine.compute({0, 0, 5, 4}, {out.data(), 4, 4}), DefectError);
  EXPECT_THROW(engine.compute({0, 0, 4, 4}, {out.data(), 4, 5}), DefectError);
}

}  // namespace
}  // namespace oscsim::numerics
