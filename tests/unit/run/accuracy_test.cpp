// SPDX-License-Identifier: Apache-2.0
// Which rows are compared, and what the accuracy of these rows is.
#include "sim/run/accuracy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "sim/run/inputs.h"
#include "sim/run/replay.h"
#include "sim/run/row_sample.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;

std::vector<std::int64_t> every_row(std::int64_t rows) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

TEST(ComparedRows, AreAllRowsUpToTheLimit) {
  EXPECT_EQ(compared_rows(1, "a", 1000, kComparedMacs / 1000), every_row(1000));
  EXPECT_EQ(compared_rows(1, "a", 7, 1), every_row(7));
  EXPECT_EQ(compared_rows(1, "a", 3, 0), every_row(3));
}

TEST(ComparedRows, BeyondTheLimitAreOneOfEachStretch) {
  const std::vector<std::int64_t> rows = compared_rows(1, "a", 1000, kComparedMacs / 100);
  ASSERT_EQ(rows.size(), 100U);
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i] / 10, static_cast<std::int64_t>(i));
}

TEST(ComparedRows, AreAtLeastAsManyAsAskedForOrAll) {
  EXPECT_EQ(compared_rows(1, "a", 1000, kComparedMacs).size(), 1U);
  EXPECT_EQ(compared_rows(1, "a", 1000, 2 * kComparedMacs).size(), 1U);
  EXPECT_EQ(compared_rows(1, "a", 1000, kComparedMacs, 256).size(), 256U);
  EXPECT_EQ(compared_rows(1, "a", 200, kComparedMacs, 256), every_row(200));
}

TEST(ComparedRows, DependOnSeedAndNameOnly) {
  const auto rows = [](std::uint64_t seed, const char* name) {
    return compared_rows(seed, name, 5000, kComparedMacs / 50);
  };
  EXPECT_EQ(rows(1, "a"), rows(1, "a"));
  EXPECT_NE(rows(1, "a"), rows(2, "a"));
  EXPECT_NE(rows(1, "a"), rows(1, "b"));
}

// Values that are exact in FP32 and differ everywhere.
Matrix counting(std::int64_t rows, std::int64_t cols, float step) {
  Matrix matrix(Dtype::fp32, rows, cols);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < cols; ++col)
      matrix.row_f32(row)[static_cast<std::size_t>(col)] = step * static_cast<float>(row * cols + col - 5);
  return matrix;
}

TEST(ExactRows, AreThoseOfTheReference) {
  const Matrix x = counting(6, 5, 0.5F);
  const Matrix w = counting(3, 5, 0.25F);
  const ExactRows exact = exact_rows(x.view(), w.view(), {1, 4}, numerics::Kernel::automatic);
  ASSERT_EQ(exact.values.rows(), 2);
  for (std::int64_t i = 0; i < 2; ++i)
    for (std::int64_t col = 0; col < 3; ++col)
      EXPECT_EQ(exact.values.row_f32(i)[static_cast<std::size_t>(col)],
                numerics::reference::fp32_product(x.view(), w.view(), exact.rows[static_cast<std::size_t>(i)], col));
}

TEST(Accuracy, IsOverTheGivenRowsOnly) {
  ExactRows exact{{1, 3}, Matrix(Dtype::fp32, 2, 2)};
  Matrix output(Dtype::fp32, 4, 2);
  const auto set = [](Matrix& matrix, std::int64_t row, float a, float b) {
    matrix.row_f32(row)[0] = a;
    matrix.row_f32(row)[1] = b;
  };
  set(exact.values, 0, 3, 4);
  set(exact.values, 1, 0, -5);
  set(output, 0, 1e6F, 1e6F);  // not compared
  set(output, 1, 3, 4.5F);
  set(output, 2, 7, -7);  // not compared
  set(output, 3, 0, -5.5F);
  const Accuracy accuracy = measure_accuracy(output, exact);
  EXPECT_EQ(accuracy.rows, 2);
  EXPECT_EQ(accuracy.max_abs_error, 0.5);
  EXPECT_DOUBLE_EQ(accuracy.sqnr_db, 10 * std::log10((9.0 + 16 + 25) / (0.25 + 0.25)));
  EXPECT_DOUBLE_EQ(accuracy.cosine, (9 + 18 + 27.5) / std::sqrt((9.0 + 16 + 25) * (9 + 20.25 + 30.25)));
}

