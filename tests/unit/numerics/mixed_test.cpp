// SPDX-License-Identifier: Apache-2.0
// Every ordered pair of formats through the engine: bits equal to the scalar reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "models/numerics/kernels/wide_path.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

using Random = std::mt19937;

// Of an operand of random codes. Scales of powers of two and BF16 scales have biased exponents in [low, high].
struct Codes {
  int low = 118;
  int high = 136;
  unsigned window = 256;     // magnitudes of codes, counted from the largest one down
  unsigned zero_blocks = 0;  // one of so many is zero, with both signs; 0: none
};

unsigned below(Random& random, unsigned limit) {
  return static_cast<unsigned>(random() % limit);
}

int exponent_in(Random& random, const Codes& codes) {
  return codes.low + static_cast<int>(below(random, static_cast<unsigned>(codes.high - codes.low + 1)));
}

// Finite codes only.
std::uint32_t random_code(const FormatInfo& info, Random& random, const Codes& codes) {
  if (info.element == ElementType::int4) return below(random, 16);
  if (info.element == ElementType::int8) return below(random, 256);
  const FloatLayout& layout = layout_of(info.element);
  const std::uint32_t window = info.element_bits == 16 ? codes.window << layout.mantissa_bits : codes.window;
  const std::uint32_t magnitude = layout.max_code - below(random, std::min(window, layout.max_code + 1));
  return magnitude | below(random, 2) << layout.sign_shift();
}

void set_code(QuantisedMatrix& matrix, std::int64_t row, std::int64_t col, std::uint32_t code) {
  const int bits = format(matrix.format).element_bits;
  std::uint8_t* at = matrix.codes.data() + row * matrix.row_bytes + col * bits / 8;
  if (bits == 4) {
    const int shift = col % 2 == 0 ? 0 : 4;
    *at = static_cast<std::uint8_t>((*at & ~(0xFU << shift)) | code << shift);
  } else {
    at[0] = static_cast<std::uint8_t>(code);
    if (bits == 16) at[1] = static_cast<std::uint8_t>(code >> 8);
  }
}

void set_scale(const FormatInfo& info, std::uint8_t* scale, Random& random, const Codes& codes) {
  switch (info.block_scale) {
    case BlockScale::none:
      break;
    case BlockScale::e8m0:
      *scale = static_cast<std::uint8_t>(exponent_in(random, codes));
      break;
    case BlockScale::e4m3:  // of both signs, and zero
      *scale = static_cast<std::uint8_t>(below(random, 0x7F) | below(random, 2) << 7);
      break;
    case BlockScale::hif4:
      scale[0] = static_cast<std::uint8_t>(below(random, 0xFF));
      for (int i = 1; i < 4; ++i) scale[i] = static_cast<std::uint8_t>(random());
      break;
    case BlockScale::signed_e5m2:
      for (int i = 0; i < 2; ++i)
        scale[i] = static_cast<std::uint8_t>(below(random, kE5m2.max_code + 1) | below(random, 2) << 7);
      break;
    case BlockScale::bf16_zero: {
      const std::uint32_t code =
          static_cast<std::uint32_t>(exponent_in(random, codes)) << 7 | below(random, 128) | below(random, 2) << 15;
      scale[0] = static_cast<std::uint8_t>(code);
      scale[1] = static_cast<std::uint8_t>(code >> 8);
      scale[2] = static_cast<std::uint8_t>(below(random, 2) == 0 ? below(random, 16) : random());
      break;
    }
  }
}

QuantisedMatrix random_codes(FormatId id, std::int64_t rows, std::int64_t k, unsigned seed, const Codes& codes = {}) {
  const FormatInfo& info = format(id);
  Random random(seed);
  QuantisedMatrix matrix = empty_quantised(id, rows, k);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < k; ++col) set_code(matrix, row, col, random_code(info, random, codes));
    if (info.block_scale != BlockScale::none)
      for (std::int64_t block = 0; block < matrix.blocks(); ++block)
        set_scale(info, const_cast<std::uint8_t*>(matrix.scale_of(row, block)), random, codes);
    if (codes.zero_blocks == 0) continue;
    const std::uint32_t sign = is_integer(info.element) ? 0 : 1U << layout_of(info.element).sign_shift();
    for (std::int64_t col = 0; col < k; col += 16)
      if (below(random, codes.zero_blocks) == 0)
        for (std::int64_t i = col; i < std::min(col + 16, k); ++i)
          set_code(matrix, row, i, below(random, 2) == 0 ? sign : 0);
  }
  for (float& scale : matrix.outer_scale) scale = std::ldexp(1.37F, static_cast<int>(below(random, 20)) - 10);
  return matrix;
}

