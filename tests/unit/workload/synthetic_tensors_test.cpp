// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "models/numerics/element.h"
#include "sim/workload/sha256.h"
#include "sim/workload/tensors.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.view.rows() == b.view.rows() && a.view.cols() == b.view.cols() &&
         std::memcmp(a.view.data(), b.view.data(), static_cast<std::size_t>(2 * a.view.rows() * a.view.cols())) == 0;
}

std::vector<float> values_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.view.rows() * tensor.view.cols()));
  for (std::int64_t row = 0; row < tensor.view.rows(); ++row)
    tensor.view.read(row, 0,
                     std::span(values).subspan(static_cast<std::size_t>(row * tensor.view.cols()),
                                               static_cast<std::size_t>(tensor.view.cols())));
  return values;
}

TEST(SyntheticWeights, HaveTheMomentsOfANormalDistribution) {
  const auto values = values_of(synthetic_tensors({.weight_std = 0.02}, 1)->weight("w", 2048, 2048));
  double sums[5] = {};
  for (const float value : values)
    for (int power = 1; power <= 4; ++power) sums[power] += std::pow(value / 0.02, power);
  const double count = static_cast<double>(values.size());
  // Four standard errors of each moment.
  EXPECT_NEAR(sums[1] / count, 0, 4 / std::sqrt(count));
  EXPECT_NEAR(sums[2] / count, 1, 4 * std::sqrt(2 / count));
  EXPECT_NEAR(sums[3] / count, 0, 4 * std::sqrt(15 / count));
  EXPECT_NEAR(sums[4] / count, 3, 4 * std::sqrt(96 / count));
}

TEST(SyntheticWeights, HaveTheTailsOfANormalDistribution) {
  const auto values = values_of(synthetic_tensors({.weight_std = 1}, 1)->weight("w", 4096, 4096));
  for (const double bound : {0.5, 1.0, 2.0, 3.0, 3.25, 3.5, 4.0, 4.5}) {
    const double probability = std::erfc(bound / std::numbers::sqrt2);
    const double expected = probability * static_cast<double>(values.size());
    const auto beyond = [&](float value) { return std::fabs(value) > bound; };
    const auto found = static_cast<double>(std::ranges::count_if(values, beyond));
    // Five standard errors, and the half step of BF16 (2^-9) that rounding may move a value across the bound.
    const double density = std::sqrt(2 / std::numbers::pi) * std::exp(-bound * bound / 2);
    const double rounding = density * bound * 0x1p-8 * static_cast<double>(values.size());
    EXPECT_NEAR(found, expected, 5 * std::sqrt(expected) + rounding) << "beyond " << bound;
  }
}

TEST(SyntheticWeights, NeighboursAndRowsAreNotCorrelated) {
  const auto values = values_of(synthetic_tensors({.weight_std = 1}, 1)->weight("w", 1024, 1024));
  for (const std::size_t distance : {1U, 2U, 3U, 4U, 5U, 1024U, 1025U}) {
    double sum = 0;
    for (std::size_t i = 0; i + distance < values.size(); ++i) sum += values[i] * values[i + distance];
    EXPECT_NEAR(sum / static_cast<double>(values.size()), 0, 5.0 / 1024) << "distance " << distance;
  }
}

TEST(SyntheticTensors, AreAFunctionOfSeedNameAndStatistics) {
  const auto source = synthetic_tensors({}, 1);
  const Tensor weight = source->weight("w", 33, 71);
  EXPECT_TRUE(same_bits(weight, source->weight("w", 33, 71)));
  EXPECT_TRUE(same_bits(weight, synthetic_tensors({}, 1)->weight("w", 33, 71)));
  EXPECT_FALSE(same_bits(weight, source->weight("v", 33, 71)));
  EXPECT_FALSE(same_bits(weight, synthetic_tensors({}, 2)->weight("w", 33, 71)));
  const Tensor activation = source->activation("x", Position::attn_in, 33, 71);
  EXPECT_TRUE(same_bits(activation, source->activation("x", Position::attn_in, 33, 71)));
  EXPECT_FALSE(
      same_bits(activation, synthetic_tensors({.miss_rate = 0.5}, 1)->activation("x", Position::attn_in, 33, 71)));
}

