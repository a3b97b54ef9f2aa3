// SPDX-License-Identifier: Apache-2.0
// What OSC loses: nothing against W4A4 without outliers while the outliers sit in the table's channels, and more the
// fewer of them do, down to W4A4 with all of them.
#include <gtest/gtest.h>

#include <cmath>

#include "models/numerics/gemm.h"
#include "models/schemes/operands.h"
#include "sim/workload/tensors.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using numerics::Matrix;

constexpr std::int64_t kTokens = 64, kOutputs = 128, kChannels = 1024, kGroup = 32;

SchemeParams scheme(bool with_branch) {
  SchemeParams params;
  params.activation = params.weight = FormatId::mxfp4;
  if (with_branch) params.outliers.emplace();
  return params;
}

struct Case {
  Tensor x, w;
  ChannelTable table;
};

Case generated(double density, double magnitude) {
  const SyntheticParams params{
      .magnitude = magnitude, .magnitude_spread = 0, .miss_rate = 0, .attn_in_density = density};
  const auto source = synthetic_tensors(params, 5);
  return {source->activation("x", Position::attn_in, kTokens, kChannels), source->weight("w", kOutputs, kChannels),
          planted_channels(params, 5, "x", Position::attn_in, kChannels, kGroup)};
}

Matrix output(const SchemeParams& params, numerics::MatrixView x, numerics::MatrixView w, const ChannelTable& table) {
  const GemmPlan plan = plan_gemm(params, Position::attn_in, x.rows(), w.rows(), x.cols());
  const ChannelTable* channels = plan.activation.gather_group > 0 ? &table : nullptr;
  const PreparedOperand a = prepare_activation(plan, x, channels), b = prepare_weight(plan, w, channels);
  Matrix y(numerics::Dtype::fp32, x.rows(), w.rows());
  numerics::compute_all(numerics::GemmEngine(operands_of(plan, a, b)), {y.row_f32(0).data(), y.rows(), y.cols()});
  return y;
}

Matrix exact(numerics::MatrixView x, numerics::MatrixView w) {
  Matrix y(numerics::Dtype::fp32, x.rows(), w.rows());
  numerics::compute_all(numerics::Fp32Product(x, w), {y.row_f32(0).data(), y.rows(), y.cols()});
  return y;
}

// 10 log10 of the power of `signal` over that of `a` - `b`.
double sqnr_db(const Matrix& signal, const Matrix& a, const Matrix& b) {
  double power = 0, noise = 0;
  for (std::int64_t row = 0; row < signal.rows(); ++row)
    for (std::size_t col = 0; col < signal.row_f32(row).size(); ++col) {
      const double difference = static_cast<double>(a.row_f32(row)[col]) - b.row_f32(row)[col];
      power += std::pow(static_cast<double>(signal.row_f32(row)[col]), 2);
      noise += difference * difference;
    }
  return 10 * std::log10(power / noise);
}

Matrix without_outliers(const Case& each) {
  Matrix rest(numerics::Dtype::fp32, kTokens, kChannels);
  for (std::int64_t row = 0; row < kTokens; ++row) {
    each.x.view.read(row, 0, rest.row_f32(row));
    for (std::size_t group = 0; group < each.table.channels.size(); ++group)
      rest.row_f32(row)[group * kGroup + static_cast<std::size_t>(each.table.channels[group])] = 0;
  }
  return rest;
}

TEST(OscAccuracy, OutliersInTheTablesChannelsCostNothing) {
  for (const double magnitude : {10.0, 20.0, 100.0}) {
    const Case each = generated(1, magnitude);
    const Matrix rest = without_outliers(each);
    const Matrix signal = exact(rest.view(), each.w.view);
    const double direct = sqnr_db(signal, output(scheme(false), rest.view(), each.w.view, each.table), signal);
    const double osc =
        sqnr_db(signal, output(scheme(true), each.x.view, each.w.view, each.table), exact(each.x.view, each.w.view));
    EXPECT_NEAR(osc, direct, 0.1) << "magnitude " << magnitude;
    const double with_them =
        sqnr_db(signal, output(scheme(false), each.x.view, each.w.view, each.table), exact(each.x.view, each.w.view));
    EXPECT_GT(osc, with_them + 3) << "W4A4 direct pays for them, magnitude " << magnitude;
  }
}

TEST(OscAccuracy, FallsWithDensityTowardsW4A4Direct) {
  double last = INFINITY, gap = INFINITY;
  for (const double density : {1.0, 0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 1.0 / kGroup}) {
    const Case each = generated(density, 20);
    const Matrix signal = exact(each.x.view, each.w.view);
    const double osc = sqnr_db(signal, output(scheme(true), each.x.view, each.w.view, each.table), signal);
    const double direct = sqnr_db(signal, output(scheme(false), each.x.view, each.w.view, each.table), signal);
    EXPECT_LT(osc, last) << "density " << density;
    EXPECT_GT(osc, direct) << "density " << density;
    last = osc;
    gap = osc - direct;
  }
  EXPECT_LT(gap, 0.5) << "dB above W4A4 direct when any channel is as likely as the table's";
}

}  // namespace
}  // namespace oscsim
