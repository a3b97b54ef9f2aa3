// SPDX-License-Identifier: Apache-2.0
// Matrices and casts: scale rules, special values, layout, and the fast cast against the scalar definition.
#include "models/numerics/quantise.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <random>

#include "models/numerics/cast_targets.h"
#include "models/numerics/element.h"

namespace oscsim::numerics {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Matrix matrix_of(const std::vector<std::vector<float>>& rows) {
  Matrix matrix(Dtype::fp32, std::ssize(rows), std::ssize(rows.front()));
  for (std::int64_t row = 0; row < matrix.rows(); ++row)
    std::ranges::copy(rows[static_cast<std::size_t>(row)], matrix.row_f32(row).begin());
  return matrix;
}

QuantisedMatrix cast_row_of(FormatId format, const std::vector<float>& row, const CastOptions& options = {}) {
  return reference::quantise(format, matrix_of({row}).view(), options);
}

std::string error_of(auto&& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// ------ matrices

TEST(Matrix, RejectsNegativeAndOverflowingSizes) {
  EXPECT_EQ(error_of([] { Matrix(Dtype::bf16, -1, 4); }), "matrix size [-1, 4] is negative");
  const std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_THAT(error_of([=] { Matrix(Dtype::bf16, huge, huge); }), HasSubstr("matrix size overflows"));
  EXPECT_THAT(error_of([=] { Matrix(Dtype::fp32, huge, std::int64_t{1} << 21); }), HasSubstr("matrix size overflows"));
}

TEST(Matrix, StorageIsAlignedAndRowsAreContiguous) {
  Matrix matrix(Dtype::fp16, 3, 5);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(matrix.data()) % 64, 0U);
  EXPECT_EQ(matrix.row_u16(1).data(), matrix.row_u16(0).data() + 5);
  EXPECT_EQ(Matrix(Dtype::fp32, 0, 7).view().rows(), 0);
  EXPECT_THROW(matrix.row_f32(0), DefectError);
}

TEST(Matrix, ViewsReadEveryDtypeExactly) {
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp16}) {
    Matrix matrix(dtype, 2, 3);
    const FloatLayout& layout = dtype == Dtype::bf16 ? kBf16 : kFp16;
    for (std::uint16_t i = 0; i < 6; ++i) matrix.row_u16(i / 3)[i % 3] = static_cast<std::uint16_t>(0x3C01 * (i + 1));
    for (std::int64_t i = 0; i < 6; ++i)
      EXPECT_EQ(matrix.view().at(i / 3, i % 3), decode(layout, static_cast<std::uint16_t>(0x3C01 * (i + 1))));
  }
  EXPECT_EQ(matrix_of({{1, 2}, {3, 0.1F}}).view().at(1, 1), 0.1F);
}

TEST(FindNonfinite, ReportsTheFirstInRowMajorOrder) {
  Matrix matrix(Dtype::fp32, 300, 1000);  // several search tasks
  for (std::int64_t row = 0; row < 300; ++row) std::ranges::fill(matrix.row_f32(row), 3e38F);
  EXPECT_FALSE(find_nonfinite(matrix.view()).has_value());
  matrix.row_f32(299)[999] = std::nanf("");
  matrix.row_f32(150)[7] = -kInfinity;
  matrix.row_f32(150)[8] = std::nanf("");
  const std::optional<NonFinite> found = find_nonfinite(matrix.view());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->row, 150);
  EXPECT_EQ(found->col, 7);
  EXPECT_EQ(found->value, -kInfinity);
}

TEST(FindNonfinite, KnowsTheSpecialCodesOfSixteenBitTypes) {
  for (const auto& [dtype, largest] : {std::pair{Dtype::bf16, 0x7F7F}, std::pair{Dtype::fp16, 0x7BFF}}) {
    Matrix matrix(dtype, 1, 40);
    std::ranges::fill(matrix.row_u16(0), static_cast<std::uint16_t>(largest | 0x8000));
    EXPECT_FALSE(find_nonfinite(matrix.view()).has_value());
    matrix.row_u16(0)[39] = static_cast<std::uint16_t>(largest + 1);
    ASSERT_TRUE(find_nonfinite(matrix.view()).has_value());
    EXPECT_EQ(find_nonfinite(matrix.view())->col, 39);
  }
  EXPECT_FALSE(find_nonfinite(Matrix(Dtype::bf16, 0, 8).view()).has_value());
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
  EXPECT_EQ(cast_row_of(FormatId::int8, {0, 0}).outer_scale[0], 1e-5F);
  EXPECT_EQ(cast_row_of(FormatId::int8, {0, 0}).value(0, 1), 0.0F);
}

