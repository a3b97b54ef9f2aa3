// SPDX-License-Identifier: Apache-2.0
// Random operands under every accumulator: sums against integers of any length, the engine against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/exact.h"
#include "tests/unit/numerics/fused_oracle.h"
#include "tests/unit/numerics/rows.h"

namespace oscsim::numerics {
namespace {

// Every code equally likely, finite ones; scales around 1.
QuantisedMatrix random_codes(FormatId id, std::int64_t rows, std::int64_t k, unsigned seed, int spread) {
  std::mt19937 generator(seed);
  const FormatInfo& info = format(id);
  QuantisedMatrix matrix = empty_quantised(id, rows, k);
  const auto finite = [&](std::uint32_t code) {
    return is_integer(info.element) ||
           (code & layout_of(info.element).magnitude_mask()) <= layout_of(info.element).max_code;
  };
  for (std::size_t i = 0; i < matrix.codes.size(); ++i) {
    do matrix.codes[i] = static_cast<std::uint8_t>(generator());
    while (info.element_bits == 8 && !finite(matrix.codes[i]));
    // 16 bits: exponents within `spread` of the middle, now and then a subnormal.
    if (info.element_bits == 16 && i % 2 == 1) {
      const FloatLayout& layout = layout_of(info.element);
      const auto exponent =
          static_cast<unsigned>(layout.bias + static_cast<int>(generator() % (2 * spread + 1)) - spread);
      const auto field = generator() % 50 == 0 ? 0U : std::clamp(exponent, 0U, (1U << layout.exponent_bits) - 2);
      const auto low = static_cast<unsigned>(matrix.codes[i - 1] | (matrix.codes[i] & 0x80U) << 8);
      const unsigned code =
          (low | (generator() & 0x3FFU)) & ~(((1U << layout.exponent_bits) - 1) << layout.mantissa_bits);
      matrix.codes[i - 1] = static_cast<std::uint8_t>(code);
      matrix.codes[i] = static_cast<std::uint8_t>((code | field << layout.mantissa_bits) >> 8);
      matrix.codes[i - 1] = static_cast<std::uint8_t>((code | field << layout.mantissa_bits) & 0xFF);
    }
  }
  const int scale_bytes = info.block_scale_bits / 8;
  for (std::size_t i = 0; i < matrix.block_scale.size(); ++i) {
    std::uint8_t& byte = matrix.block_scale[i];
    byte = static_cast<std::uint8_t>(generator());
    if (info.block_scale == BlockScale::e8m0)
      byte = static_cast<std::uint8_t>(kE8m0Bias + static_cast<int>(generator() % (2 * spread + 1)) - spread);
    else if (info.block_scale == BlockScale::e4m3)
      byte = static_cast<std::uint8_t>(byte % 0x7F);
    else if (info.block_scale == BlockScale::signed_e5m2)
      byte = static_cast<std::uint8_t>(byte % 0x7C);
    else if (info.block_scale == BlockScale::hif4 && i % scale_bytes == 0)
      byte = static_cast<std::uint8_t>(std::min(byte, std::uint8_t{0xFE}));
    else if (info.block_scale == BlockScale::bf16_zero && i % scale_bytes == 1)
      byte = static_cast<std::uint8_t>(0x3F + static_cast<int>(generator() % 3));
    else if (info.block_scale == BlockScale::bf16_zero && i % scale_bytes == 2)
      byte %= 16;
  }
  // Padding has the code of zero.
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
    const std::int64_t bits = k * info.element_bits;
    if (bits % 8 != 0) codes[bits / 8] &= 0xF;
    std::fill(codes + (bits + 7) / 8, codes + matrix.row_bytes, std::uint8_t{0});
  }
  for (float& scale : matrix.outer_scale) scale = std::ldexp(1.37F, static_cast<int>(generator() % 20) - 10);
  return matrix;
}

// Values without block scales; `least` is the exponent of the formats' subnormals.
float oracle(const Fusion& fusion, const std::vector<float>& a, const std::vector<float>& b, int least) {
  const auto exponent_of = [&](float value) { return value == 0 ? -126 : std::max(std::ilogb(value), least); };
  float acc = 0;
  for (std::size_t first = 0; first < a.size(); first += static_cast<std::size_t>(fusion.terms)) {
    std::vector<exact::Term> terms;
    for (std::size_t i = first; i < std::min(a.size(), first + static_cast<std::size_t>(fusion.terms)); ++i)
      terms.push_back(
          {exact::of(static_cast<double>(a[i]) * static_cast<double>(b[i])), exponent_of(a[i]) + exponent_of(b[i])});
    acc = exact::fused(acc, terms, fusion);
  }
  return acc;
}

TEST(Fused, RandomSumsMatchAnOracleInBoostIntegers) {
  for (const FormatId id : {FormatId::bf16, FormatId::fp16, FormatId::fp8, FormatId::fp8_e5m2}) {
    const int least = 1 - layout_of(format(id).element).bias;
    for (const std::string_view name : {"volta_fp16", "ampere_fp16", "hopper_fp16", "hopper_fp8", "blackwell_fp8",
                                        "fused(30,7,rne)", "fused(3,5,rz)", "fused(48,9,rz)", "fused(3,5,rz,1,skip)"}) {
      QuantisedMatrix a = random_codes(id, 6, 100, 5, 9);
      QuantisedMatrix b = random_codes(id, 6, 100, 6, 9);
      std::ranges::fill(a.outer_scale, 1.0F);
      std::ranges::fill(b.outer_scale, 1.0F);
      const Accumulator used = accumulator(name);
      for (std::int64_t row = 0; row < 6; ++row) {
        std::vector<float> x;
        std::vector<float> y;
        for (std::int64_t i = 0; i < 100; ++i) {
          x.push_back(a.value(row, i));
          y.push_back(b.value(row, i));
        }
        const float expected = oracle(used.fusion(format(id).element_bits == 16), x, y, least);
        EXPECT_EQ(bits_of(reference::output({.a = &a, .b = &b, .accumulator = used}, row, row)), bits_of(expected))
            << name_of(id) << " " << name << " " << row;
      }
    }
  }
}

// The second half of each row: the first with the opposite sign, except that one element of it is zero.
void cancel_halves(QuantisedMatrix& matrix, bool negate) {
  const int bits = format(matrix.format).element_bits;
  const std::size_t half = matrix.codes.size() / 2;
  const std::size_t scales = matrix.block_scale.size() / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const bool sign_byte = bits != 16 || i % 2 == 1;
    const int sign = !negate || !sign_byte ? 0 : bits == 4 ? 0x88 : 0x80;
    matrix.codes[half + i] = static_cast<std::uint8_t>(matrix.codes[i] ^ sign);
  }
  for (std::size_t i = 0; i < scales; ++i) matrix.block_scale[scales + i] = matrix.block_scale[i];
  if (negate) std::fill_n(matrix.codes.begin() + static_cast<std::ptrdiff_t>(half) + 6, 2, std::uint8_t{0});
}

