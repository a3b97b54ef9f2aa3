// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/calibration.h"

#include <gtest/gtest.h>

#include "models/schemes/channel_table.h"
#include "sim/workload/activation_files.h"
#include "sim/workload/counter_random.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;
using numerics::MatrixView;

Matrix random_rows(std::int64_t rows, std::int64_t cols) {
  Matrix x(Dtype::fp32, rows, cols);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < cols; ++col)
      x.row_f32(row)[static_cast<std::size_t>(col)] = static_cast<float>(
          unit_interval(static_cast<std::uint32_t>(random_bits(7, static_cast<std::uint64_t>(row * cols + col)))));
  return x;
}

MatrixView part(const Matrix& x, std::int64_t first, std::int64_t count) {
  return {x.view().row_data(first), x.dtype(), count, x.cols()};
}

TEST(OutlierCounts, ChunksChangeNothing) {
  const Matrix x = random_rows(50, 100);
  const Calibration whole = calibrate(x.view(), 32, 1.9);
  MeanMagnitude mean;
  for (std::int64_t row = 0; row < 50; row += 7) mean.add(part(x, row, std::min<std::int64_t>(7, 50 - row)));
  OutlierCounts counts(100, 32, 1.9 * mean.value());
  for (std::int64_t row = 0; row < 50; row += 9) counts.add(part(x, row, std::min<std::int64_t>(9, 50 - row)));
  const Calibration found = calibration_of(counts);
  EXPECT_EQ(found.threshold, whole.threshold);
  EXPECT_EQ(found.table, whole.table);
  EXPECT_EQ(found.above, whole.above);
  EXPECT_EQ(found.hits, whole.hits);
  EXPECT_EQ(counts.tokens(), 50);
  EXPECT_GT(whole.above[0], whole.hits[0]);
}

TEST(OutlierCounts, RefusesMoreChannelsThanItCanCount) {
  EXPECT_EQ(error_of([] { OutlierCounts((std::int64_t{1} << 32) + 1, 32, 1); }),
            "4294967297 channels; allowed: at most 4294967296");
}

TEST(HitRate, GroupWithoutAChannelMissesItsOutliersAndAGroupWithoutOutliersDoesNotCount) {
  Matrix x(Dtype::fp32, 2, 6);
  const float rows[2][6] = {{9, 0, 0, 9, 0, 0}, {0, 9, 9, 0, 0, 0}};
  for (std::int64_t row = 0; row < 2; ++row) std::copy_n(rows[row], 6, x.row_f32(row).begin());
  OutlierCounts counts(6, 2, 1);
  counts.add(x.view());
  EXPECT_EQ(hit_rate({.group = 2, .channels = {0, 1, 1}}, counts), 0.5);    // one of two, one of two
  EXPECT_EQ(hit_rate({.group = 2, .channels = {0, -1, 1}}, counts), 0.25);  // one of two, none of two
  EXPECT_EQ(hit_rate({.group = 2, .channels = {0, 1, 1}}, OutlierCounts(6, 2, 1)), std::nullopt);
}

TEST(CalibrationNames, LastPartIsThePosition) {
  EXPECT_EQ(position_of_name("model.layers.3.attn_in"), Position::attn_in);
  EXPECT_EQ(position_of_name("model.layers.3.mlp.experts.7.down_in"), Position::down_in);
  EXPECT_EQ(position_of_name("gemm_8x16x64.input"), Position::other);
  EXPECT_EQ(position_of_name("model.layers.3.self_attn.q_proj.weight"), std::nullopt);
  EXPECT_EQ(position_of_name("attn_in"), std::nullopt);
  EXPECT_EQ(layer_of_name("model.layers.3.attn_in"), 3);
  EXPECT_EQ(layer_of_name("model.layers.x.attn_in"), -1);
  EXPECT_EQ(layer_of_name("model.layers.3"), -1);
  EXPECT_EQ(layer_of_name("gemm_8x16x64.input"), -1);
}

}  // namespace
}  // namespace oscsim