TEST(PlainCast, SpecialValuesStayInTheirElements) {
  for (const FormatId id : {FormatId::bf16, FormatId::fp16}) {
    const QuantisedMatrix cast = cast_row_of(id, {1, std::nanf(""), -kInfinity, 3e38F});
    EXPECT_EQ(cast.value(0, 0), 1.0F);
    EXPECT_TRUE(std::isnan(cast.value(0, 1)));
    EXPECT_EQ(cast.value(0, 2), -kInfinity);
    EXPECT_TRUE(std::isfinite(cast.value(0, 3)));
  }
}

// ------ the fast cast

// Values that exercise every branch: random bits (any exponent, subnormals, sometimes NaN and Inf), ordinary numbers,
// ties of the small formats at any scale, zeros of both signs.
class NastyValues {
 public:
  explicit NastyValues(std::uint32_t seed, bool nonfinite) : random_(seed), nonfinite_(nonfinite) {}

  float next() {
    const auto bits = static_cast<std::uint32_t>(random_());
    switch (random_() % 8) {
      case 0:
        return finite(std::bit_cast<float>(bits));
      case 1:
        return std::bit_cast<float>(bits & 0x807FFFFF);  // subnormal
      case 2:
        return std::bit_cast<float>(bits & 0x80000000);
      case 3:  // few mantissa bits near 1: ties
        return std::bit_cast<float>((bits & 0x80780000) | (120 + bits % 16) << 23);
      case 4:
        return nonfinite_ && bits % 64 == 0 ? kInfinity : std::bit_cast<float>((bits & 0x807F0000) | 127U << 23);
      default:
        return std::ldexp(static_cast<float>(static_cast<std::int32_t>(bits)), -31);
    }
  }

 private:
  float finite(float value) const { return nonfinite_ || std::isfinite(value) ? value : 1.0F; }

  std::mt19937 random_;
  bool nonfinite_;
};

Matrix nasty_matrix(Dtype dtype, std::int64_t rows, std::int64_t cols, std::uint32_t seed, bool nonfinite) {
  NastyValues values(seed, nonfinite);
  Matrix matrix(dtype, rows, cols);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float row_factor = std::ldexp(1.0F, static_cast<int>(row * 37 % 200) - 100);
    for (std::int64_t col = 0; col < cols; ++col) {
      const float value = row % 2 == 0 ? values.next() : values.next() * row_factor;
      const auto index = static_cast<std::size_t>(col);
      if (dtype == Dtype::fp32)
        matrix.row_f32(row)[index] = nonfinite || std::isfinite(value) ? value : 1.0F;
      else
        matrix.row_u16(row)[index] = static_cast<std::uint16_t>(encode(
            dtype == Dtype::bf16 ? kBf16 : kFp16, static_cast<double>(nonfinite || std::isfinite(value) ? value : 1.0F),
            ElementRounding::nearest_even));
    }
  }
  return matrix;
}

void expect_same(const QuantisedMatrix& fast, const QuantisedMatrix& expected, const std::string& what) {
  ASSERT_EQ(fast.row_bytes, expected.row_bytes) << what;
  ASSERT_EQ(fast.codes, expected.codes) << what;
  ASSERT_EQ(fast.block_scale, expected.block_scale) << what;
  ASSERT_EQ(fast.outer_scale.size(), expected.outer_scale.size()) << what;
  for (std::size_t row = 0; row < fast.outer_scale.size(); ++row)  // as bits: NaN is a scale too
    ASSERT_EQ(std::bit_cast<std::uint32_t>(fast.outer_scale[row]),
              std::bit_cast<std::uint32_t>(expected.outer_scale[row]))
        << what << " row " << row;
}