TEST(Exact, SumsThatCancelMatchBoostIntegers) {
  unsigned seed = 50;
  for (const FormatId id : {FormatId::bf16, FormatId::fp16, FormatId::mxfp8, FormatId::mxfp4}) {
    for (const int spread : {4, 14, 40, 110}) {
      QuantisedMatrix a = random_codes(id, 1, 128, ++seed, spread);
      QuantisedMatrix b = random_codes(id, 1, 128, ++seed, spread);
      for (const bool cancels : {false, true}) {
        if (cancels) {
          cancel_halves(a, true);
          cancel_halves(b, false);
        }
        exact::Integer total = 0;
        for (std::int64_t i = 0; i < 128; ++i)
          total += exact::of(static_cast<double>(a.value(0, i)) * static_cast<double>(b.value(0, i)));
        const GemmOperands operands{.a = &a, .b = &b, .accumulator = accumulator("exact")};
        EXPECT_EQ(reference::output(operands, 0, 0), exact::rounded(total)) << name_of(id) << " " << spread;
        EXPECT_EQ(engine_output(operands, Kernel::automatic), exact::rounded(total)) << name_of(id) << " " << spread;
      }
    }
  }
}

void expect_engine_matches(const GemmOperands& operands) {
  const std::int64_t m = operands.a->rows;
  const std::int64_t n = operands.b->rows;
  std::vector<float> expected;
  for (std::int64_t row = 0; row < m; ++row)
    for (std::int64_t col = 0; col < n; ++col) expected.push_back(reference::output(operands, row, col));
  for (const Kernel kernel : available_kernels()) {
    std::vector<float> out(static_cast<std::size_t>(m * n), -1.0F);
    GemmEngine(operands, kernel).compute({0, 0, m, n}, {out.data(), m, n});
    int differences = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      if (bits_of(out[i]) != bits_of(expected[i]) && ++differences <= 2)
        ADD_FAILURE() << text_of(operands.accumulator) << " " << name_of(operands.a->format) << " x "
                      << name_of(operands.b->format) << " " << name_of(kernel) << " k = " << operands.a->k << " at "
                      << i << ": " << std::hexfloat << out[i] << ", expected " << expected[i];
    ASSERT_EQ(differences, 0);
  }
}

bool fits(const GemmOperands& operands) {
  try {
    check_operands(operands);
  } catch (const InputError&) {
    return false;
  }
  return true;
}

TEST(AccumulatorEngine, EveryPresetAndFormatMatchesTheReference) {
  unsigned seed = 100;
  for (const FormatInfo& info : formats()) {
    const QuantisedMatrix a = random_codes(info.id, 2, 150, ++seed, 6);
    const QuantisedMatrix b = random_codes(info.id, 33, 150, ++seed, 6);
    for (const AccumulatorPreset& preset : accumulators()) {
      const GemmOperands operands{.a = &a, .b = &b, .accumulator = preset.accumulator};
      if (fits(operands)) expect_engine_matches(operands);
    }
  }
}

