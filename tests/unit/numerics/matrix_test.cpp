// SPDX-License-Identifier: Apache-2.0
// Unquantised matrices: storage, views, the searches for the largest magnitude and for NaN and Inf.
#include "models/numerics/matrix.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "models/numerics/element.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

using testing::HasSubstr;

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

TEST(Amax, IsTheLargestMagnitudeWhereverItStands) {
  for (const auto& [name, dtype] : EnumNames<Dtype>::kValues) {
    Matrix matrix(dtype, 70, 2001);  // several tasks
    const auto set = [&, code_type = dtype](std::int64_t row, std::size_t col, float value) {
      if (code_type == Dtype::fp32)
        matrix.row_f32(row)[col] = value;
      else
        matrix.row_u16(row)[col] = static_cast<std::uint16_t>(encode(
            code_type == Dtype::bf16 ? kBf16 : kFp16, static_cast<double>(value), ElementRounding::nearest_even));
    };
    for (std::int64_t row = 0; row < 70; ++row)
      for (std::size_t col = 0; col < 2001; ++col) set(row, col, -0.0F);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(amax(matrix.view())), 0U) << name;
    float largest = 0;
    for (const auto& [row, col] : {std::pair{0, 0}, {69, 2000}, {35, 1024}, {1, 3}}) {
      largest = largest == 0 ? 0x1p-24F : largest * 1.5F;
      set(row, static_cast<std::size_t>(col), col % 2 == 0 ? largest : -largest);
      EXPECT_EQ(amax(matrix.view()),
                matrix.view().at(row, col) < 0 ? -matrix.view().at(row, col) : matrix.view().at(row, col))
          << name;
      for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
        set(68, 17, bad);
        EXPECT_TRUE(std::isnan(amax(matrix.view()))) << name << " " << bad;
      }
      set(68, 17, 0);
    }
  }
  EXPECT_EQ(amax(matrix_of({{-1e-45F}}).view()), 1e-45F);
  EXPECT_EQ(amax(Matrix(Dtype::bf16, 0, 8).view()), 0.0F);
  EXPECT_EQ(amax(Matrix(Dtype::fp32, 8, 0).view()), 0.0F);
}

}  // namespace
}  // namespace oscsim::numerics