void expect_fast_is_reference(FormatId id, const Matrix& matrix, const CastOptions& options, const std::string& what) {
  const QuantisedMatrix expected = reference::quantise(id, matrix.view(), options);
  for (const CastTarget& target : cast_targets())
    expect_same(quantise_with(target, id, matrix.view(), options), expected, fmt::format("{} {}", what, target.name));
}

class FastCast : public testing::TestWithParam<FormatInfo> {};

INSTANTIATE_TEST_SUITE_P(All, FastCast, testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(FastCast, EqualsTheReferenceForEveryTypeRuleRoundingAndTail) {
  std::uint32_t seed = 1;
  for (const auto& [dtype_name, dtype] : EnumNames<Dtype>::kValues)
    for (const auto& [rule_name, rule] : EnumNames<ScaleRule>::kValues)
      for (const auto& [rounding_name, rounding] : EnumNames<ElementRounding>::kValues)
        for (const std::int64_t cols : {1, 31, 32, 33, 100, 512, 545, 1100})
          for (const bool nonfinite : {false, true}) {
            const Matrix matrix = nasty_matrix(dtype, 5, cols, ++seed, nonfinite);
            expect_fast_is_reference(
                GetParam().id, matrix, {rule, rounding},
                fmt::format("{} {} {} {} columns, seed {}", dtype_name, rule_name, rounding_name, cols, seed));
          }
}

TEST_P(FastCast, EqualsTheReferenceOnASampleOfAllFloats) {
  constexpr std::int64_t kRows = 512, kCols = 2048;  // every 4096th pattern, plus 1 to reach odd ones
  Matrix matrix(Dtype::fp32, kRows, kCols);
  for (std::int64_t i = 0; i < kRows * kCols; ++i)
    matrix.row_f32(i / kCols)[static_cast<std::size_t>(i % kCols)] =
        std::bit_cast<float>(static_cast<std::uint32_t>(i * 4097));
  for (const auto& [name, rounding] : EnumNames<ElementRounding>::kValues)
    expect_fast_is_reference(GetParam().id, matrix, {ScaleRule::floor, rounding}, std::string(name));
}

TEST_P(FastCast, EqualsTheReferenceOnEverySixteenBitCode) {
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp16}) {
    Matrix matrix(dtype, 65536 / 32, 32);  // one block per row: neighbours in value share a scale
    for (std::uint32_t code = 0; code < 65536; ++code)
      matrix.row_u16(code / 32)[code % 32] = static_cast<std::uint16_t>(code);
    expect_fast_is_reference(GetParam().id, matrix, {}, std::string(name_of(dtype)));
  }
}

TEST_P(FastCast, AcceptsEmptyAndUnalignedMatrices) {
  EXPECT_TRUE(quantise(GetParam().id, Matrix(Dtype::bf16, 0, 64).view(), {}).codes.empty());
  EXPECT_TRUE(quantise(GetParam().id, Matrix(Dtype::bf16, 4, 0).view(), {}).codes.empty());
  const Matrix matrix = nasty_matrix(Dtype::fp32, 3, 65, 7, false);
  std::vector<std::byte> shifted(3 * 65 * 4 + 1);
  std::memcpy(shifted.data() + 1, matrix.view().data(), shifted.size() - 1);
  expect_same(quantise(GetParam().id, MatrixView(shifted.data() + 1, Dtype::fp32, 3, 65), {}),
              reference::quantise(GetParam().id, matrix.view(), {}), "unaligned");
}

TEST(EmptyOperand, NegativeSizesAreInputErrors) {
  EXPECT_EQ(error_of([] { empty_quantised(FormatId::mxfp4, 4, -32); }), "operand size [4, -32] is negative");
  EXPECT_THAT(error_of([] { empty_quantised(FormatId::bf16, std::int64_t{1} << 40, std::int64_t{1} << 40); }),
              HasSubstr("size of codes overflows"));
}

}  // namespace
}  // namespace oscsim::numerics
