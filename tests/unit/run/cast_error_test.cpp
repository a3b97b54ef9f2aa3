// SPDX-License-Identifier: Apache-2.0
#include "sim/run/cast_error.h"

#include <gtest/gtest.h>

#include <cmath>

namespace oscsim {
namespace {

using numerics::FormatId;
using numerics::Matrix;

Matrix matrix_of(std::int64_t cols, const std::vector<float>& values) {
  Matrix matrix(numerics::Dtype::fp32, static_cast<std::int64_t>(values.size()) / cols, cols);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    matrix.row_f32(index / cols)[static_cast<std::size_t>(index % cols)] = values[i];
  }
  return matrix;
}

struct Measured {
  CastError error;
  std::vector<float> decoded;
};

Measured measure(FormatId format, const Matrix& matrix, const numerics::CastOptions& options = {}) {
  Measured measured;
  measured.error = measure_cast(matrix.view(), numerics::quantise(format, matrix.view(), options),
                                [&](std::span<const float> values) {
                                  measured.decoded.insert(measured.decoded.end(), values.begin(), values.end());
                                });
  return measured;
}

TEST(CastError, CountsWhatTheCastDidToEachElement) {
  // MXFP4 with a scale of 1: 7.5 is clipped to 6, 7 is rounded to it, 0.25 and -0.125 become zero.
  const Measured measured = measure(FormatId::mxfp4, matrix_of(8, {7.5F, 7, 0.25F, -0.125F, 0, 3, -1.25F, 0.5F}));
  EXPECT_EQ(measured.decoded, (std::vector<float>{6, 6, 0, 0, 0, 3, -1, 0.5F}));
  EXPECT_EQ(measured.error.clipped, 1);
  EXPECT_EQ(measured.error.zeroed, 2);
  EXPECT_EQ(measured.error.max_abs_error, 1.5);
  const double sum = 1.5 + 1 + 0.25 + 0.125 + 0.25;
  EXPECT_DOUBLE_EQ(measured.error.mean_abs_error, sum / 8);
  const double signal = 56.25 + 49 + 0.0625 + 0.015625 + 9 + 1.5625 + 0.25;
  const double noise = 2.25 + 1 + 0.0625 + 0.015625 + 0.0625;
  EXPECT_DOUBLE_EQ(measured.error.sqnr_db, 10 * std::log10(signal / noise));
}

TEST(CastError, ExactCastHasInfiniteSqnr) {
  const Measured measured = measure(FormatId::mxfp4, matrix_of(2, {1, -6, 0, 0}));
  EXPECT_TRUE(std::isinf(measured.error.sqnr_db));
  EXPECT_EQ(measured.error.max_abs_error, 0);
  EXPECT_EQ(measured.error.clipped + measured.error.zeroed, 0);
}

TEST(CastError, ScalesThatAreRoundedClipNothing) {
  // The largest element of a row lies at the end of the grid, half a rounding of the scale away from it.
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(0.1F * static_cast<float>(i % 97) - 3.3F);
  for (const FormatId format : {FormatId::int8, FormatId::int4, FormatId::fp8, FormatId::fp8_tensor})
    EXPECT_EQ(measure(format, matrix_of(100, values)).error.clipped, 0) << name_of(format);
}

TEST(CastError, NumbersBeyondSixteenBitsAreClippedWhetherInfiniteOrSaturated) {
  const Matrix matrix = matrix_of(4, {65519, 65521, -1e9F, INFINITY});
  EXPECT_EQ(measure(FormatId::fp16, matrix).error.clipped, 2);
  EXPECT_TRUE(std::isinf(measure(FormatId::fp16, matrix).error.max_abs_error));
  EXPECT_EQ(measure(FormatId::fp16, matrix, {.overflow = numerics::Overflow::saturate}).error.clipped, 2);
}

TEST(CastError, NanIsSeenInEverySum) {
  const Measured measured = measure(FormatId::bf16, matrix_of(2, {1, NAN, 3, 4}));
  EXPECT_TRUE(std::isnan(measured.error.sqnr_db));
  EXPECT_TRUE(std::isnan(measured.error.max_abs_error));
  EXPECT_TRUE(std::isnan(measured.decoded[1]));
}

TEST(CastError, InfinityThatStaysIsNoError) {
  const CastError error = measure(FormatId::bf16, matrix_of(2, {1, INFINITY})).error;
  EXPECT_EQ(error.max_abs_error, 0);
}

TEST(CastError, LargeMatricesAreDecodedInOrder) {
  constexpr std::int64_t kCols = 3000;
  std::vector<float> values;
  for (int i = 0; i < 700 * kCols; ++i) values.push_back(static_cast<float>(i % 257));
  const Measured measured = measure(FormatId::fp16, matrix_of(kCols, values));
  EXPECT_EQ(measured.decoded, values);
}

TEST(CastError, EmptyMatrixHasNoError) {
  const CastError error = measure(FormatId::mxfp8, Matrix(numerics::Dtype::fp32, 0, 64)).error;
  EXPECT_EQ(error.mean_abs_error, 0);
  EXPECT_EQ(error.max_abs_error, 0);
}

}  // namespace
}  // namespace oscsim