TEST(SyntheticTensors, RowsDoNotDependOnHowManyRowsThereAre) {
  const auto source = synthetic_tensors({}, 1);
  const auto many = values_of(source->activation("x", Position::o_in, 50, 70));
  const auto few = values_of(source->activation("x", Position::o_in, 3, 70));
  EXPECT_TRUE(std::ranges::equal(few, std::span(many).first(few.size())));
}

TEST(SyntheticTensors, DoNotDependOnTheNumberOfThreads) {
  const auto source = synthetic_tensors({}, 1);
  const auto with_threads = [&](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    return std::pair(source->weight("w", 301, 257), source->activation("x", Position::down_in, 301, 257));
  };
  const auto one = with_threads(1);
  const auto two = with_threads(2);
  EXPECT_TRUE(same_bits(one.first, two.first));
  EXPECT_TRUE(same_bits(one.second, two.second));
}

// Debug and Release, and every later version, give these bits: results that name a seed stay repeatable.
TEST(SyntheticTensors, BitsStayWhatTheyWere) {
  const auto digest = [](const Tensor& tensor) {
    return sha256(std::span(tensor.view.data(), static_cast<std::size_t>(2 * tensor.view.rows() * tensor.view.cols())));
  };
  const auto source = synthetic_tensors({}, 1);
  EXPECT_EQ(digest(source->weight("w", 512, 1023)), "0b188ba736906d5866bd34d6c3c97e3d86e870f02916b6d9e9de3404ff3a1fca");
  EXPECT_EQ(digest(source->activation("x", Position::attn_in, 512, 1023)),
            "0f95f8eb608f1d779a3583ce76f916e60dc28d7b2b28956b2d729fb16352a3d3");
}

TEST(SyntheticActivations, CalibrationFindsTheDefaultDensities) {
  const SyntheticParams params;
  const auto source = synthetic_tensors(params, 7);
  for (const Position position : {Position::attn_in, Position::o_in, Position::ffn_in, Position::down_in}) {
    const Tensor x = source->activation("x", position, 2048, 4096);
    EXPECT_NEAR(calibrate(x.view, 32, 5).mean_density, params.density(position), 0.01) << name_of(position);
  }
}

TEST(SyntheticActivations, CalibrationFindsTheDensityThatWasAskedFor) {
  for (const double density : {0.1, 0.2, 0.35, 0.5, 0.8, 0.95}) {
    const auto source = synthetic_tensors({.attn_in_density = density}, 3);
    const Tensor x = source->activation("x", Position::attn_in, 2048, 2048);
    EXPECT_NEAR(calibrate(x.view, 32, 5).mean_density, density, 0.01);
  }
}

TEST(SyntheticActivations, MissRateIsTheShareOfTokensWithoutOutlier) {
  const auto source = synthetic_tensors({.miss_rate = 0.2}, 3);
  const Tensor x = source->activation("x", Position::attn_in, 2048, 512);
  std::int64_t without = 0;
  for (std::int64_t row = 0; row < 2048; ++row)
    for (std::int64_t group = 0; group < 16; ++group) {
      float largest = 0;
      for (std::int64_t c = 0; c < 32; ++c) largest = std::max(largest, std::fabs(x.view.at(row, 32 * group + c)));
      without += largest < 6 ? 1 : 0;  // normal values stay below, outliers above
    }
  EXPECT_NEAR(static_cast<double>(without) / (2048 * 16), 0.2, 0.01);
}