// Normal values with outliers, cast.
QuantisedMatrix random_operand(FormatId id, std::int64_t rows, std::int64_t k, unsigned seed) {
  Random random(seed);
  std::normal_distribution<float> normal;
  Matrix matrix(Dtype::fp32, rows, k);
  for (std::int64_t row = 0; row < rows; ++row)
    for (float& value : matrix.row_f32(row)) value = normal(random) * (below(random, 50) == 0 ? 40.0F : 1.0F);
  return quantise(id, matrix.view(), {});
}

void expect_reference_bits(const QuantisedMatrix& a, const QuantisedMatrix& b) {
  const GemmOperands operands{.a = &a, .b = &b};
  std::vector<float> expected(static_cast<std::size_t>(a.rows * b.rows));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    expected[i] = reference::output(operands, at / b.rows, at % b.rows);
  }
  for (const Kernel kernel : available_kernels()) {
    std::vector<float> actual(expected.size(), 123.0F);
    GemmEngine(operands, kernel).compute({0, 0, a.rows, b.rows}, {actual.data(), a.rows, b.rows});
    int differences = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (bits_of(actual[i]) != bits_of(expected[i]) && ++differences <= 2)
        ADD_FAILURE() << name_of(a.format) << " x " << name_of(b.format) << " " << name_of(kernel) << " [" << a.rows
                      << ", " << b.rows << ", " << a.k << "] output " << i << ": " << std::hexfloat << actual[i]
                      << ", expected " << expected[i];
    EXPECT_EQ(differences, 0);
  }
}

class EveryPair : public testing::TestWithParam<FormatId> {};

INSTANTIATE_TEST_SUITE_P(Mixed, EveryPair, testing::ValuesIn(all_formats()),
                         [](const auto& parameter) { return std::string(name_of(parameter.param)); });

TEST_P(EveryPair, TailsInEveryDimensionMatchTheReference) {
  unsigned seed = 1;
  for (const FormatInfo& other : formats()) {
    for (const auto& [m, n, k] : {std::array{1, 1, 1}, {3, 33, 17}, {19, 34, 70}, {5, 3, 299}}) {
      ++seed;
      expect_reference_bits(random_operand(GetParam(), m, k, seed), random_operand(other.id, n, k, seed + 1000));
    }
  }
}

TEST_P(EveryPair, ArbitraryCodesMatchTheReference) {
  unsigned seed = 100;
  for (const FormatInfo& other : formats()) {
    // All codes; the largest ones, whose sums are short; and one side of each.
    for (const auto& [a_window, b_window] : {std::array{256U, 256U}, {10U, 24U}, {30U, 256U}}) {
      const QuantisedMatrix a = random_codes(GetParam(), 7, 140, ++seed, {.window = a_window});
      const QuantisedMatrix b = random_codes(other.id, 36, 140, seed + 1000, {.window = b_window, .zero_blocks = 5});
      expect_reference_bits(a, b);
    }
  }
}

TEST_P(EveryPair, ExtremeScalesMatchTheReference) {
  unsigned seed = 200;
  for (const FormatInfo& other : formats()) {
    // Results among FP32's subnormals, results that vanish, factors beyond FP32, and overflow.
    for (const auto& [a_low, a_high, b_low, b_high] :
         {std::array{0, 2, 100, 130}, {0, 60, 0, 70}, {250, 254, 120, 254}, {0, 254, 0, 254}, {50, 56, 54, 66}}) {
      const QuantisedMatrix a =
          random_codes(GetParam(), 3, 130, ++seed, {.low = a_low, .high = a_high, .window = 40, .zero_blocks = 2});
      const QuantisedMatrix b =
          random_codes(other.id, 33, 130, seed + 1000, {.low = b_low, .high = b_high, .zero_blocks = 2});
      expect_reference_bits(a, b);
    }
  }
}

