// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/channel_table.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <map>

#include "models/numerics/element.h"
#include "sim/workload/counter_random.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;

void put(Matrix& x, std::int64_t row, std::int64_t col, float value) {
  if (x.dtype() == Dtype::fp32) {
    x.row_f32(row)[static_cast<std::size_t>(col)] = value;
    return;
  }
  const auto& layout = x.dtype() == Dtype::bf16 ? numerics::kBf16 : numerics::kFp16;
  x.row_u16(row)[static_cast<std::size_t>(col)] =
      static_cast<std::uint16_t>(numerics::encode(layout, value, numerics::ElementRounding::nearest_even));
}

Matrix matrix_of(Dtype dtype, const std::vector<std::vector<float>>& rows) {
  Matrix x(dtype, std::ssize(rows), std::ssize(rows.front()));
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c)
      put(x, static_cast<std::int64_t>(r), static_cast<std::int64_t>(c), rows[r][c]);
  return x;
}

// Small integers, so that ties are common and the mean is exact in any order; a few are large.
Matrix random_matrix(Dtype dtype, std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Matrix x(dtype, rows, cols);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      const std::uint64_t bits = random_bits(seed, static_cast<std::uint64_t>(r * cols + c));
      const std::uint64_t small = bits % 4;
      const auto size = static_cast<float>((bits >> 8) % 9 == 8 ? small + 16 : small);
      put(x, r, c, (bits >> 63) != 0 ? -size : size);
    }
  return x;
}

// The definition, word for word.
Calibration naive(numerics::MatrixView x, std::int64_t group, double alpha) {
  Calibration result;
  result.table.group = group;
  double sum = 0;
  for (std::int64_t r = 0; r < x.rows(); ++r)
    for (std::int64_t c = 0; c < x.cols(); ++c) sum += std::fabs(x.at(r, c));
  result.threshold = alpha * (sum / static_cast<double>(x.rows() * x.cols()));
  int groups = 0;
  for (std::int64_t begin = 0; begin < x.cols(); begin += group) {
    std::map<std::int64_t, int> times;
    int total = 0;
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      std::int64_t best = begin;
      for (std::int64_t c = begin; c < std::min(begin + group, x.cols()); ++c)
        if (std::fabs(x.at(r, c)) > std::fabs(x.at(r, best))) best = c;
      if (std::fabs(x.at(r, best)) <= result.threshold) continue;
      ++times[best - begin];
      ++total;
    }
    std::pair<std::int64_t, int> mode{-1, 0};
    for (const auto& entry : times)
      if (entry.second > mode.second) mode = entry;
    result.table.channels.push_back(static_cast<std::int16_t>(mode.first));
    result.density.push_back(total == 0 ? std::nan("") : static_cast<double>(mode.second) / total);
    if (total == 0) continue;
    result.mean_density += result.density.back();
    ++groups;
  }
  if (groups > 0) result.mean_density /= groups;
  return result;
}

void expect_same(const Calibration& found, const Calibration& expected) {
  EXPECT_EQ(found.table, expected.table);
  EXPECT_EQ(found.threshold, expected.threshold);
  EXPECT_EQ(found.mean_density, expected.mean_density);
  ASSERT_EQ(found.density.size(), expected.density.size());
  for (std::size_t i = 0; i < found.density.size(); ++i)
    EXPECT_TRUE(found.density[i] == expected.density[i] ||
                (std::isnan(found.density[i]) && std::isnan(expected.density[i])));
}

TEST(Calibrate, AgreesWithTheDefinitionOnRandomMatrices) {
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp16, Dtype::fp32})
    for (const std::int64_t cols : {1, 7, 32, 100, 1031})
      for (const std::int64_t group : {1, 3, 16, 32, 64, 2000})
        for (const double alpha : {0.0, 1.0, 3.5, 5.0, 8.0}) {
          const Matrix x = random_matrix(dtype, 9, cols, static_cast<std::uint64_t>(cols * group));
          SCOPED_TRACE(fmt::format("{} cols {} group {} alpha {}", name_of(dtype), cols, group, alpha));
          expect_same(calibrate(x.view(), group, alpha), naive(x.view(), group, alpha));
        }
}

TEST(Calibrate, TiesTakeTheLowestChannel) {
  // Row 0: channels 1 and 2 are equally large. Rows 1 and 2: one hit each for channels 3 and 0.
  const Matrix x = matrix_of(Dtype::fp32, {{0, -9, 9, 0}, {0, 0, 0, 9}, {9, 0, 0, 0}});
  EXPECT_EQ(calibrate(x.view(), 4, 1).table.channels, std::vector<std::int16_t>{0});
  const Matrix y = matrix_of(Dtype::fp32, {{0, -9, 9, 0}});
  EXPECT_EQ(calibrate(y.view(), 4, 1).table.channels, std::vector<std::int16_t>{1});
}

TEST(Calibrate, MaximumEqualToTheThresholdIsNoOutlier) {
  const Matrix x = matrix_of(Dtype::bf16, {{4, 0, 0, 0}});  // mean 1
  EXPECT_EQ(calibrate(x.view(), 2, 4).table.channels, (std::vector<std::int16_t>{-1, -1}));
  EXPECT_EQ(calibrate(x.view(), 2, 3.999).table.channels, (std::vector<std::int16_t>{0, -1}));
}

TEST(Calibrate, GroupWithoutOutliersHasNoDensityAndStaysOutOfTheMean) {
  const Matrix x = matrix_of(Dtype::fp16, {{8, 0, 0, 0}, {0, 8, 0, 0}, {8, 0, 0, 0}, {8, 0, 0, 0}});
  const Calibration found = calibrate(x.view(), 2, 2);
  EXPECT_EQ(found.density[0], 0.75);
  EXPECT_TRUE(std::isnan(found.density[1]));
  EXPECT_EQ(found.mean_density, 0.75);
}

TEST(Calibrate, ZerosAndEmptyMatricesHaveNoOutliers) {
  const Matrix zeros = matrix_of(Dtype::fp32, {{0, 0, 0}});
  EXPECT_EQ(calibrate(zeros.view(), 2, 5).table.channels, (std::vector<std::int16_t>{-1, -1}));
  EXPECT_EQ(calibrate(Matrix(Dtype::fp32, 0, 3).view(), 2, 5).table.channels, (std::vector<std::int16_t>{-1, -1}));
}

TEST(Calibrate, DoesNotDependOnTheNumberOfThreads) {
  Matrix x(Dtype::fp32, 65, 1000);
  for (std::int64_t r = 0; r < x.rows(); ++r)
    for (std::int64_t c = 0; c < x.cols(); ++c)
      put(x, r, c,
          static_cast<float>(
              unit_interval(static_cast<std::uint32_t>(random_bits(3, static_cast<std::uint64_t>(r * 1000 + c))))));
  const auto with_threads = [&](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    return calibrate(x.view(), 32, 1.9);
  };
  expect_same(with_threads(1), with_threads(2));
}

TEST(Calibrate, RefusesGroupAndAlphaOutOfRange) {
  const Matrix x = matrix_of(Dtype::fp32, {{1}});
  EXPECT_EQ(error_of([&] { calibrate(x.view(), 0, 5); }), "group of 0 channels; allowed: 1 to 32767");
  EXPECT_EQ(error_of([&] { calibrate(x.view(), 40000, 5); }), "group of 40000 channels; allowed: 1 to 32767");
  EXPECT_EQ(error_of([&] { calibrate(x.view(), 1, -1); }), "alpha = -1; allowed: any finite number >= 0");
}

}  // namespace
}  // namespace oscsim
