// SPDX-License-Identifier: Apache-2.0
// Every code of every element and scale type: its value by an independent decoder, and back to the same code.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "models/numerics/element.h"
#include "tests/unit/numerics/independent_values.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

struct Pair {
  std::string name;
  const FloatLayout* layout;
  const independent::Binary* independent;
};

class Codes : public testing::TestWithParam<Pair> {};

INSTANTIATE_TEST_SUITE_P(
    All, Codes,
    testing::Values(Pair{"E2M1", &kE2m1, &independent::kE2m1}, Pair{"E1M2", &kE1m2, &independent::kE1m2},
                    Pair{"E4M3", &kE4m3, &independent::kE4m3}, Pair{"E5M2", &kE5m2, &independent::kE5m2},
                    Pair{"BF16", &kBf16, &independent::kBf16}, Pair{"FP16", &kFp16, &independent::kFp16}),
    [](const auto& test) { return test.param.name; });

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

TEST_P(Codes, EveryFloatCodeHasItsValueAndEncodesToItself) {
  const FloatLayout& layout = *GetParam().layout;
  const independent::Binary& independent = *GetParam().independent;
  ASSERT_EQ(layout.sign_shift() + 1, independent.bits());
  for (std::uint32_t code = 0; code < 1U << independent.bits(); ++code) {
    const double value = independent.value(code);
    ASSERT_TRUE(same(static_cast<double>(decode(layout, code)), value)) << code;
    for (const ElementRounding rounding : {ElementRounding::nearest_even, ElementRounding::half_away})
      ASSERT_EQ(encode(layout, value, rounding), std::isnan(value) ? *layout.nan_code : code) << code;
  }
}

TEST(Codes, EveryScaleCodeHasItsValueAndEncodesToItself) {
  for (unsigned code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    ASSERT_TRUE(same(decode_e8m0(byte), independent::e8m0_value(code))) << code;
    ASSERT_TRUE(same(decode_e6m2(byte), independent::e6m2_value(code))) << code;
    if (code == 255) continue;  // NaN: the casts write it themselves
    ASSERT_EQ(encode_e8m0(std::ilogb(independent::e8m0_value(code))), code);
    ASSERT_EQ(encode_e6m2(independent::e6m2_value(code)), code);
  }
}

TEST(Codes, EveryIntegerEncodesToItself) {
  for (const ElementRounding rounding : {ElementRounding::nearest_even, ElementRounding::half_away})
    for (const int limit : {7, 127})
      for (int value = -limit; value <= limit; ++value) ASSERT_EQ(encode_integer(value, limit, rounding), value);
}

class EveryFormatsCodes : public testing::TestWithParam<FormatId> {};
INSTANTIATE_TEST_SUITE_P(All, EveryFormatsCodes, testing::ValuesIn(all_formats()),
                         [](const auto& test) { return std::string(name_of(test.param)); });

// Byte i of every scale of row r takes bits [8 i, 8 i + 8) of pattern(r): all 256 of a one-byte scale, and a spread of
// the longer ones.
std::uint32_t scale_pattern(std::int64_t row, int scale_bytes) {
  const auto number = static_cast<std::uint32_t>(row);
  return scale_bytes == 1 ? number : number * 2654435761U ^ number;
}

TEST_P(EveryFormatsCodes, EveryElementUnderEveryScaleHasItsValue) {
  const independent::Stored& stored = independent::stored(GetParam());
  const std::int64_t rows = stored.scale_bytes == 0 ? 1 : stored.scale_bytes == 1 ? 256 : 8192;
  const std::int64_t k = std::max(std::int64_t{1} << stored.bits, stored.scale_block * 2);
  QuantisedMatrix matrix = empty_quantised(GetParam(), rows, k);
  ASSERT_EQ(matrix.row_bytes, independent::row_bytes(stored, k));
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint8_t* bytes = matrix.codes.data() + row * matrix.row_bytes;
    for (std::int64_t col = 0; col < k; ++col) {
      // A block longer than the codes are many meets each code at several positions.
      const auto code = static_cast<std::uint32_t>(stored.bits == 4 ? (col * 7 + col / 16 + row) % 16 : col);
      if (stored.bits == 4)
        bytes[col / 2] = static_cast<std::uint8_t>(bytes[col / 2] | code << col % 2 * 4);
      else
        std::memcpy(bytes + col * stored.bits / 8, &code, static_cast<std::size_t>(stored.bits / 8));
    }
    const std::int64_t row_scales = std::ssize(matrix.block_scale) / rows;
    for (std::int64_t i = 0; i < row_scales; ++i)
      matrix.block_scale[static_cast<std::size_t>(row * row_scales + i)] =
          static_cast<std::uint8_t>(scale_pattern(row, stored.scale_bytes) >> i % stored.scale_bytes * 8);
  }
  for (float& scale : matrix.outer_scale) scale = 1;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < k; ++col) {
      const double expected = independent::decoded_at(matrix, row, col);
      const double actual = static_cast<double>(matrix.value(row, col));
      const auto rounded = static_cast<double>(static_cast<float>(expected));
      ASSERT_TRUE(same(actual, rounded)) << "row " << row << " col " << col << ": " << actual << ", expected "
                                         << expected;
    }
}

}  // namespace
}  // namespace oscsim::numerics