TEST(AccumulatorEngine, EveryPairOfFormatsMatchesTheReference) {
  unsigned seed = 300;
  for (const FormatInfo& a_info : formats()) {
    const QuantisedMatrix a = random_codes(a_info.id, 2, 77, ++seed, 5);
    for (const FormatInfo& b_info : formats()) {
      if (a_info.id == b_info.id) continue;
      const QuantisedMatrix b = random_codes(b_info.id, 9, 77, ++seed, 5);
      for (const std::string_view name :
           {"exact", "hopper_fp8", "blackwell_mxf8", "blackwell_mxf4", "fused(7,3,rne)"}) {
        const GemmOperands operands{.a = &a, .b = &b, .accumulator = accumulator(name)};
        if (fits(operands)) expect_engine_matches(operands);
      }
    }
  }
}

TEST(AccumulatorEngine, WideRangesAndOddGroupsMatchTheReference) {
  unsigned seed = 500;
  for (const FormatId id : {FormatId::mxfp4, FormatId::mxfp8, FormatId::mxfp8_e5m2, FormatId::bf16, FormatId::fp16}) {
    for (const int spread : {0, 20, 60, 110}) {
      const QuantisedMatrix a = random_codes(id, 1, 133, ++seed, spread);
      const QuantisedMatrix b = random_codes(id, 33, 133, ++seed, spread);
      for (const std::string_view name :
           {"exact", "hopper_fp16", "blackwell_mxf4", "fused(1,1,rz)", "fused(13,200,rz_e8m13)", "fused(24,33,rne)",
            "fused(48,1024,rz)", "fused(40,3,rne)", "fused(20,70,rz,2)", "fused(26,2,rne,8)", "fused(20,7,rz,1,skip)",
            "fused(35,4,rz,16,skip)"})
        expect_engine_matches({.a = &a, .b = &b, .accumulator = accumulator(name)});
    }
  }
}

TEST(AccumulatorEngine, BranchesMatchTheReference) {
  unsigned seed = 700;
  for (const FormatId id : {FormatId::mxfp4, FormatId::nvfp4_single, FormatId::hif4, FormatId::mxfp8, FormatId::fp8}) {
    const QuantisedMatrix a = random_codes(id, 1, 140, ++seed, 5);
    const QuantisedMatrix b = random_codes(id, 33, 140, ++seed, 5);
    for (const FormatId branch : {FormatId::bf16, FormatId::fp16}) {
      const QuantisedMatrix branch_a = random_codes(branch, 1, 21, ++seed, 6);
      const QuantisedMatrix branch_b = random_codes(branch, 33, 21, ++seed, 6);
      for (const AccumulatorPreset& preset : accumulators())
        for (const Join join : {Join::add, Join::chain}) {
          const GemmOperands operands{&a, &b, &branch_a, &branch_b, join, preset.accumulator};
          if (fits(operands)) expect_engine_matches(operands);
        }
    }
  }
}

TEST(AccumulatorEngine, SpecialNumbersAndLargeRegionsMatchTheReference) {
  QuantisedMatrix a = random_codes(FormatId::bf16, 5, 40, 900, 5);
  QuantisedMatrix b = random_codes(FormatId::bf16, 40, 40, 901, 5);
  const auto set = [](QuantisedMatrix& matrix, std::int64_t row, std::int64_t col, std::uint16_t code) {
    matrix.codes[static_cast<std::size_t>(row * matrix.row_bytes + 2 * col)] = static_cast<std::uint8_t>(code);
    matrix.codes[static_cast<std::size_t>(row * matrix.row_bytes + 2 * col + 1)] = static_cast<std::uint8_t>(code >> 8);
  };
  set(a, 1, 3, 0x7F80);
  set(a, 2, 39, 0xFFC1);
  set(b, 7, 3, 0xFF80);
  set(b, 33, 20, 0x7F80);
  QuantisedMatrix x = random_codes(FormatId::mxfp8, 5, 70, 902, 5);
  QuantisedMatrix y = random_codes(FormatId::mxfp8, 40, 70, 903, 5);
  x.block_scale[3] = kE8m0Nan;
  y.codes[77] = 0x7F;
  for (const std::string_view name : {"exact", "hopper_fp16", "fused(25,16,rne)", "blackwell_mxf4"}) {
    expect_engine_matches({.a = &a, .b = &b, .accumulator = accumulator(name)});
    expect_engine_matches({.a = &x, .b = &y, .accumulator = accumulator(name)});
  }
  const QuantisedMatrix tall = random_codes(FormatId::fp8, 300, 40, 904, 5);
  const QuantisedMatrix wide = random_codes(FormatId::fp8, 290, 40, 905, 5);
  const GemmOperands operands{.a = &tall, .b = &wide, .accumulator = accumulator("hopper_fp8")};
  const GemmEngine engine(operands);
  std::vector<float> out(std::size_t{300} * 290);
  compute_all(engine, {out.data(), 300, 290});
  for (std::int64_t row = 0; row < 300; row += 7)
    for (std::int64_t col = row % 11; col < 290; col += 11)
      ASSERT_EQ(bits_of(out[static_cast<std::size_t>(row * 290 + col)]),
                bits_of(reference::output(operands, row, col)));
}

}  // namespace
}  // namespace oscsim::numerics