TEST(Accuracy, IsNanWhenARowThatIsNotComparedIsNotFinite) {
  ExactRows exact{{0}, counting(1, 4, 1)};
  Matrix output = counting(2, 4, 1);
  EXPECT_EQ(measure_accuracy(output, exact).max_abs_error, 0);
  for (const float value : {NAN, INFINITY}) {
    output.row_f32(1)[2] = value;
    EXPECT_TRUE(std::isnan(measure_accuracy(output, exact).sqnr_db)) << value;
    EXPECT_TRUE(std::isnan(measure_accuracy(output, exact).max_abs_error)) << value;
    EXPECT_TRUE(std::isnan(measure_accuracy(output, exact).cosine)) << value;
  }
}

TEST(Accuracy, OfARowWithNanIsNan) {
  const ExactRows exact{{0}, counting(1, 4, 1)};
  Matrix output = counting(1, 4, 1);
  output.row_f32(0)[1] = NAN;
  EXPECT_TRUE(std::isnan(measure_accuracy(output, exact).sqnr_db));
  EXPECT_TRUE(std::isnan(measure_accuracy(output, exact).max_abs_error));
}

TEST(Accuracy, SumsWeighWhatEachRowStandsFor) {
  const Accuracy part = measure_accuracy(counting(1, 4, 2), {{0}, counting(1, 4, 1)});
  ErrorSums sums;
  sums.add(part.sums, 3);
  sums.add(part.sums);
  EXPECT_DOUBLE_EQ(sums.noise, 4 * part.sums.noise);
  EXPECT_DOUBLE_EQ(closeness(sums).sqnr_db, part.sqnr_db);
  EXPECT_DOUBLE_EQ(closeness(sums).cosine, 1);
  EXPECT_EQ(closeness(sums).max_abs_error, part.max_abs_error);
  EXPECT_TRUE(std::isnan(closeness({}).cosine)) << "no direction";
}

// One GEMM through the replay, and the scheme's output.
struct Replayed {
  RunResult result;
  Matrix output;
};
Replayed replayed(const RunOptions& options, const RunInputs& inputs) {
  Replayed run;
  Replay replay(options, inputs);
  replay.gemm(inputs.trace.gemms.front(), run.result, [&](const Gemm&, const Matrix& output) {
    run.output = rows_of(output.view(), every_row(output.rows()));
  });
  replay.finish(run.result);
  return run;
}

TEST(Run, SampledAccuracyIsThatOfTheSampledRows) {
  RunOptions options;
  options.machine = "edge_npu";
  options.gemms = {"520,520,4096,attn_in"};  // 1.1 10^9 multiply-accumulates
  const RunInputs inputs = read_inputs(options);
  const Gemm& gemm = inputs.trace.gemms.front();
  const Replayed run = replayed(options, inputs);

  const Tensor x = inputs.tensors->activation(gemm.input, gemm.position, gemm.m, gemm.k);
  const Tensor w = inputs.tensors->weight(gemm.weight, gemm.n, gemm.k);
  const ExactRows every = exact_rows(x.view, w.view, every_row(gemm.m), options.kernel);
  const auto rows = compared_rows(options.seed, gemm.name, gemm.m, gemm.n * gemm.k, kLeastAccuracyRows);
  ASSERT_LT(std::ssize(rows), gemm.m);
  double signal = 0, noise = 0, largest = 0;
  for (const std::int64_t row : rows)
    for (std::size_t col = 0; col < static_cast<std::size_t>(gemm.n); ++col) {
      const double want = every.values.row_f32(row)[col];
      const double error = static_cast<double>(run.output.row_f32(row)[col]) - want;
      signal += want * want;
      noise += error * error;
      largest = std::max(largest, std::abs(error));
    }
  const Accuracy& accuracy = *run.result.gemms.front().scheme.accuracy;
  EXPECT_EQ(accuracy.rows, std::ssize(rows));
  EXPECT_NEAR(accuracy.sqnr_db, 10 * std::log10(signal / noise), 1e-9);
  EXPECT_EQ(accuracy.max_abs_error, largest);

  options.threads = 1;
  const RunResult serial = oscsim::run(options);
  EXPECT_EQ(serial.gemms.front().scheme.accuracy->sqnr_db, accuracy.sqnr_db);
  EXPECT_EQ(serial.gemms.front().scheme.accuracy->output_sha256, accuracy.output_sha256);
}

TEST(Run, SmallGemmsAreComparedInEveryRow) {
  RunOptions options;
  options.machine = "edge_npu";
  options.gemms = {"700,33,97,down_in", "1,1,1,o_in"};
  for (const GemmResult& gemm : run(options).gemms)
    for (const SideResult* side : {&gemm.scheme, &gemm.baseline}) EXPECT_EQ(side->accuracy->rows, gemm.gemm.m);
}

}  // namespace
}  // namespace oscsim