TEST(PlantedChannels, AreWhatCalibrationFinds) {
  for (const std::int64_t k : {4096, 1000}) {  // the second with a short last group
    const SyntheticParams params;
    const auto source = synthetic_tensors(params, 11);
    const Tensor x = source->activation("model.layers.0.attn_in", Position::attn_in, 2048, k);
    EXPECT_EQ(calibrate(x.view, 32, 5).table,
              planted_channels(params, 11, "model.layers.0.attn_in", Position::attn_in, k, 32));
  }
}

TEST(PlantedChannels, LargerGroupsHoldTheLargestOfThem) {
  const SyntheticParams params{.magnitude_spread = 1};
  const Tensor x = synthetic_tensors(params, 5)->activation("x", Position::attn_in, 2048, 4096);
  const ChannelTable found = calibrate(x.view, 64, 5).table;
  const ChannelTable planted = planted_channels(params, 5, "x", Position::attn_in, 4096, 64);
  ASSERT_EQ(found.channels.size(), planted.channels.size());
  int equal = 0;
  for (std::size_t i = 0; i < found.channels.size(); ++i) equal += found.channels[i] == planted.channels[i] ? 1 : 0;
  EXPECT_GE(equal, 60) << "of 64; near ties may go either way";
}

TEST(PlantedChannels, SmallerGroupsKeepTheirPlantedChannel) {
  const SyntheticParams params;
  const Tensor x = synthetic_tensors(params, 5)->activation("x", Position::attn_in, 2048, 4096);
  const ChannelTable found = calibrate(x.view, 16, 5).table;
  const ChannelTable planted = planted_channels(params, 5, "x", Position::attn_in, 4096, 16);
  const ChannelTable whole = planted_channels(params, 5, "x", Position::attn_in, 4096, 32);
  ASSERT_EQ(found.channels.size(), planted.channels.size());
  for (std::size_t group = 0; group < whole.channels.size(); ++group) {
    const std::size_t half = 2 * group + (whole.channels[group] >= 16 ? 1 : 0);
    EXPECT_EQ(planted.channels[half], whole.channels[group] % 16);
    EXPECT_EQ(found.channels[half], planted.channels[half]);
  }
  for (const std::int16_t channel : planted.channels) EXPECT_TRUE(channel >= 0 && channel < 16);
}

TEST(PlantedChannels, WithoutOutliersThereAreNone) {
  const ChannelTable none{.group = 32, .channels = {-1, -1}};
  EXPECT_EQ(planted_channels({.magnitude = 0}, 1, "x", Position::attn_in, 64, 32), none);
  EXPECT_EQ(planted_channels({.miss_rate = 1}, 1, "x", Position::attn_in, 64, 32), none);
}

TEST(SyntheticTensors, RefuseADensityBelowTheEqualShare) {
  EXPECT_EQ(
      error_of([] { synthetic_tensors({.group = 4, .down_in_density = 0.2}, 1); }),
      "synthetic tensors: down_in_density is 0.2; allowed: at least 1/group = 0.25, the equal share of a channel");
}

TEST(DispatchedRows, AreAnAscendingSeededChoice) {
  const auto rows = dispatched_rows(1, "experts.3.gate_proj", 2048, 128);
  EXPECT_EQ(rows.size(), 128U);
  EXPECT_TRUE(std::ranges::is_sorted(rows, std::less_equal{}));
  EXPECT_TRUE(rows.front() >= 0 && rows.back() < 2048);
  EXPECT_EQ(rows, dispatched_rows(1, "experts.3.up_proj", 2048, 128)) << "one expert sees the same tokens";
  EXPECT_NE(rows, dispatched_rows(1, "experts.4.gate_proj", 2048, 128));
  EXPECT_NE(rows, dispatched_rows(2, "experts.3.gate_proj", 2048, 128));
}

TEST(DispatchedRows, AllRowsAreAllRows) {
  EXPECT_EQ(dispatched_rows(1, "g", 4, 4), (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_TRUE(dispatched_rows(1, "g", 4, 0).empty());
}

}  // namespace
}  // namespace oscsim