// Every second product is the negative of the one before it, but for a few.
TEST_P(EveryPair, CancellingSumsMatchTheReference) {
  unsigned seed = 300;
  for (const FormatInfo& other : formats()) {
    QuantisedMatrix a = random_codes(GetParam(), 4, 128, ++seed);
    QuantisedMatrix b = random_codes(other.id, 33, 128, seed + 1000);
    for (std::int64_t col = 0; col + 1 < 128; col += 2) {
      if (col % 32 == 30 && col % 64 != 30) continue;
      for (std::int64_t row = 0; row < a.rows; ++row) set_code(a, row, col + 1, a.code(row, col));
      for (std::int64_t row = 0; row < b.rows; ++row) {
        const std::uint32_t code = b.code(row, col);
        const std::uint32_t mask = other.element_bits == 4 ? 0xF : 0xFF;
        set_code(b, row, col + 1,
                 is_integer(other.element) ? (0 - code) & mask : code ^ 1U << layout_of(other.element).sign_shift());
      }
    }
    expect_reference_bits(a, b);
  }
}

// Elements of one sign and nearly one size, whose sums are as large as their norms allow, and one small element for
// each 16: in row r its magnitude has the code first + r * step, at most the largest one.
QuantisedMatrix aligned_codes(FormatId id, std::int64_t rows, std::int64_t k, unsigned seed, std::uint32_t first,
                              std::uint32_t step) {
  const FormatInfo& info = format(id);
  QuantisedMatrix matrix = random_codes(id, rows, k, seed, {.low = 127, .high = 127, .window = 6});
  const bool integer = is_integer(info.element);
  const std::uint32_t largest = integer ? (1U << (info.element_bits - 1)) - 1 : layout_of(info.element).max_code;
  const std::uint32_t sign = integer ? 0 : 1U << layout_of(info.element).sign_shift();
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < k; ++col) {
      const std::uint32_t small = std::min(first + static_cast<std::uint32_t>(row) * step, largest);
      const std::uint32_t code = integer ? largest - matrix.code(row, col) % 3 : matrix.code(row, col) & ~sign;
      set_code(matrix, row, col, col % 16 == 7 ? small | sign : code);
    }
    if (info.block_scale == BlockScale::none) continue;
    for (std::int64_t block = 0; block < matrix.blocks(); ++block) {
      auto* scale = const_cast<std::uint8_t*>(matrix.scale_of(row, block));
      if (info.block_scale == BlockScale::e4m3) scale[0] = 0x3F;  // 1.875
      if (info.block_scale == BlockScale::signed_e5m2) {          // the small element's sign has a small scale
        scale[0] = 0x7B;
        scale[1] = static_cast<std::uint8_t>(std::min(first + static_cast<std::uint32_t>(row) * step, kE5m2.max_code));
      }
    }
  }
  return matrix;
}

TEST_P(EveryPair, SumsOfEveryWidthMatchTheReference) {
  if (format(GetParam()).element_bits == 16) return;
  unsigned seed = 350;
  for (const FormatInfo& other : formats()) {
    if (other.element_bits == 16) continue;
    ++seed;
    // Sums of every width, those at the limits of FP32 and FP64 among them.
    const QuantisedMatrix a = aligned_codes(GetParam(), 40, 64, seed, 1, 3);
    for (const std::uint32_t small : {1U, 33U, 49U, 70U})
      expect_reference_bits(a, aligned_codes(other.id, 5, 64, seed + 1000 + small, small, 0));
  }
}

// Any byte anywhere: Inf and NaN elements, NaN scales.
TEST_P(EveryPair, NotANumberSpreadsAsInTheReference) {
  unsigned seed = 400;
  for (const FormatInfo& other : formats()) {
    QuantisedMatrix a = random_codes(GetParam(), 5, 67, ++seed);
    QuantisedMatrix b = random_codes(other.id, 35, 67, seed + 1000);
    Random random(seed);
    for (QuantisedMatrix* matrix : {&a, &b}) {
      const int bits = format(matrix->format).element_bits;
      for (const std::int64_t row : {1, 3}) {
        if (bits != 4)
          for (const std::uint32_t special : {bits == 16 ? 0x7C00U : 0x7CU, 0xFFFFU, bits == 16 ? 0xFF80U : 0xFFU})
            if (below(random, 3) != 0) set_code(*matrix, row, below(random, 67), special);
      }
      if (!matrix->block_scale.empty()) {
        auto* scale = const_cast<std::uint8_t*>(matrix->scale_of(4, 0));
        std::fill_n(scale, format(matrix->format).block_scale_bits / 8, static_cast<std::uint8_t>(0xFF));
      }
    }
    expect_reference_bits(a, b);
  }
}

