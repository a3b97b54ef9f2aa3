// SPDX-License-Identifier: Apache-2.0
// The fast casts of every format and instruction set against the scalar definition, bit by bit.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "models/numerics/cast_targets.h"
#include "models/numerics/element.h"
#include "models/numerics/quantise.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

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

// Row by row: values as they are; shifted by a power of two; of one sign; all zero.
Matrix nasty_matrix(Dtype dtype, std::int64_t rows, std::int64_t cols, std::uint32_t seed, bool nonfinite) {
  NastyValues values(seed, nonfinite);
  const auto value_in = [&](std::int64_t row) {
    const float value = values.next();
    switch (row % 5) {
      case 1:
        return std::ldexp(value, static_cast<int>(row * 37 % 200) - 100);
      case 2:
        return std::fabs(value);
      case 3:
        return -std::fabs(value);
      case 4:
        return std::copysign(0.0F, value);
      default:
        return value;
    }
  };
  const FloatLayout& layout = dtype == Dtype::bf16 ? kBf16 : kFp16;
  Matrix matrix(dtype, rows, cols);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      const float drawn = value_in(row);
      const float value = nonfinite || std::isfinite(drawn) ? drawn : 1.0F;
      const auto index = static_cast<std::size_t>(col);
      if (dtype == Dtype::fp32)
        matrix.row_f32(row)[index] = value;
      else
        matrix.row_u16(row)[index] =
            static_cast<std::uint16_t>(encode(layout, static_cast<double>(value), ElementRounding::nearest_even));
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

class FastCast : public testing::TestWithParam<FormatInfo> {
 protected:
  // Scale rules that make a difference to the format.
  static std::vector<ScaleRule> rules() {
    if (GetParam().block_scale != BlockScale::e8m0) return {ScaleRule::floor};
    return {ScaleRule::floor, ScaleRule::even, ScaleRule::ceil, ScaleRule::rceil};
  }
};

INSTANTIATE_TEST_SUITE_P(All, FastCast, testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(CastTargets, PortableIsAlwaysThereAndTheLast) {
  ASSERT_FALSE(cast_targets().empty());
  EXPECT_EQ(cast_targets().back().name, "portable");
  for (const CastTarget& target : cast_targets()) EXPECT_EQ(target.cast_rows.size(), formats().size());
}

TEST_P(FastCast, EqualsTheReferenceForEveryTypeRuleRoundingAndTail) {
  std::uint32_t seed = 1;
  for (const auto& [dtype_name, dtype] : EnumNames<Dtype>::kValues)
    for (const ScaleRule rule : rules())
      for (const auto& [rounding_name, rounding] : EnumNames<ElementRounding>::kValues)
        for (const std::int64_t cols : {1, 15, 17, 31, 33, 63, 100, 129, 545, 1023, 1024, 1027, 2090})
          for (const bool nonfinite : {false, true}) {
            const Matrix matrix = nasty_matrix(dtype, 5, cols, ++seed, nonfinite);
            expect_fast_is_reference(
                GetParam().id, matrix, {rule, rounding},
                fmt::format("{} {} {} {} columns, seed {}", dtype_name, name_of(rule), rounding_name, cols, seed));
          }
}

// A row for every exponent of the largest magnitude, of those with the mantissas where the scale rules and the scales'
// roundings turn; around it multiples of 1/128 of that magnitude, of both signs: ties of every element.
TEST_P(FastCast, EqualsTheReferenceForEveryExponentOfTheMaximum) {
  constexpr std::uint32_t kMantissas[] = {0, 1, 0x3FFFFF, 0x400000, 0x400001, 0x600000, 0x700000, 0x7FFFFF};
  constexpr std::int64_t kBlock = 128;  // the largest
  constexpr std::int64_t kCols = kBlock * std::ssize(kMantissas);
  Matrix matrix(Dtype::fp32, 255, kCols);
  for (std::int64_t row = 0; row < matrix.rows(); ++row)
    for (std::int64_t col = 0; col < kCols; ++col) {
      const auto amax = std::bit_cast<float>(static_cast<std::uint32_t>(row) << 23 |
                                             kMantissas[static_cast<std::size_t>(col / kBlock)]);
      const auto part = static_cast<float>(col % 16 == 0 ? 128 : (col * 37 + row) % 128) / 128.0F;
      matrix.row_f32(row)[static_cast<std::size_t>(col)] = col % 3 == 1 ? -amax * part : amax * part;
    }
  for (const ScaleRule rule : rules())
    for (const auto& [rounding_name, rounding] : EnumNames<ElementRounding>::kValues)
      expect_fast_is_reference(GetParam().id, matrix, {rule, rounding},
                               fmt::format("{} {}", name_of(rule), rounding_name));
}

TEST_P(FastCast, EqualsTheReferenceOnASampleOfAllFloats) {
  constexpr std::int64_t kRows = 256, kCols = 2048;  // every 8192nd pattern, plus 1 to reach odd ones
  Matrix matrix(Dtype::fp32, kRows, kCols);
  for (std::int64_t i = 0; i < kRows * kCols; ++i)
    matrix.row_f32(i / kCols)[static_cast<std::size_t>(i % kCols)] =
        std::bit_cast<float>(static_cast<std::uint32_t>(i * 8193));
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

TEST_P(FastCast, EqualsTheReferenceWithTheAmaxOfALargerTensorOrAWrongOne) {
  for (const bool nonfinite : {false, true}) {
    const Matrix matrix = nasty_matrix(Dtype::fp32, 10, 300, 99, nonfinite);
    for (const float tensor_amax : {0.0F, 1e-45F, 1e-30F, 0.01F, 1.0F, 448.0F, 3.7e4F, 1e20F, kLargest, kInfinity,
                                    std::numeric_limits<float>::quiet_NaN()})
      for (const auto& [name, rounding] : EnumNames<ElementRounding>::kValues)
        expect_fast_is_reference(GetParam().id, matrix, {ScaleRule::floor, rounding, tensor_amax},
                                 fmt::format("{} tensor amax {}", name, tensor_amax));
  }
}

TEST_P(FastCast, AcceptsEmptyAndUnalignedMatrices) {
  EXPECT_TRUE(quantise(GetParam().id, Matrix(Dtype::bf16, 0, 64).view(), {}).codes.empty());
  EXPECT_TRUE(quantise(GetParam().id, Matrix(Dtype::bf16, 4, 0).view(), {}).codes.empty());
  for (const auto& [name, dtype] : EnumNames<Dtype>::kValues) {
    const Matrix matrix = nasty_matrix(dtype, 3, 65, 7, false);
    std::vector<std::byte> shifted(3 * 65 * size_of(dtype) + 1);
    std::memcpy(shifted.data() + 1, matrix.view().data(), shifted.size() - 1);
    expect_same(quantise(GetParam().id, MatrixView(shifted.data() + 1, dtype, 3, 65), {}),
                reference::quantise(GetParam().id, matrix.view(), {}), fmt::format("unaligned {}", name));
  }
}

}  // namespace
}  // namespace oscsim::numerics