TEST_P(EveryPair, ProductsWithBlocksOrSixteenBitsHaveAFastPath) {
  for (const FormatInfo& other : formats()) {
    if (summed_block(format(GetParam()), other) == 0) continue;
    const QuantisedMatrix a = random_operand(GetParam(), 3, 70, 1);
    const QuantisedMatrix b = random_operand(other.id, 3, 70, 2);
    EXPECT_NE(kernels::make_wide_path(a, b, Kernel::automatic), nullptr) << other.name;
  }
}

// Writes a value that E5M2 holds to column `col` of all rows.
void fill_column(QuantisedMatrix& matrix, std::int64_t col, double value) {
  for (std::int64_t row = 0; row < matrix.rows; ++row)
    set_code(matrix, row, col, encode(kE5m2, value, ElementRounding::nearest_even));
}

TEST(Mixed, SumsThatADoubleCannotHoldRoundOnce) {
  // Block 0 makes acc = s (1 + t 2^-23) 2^12. Block 1 adds u 2^-12, half a unit of acc, and v of its lowest bit, which
  // decides the tie. It lies beyond a double's 53 bits of the sum with acc, and from 2^21 on of the block itself.
  QuantisedMatrix a = empty_quantised(FormatId::mxfp8_e5m2, 3, 64);
  QuantisedMatrix b = empty_quantised(FormatId::mxfp8_e5m2, 33, 64);
  for (const double s : {1.0, -1.0}) {
    for (const double t : {0.0, 1.0}) {
      for (const double u : {1.0, -1.0}) {
        for (const double v : {1.0, -1.0, 0.0}) {
          for (const auto& [a_top, b_top] : {std::array{6, 6}, {10, 10}, {11, 10}, {15, 15}}) {
            for (const int b_scale : {0, 60, -115}) {  // -115: among FP32's subnormals
              fill_column(a, 0, s * 64);
              fill_column(b, 0, 64);
              fill_column(a, 1, s * t * 0x1p-4);
              fill_column(b, 1, 0x1p-7);
              fill_column(a, 32, u * std::ldexp(1, a_top));
              fill_column(b, 32, std::ldexp(1, b_top));
              fill_column(a, 63, u * v * 0x1p-16);
              fill_column(b, 63, 0x1p-16);
              for (std::size_t i = 0; i < a.block_scale.size(); i += 2) {
                a.block_scale[i] = kE8m0Bias;
                a.block_scale[i + 1] = static_cast<std::uint8_t>(kE8m0Bias - 12 - a_top - b_top);
              }
              std::ranges::fill(b.block_scale, static_cast<std::uint8_t>(kE8m0Bias + b_scale));
              expect_reference_bits(a, b);
            }
          }
        }
      }
    }
  }
}

TEST(Mixed, ZeroElementsOfBothSignsBesideSixteenBitsAreZeroWithoutSign) {
  // The first product vanishes and leaves -0. An element 0 or -0 adds a zero with the other factor's sign.
  for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8, FormatId::mxfp8_e5m2, FormatId::mx_e1m2}) {
    for (const FormatId wide : {FormatId::bf16, FormatId::fp16}) {
      QuantisedMatrix a = empty_quantised(wide, 2, 2);
      QuantisedMatrix b = empty_quantised(id, 2, 2);
      for (const std::int64_t row : {0, 1}) {
        set_code(a, row, 0, 0x8001);
        set_code(a, row, 1, row == 0 ? 0x3C00 : 0xBC00);
        set_code(b, row, 0, 1);
        set_code(b, row, 1, row == 0 ? 0 : 1U << layout_of(format(id).element).sign_shift());
        b.block_scale[static_cast<std::size_t>(row)] = 1;
      }
      expect_reference_bits(a, b);
      expect_reference_bits(b, a);
    }
  }
}

}  // namespace
}  // namespace oscsim::numerics
