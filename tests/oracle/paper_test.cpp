// SPDX-License-Identifier: Apache-2.0
// The idealised machine against the speed-up table of arXiv 2604.12782 and against the closed form behind it.
#include <gtest/gtest.h>

#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

const units::MachineParams& paper() {
  return machines().at("paper");
}

double cycles(const SchemeParams& scheme, const Shape& shape) {
  return static_cast<double>(simulate_gemm(paper(), plan_of(scheme, shape)).total.count());
}

double speedup(std::int64_t group, const Shape& shape) {
  return cycles(schemes().at("w8a8"), shape) / cycles(osc_with_group(group), shape);
}

TEST(Paper, ComputeBoundSpeedupIsTheTables) {
  for (const Shape& shape :
       {Shape{4096, 4096, 4096}, Shape{8192, 4096, 4096}, Shape{2048, 12288, 4096}, Shape{4096, 8192, 8192}}) {
    SCOPED_TRACE(to_string(shape));
    EXPECT_EQ(fmt::format("{:.4f}", speedup(16, shape)), "1.6000");
    EXPECT_EQ(fmt::format("{:.4f}", speedup(32, shape)), "1.7778");
    EXPECT_EQ(fmt::format("{:.4f}", speedup(64, shape)), "1.8824");
  }
}

// M >= 128 is on the compute side for every shape of the table, down to a fraction of a per mille for the first and
// last cycles.
TEST(Paper, FromM128OnEveryShapeIsComputeBound) {
  for (const std::int64_t group : {16, 32, 64})
    for (const std::int64_t k : {2048, 4096})
      for (const std::int64_t n : {512, 768, 2048, 4096, 12288}) {
        const Shape shape{128, n, k};
        EXPECT_NEAR(speedup(group, shape), 2 / (1 + 4.0 / static_cast<double>(group)), 2e-3) << to_string(shape);
      }
}

TEST(Paper, MemoryBoundSpeedupSpansTheTablesRange) {
  struct Row {
    std::int64_t group;
    double low, high;
  };
  for (const Row& row : {Row{16, 1.50, 1.59}, Row{32, 1.64, 1.76}, Row{64, 1.72, 1.86}}) {
    double low = 1e9, high = 0;
    for (const std::int64_t m : {16, 32, 64})
      for (const std::int64_t k : {2048, 4096})
        for (const std::int64_t n : {512, 768, 2048, 4096, 12288}) {
          const double value = speedup(row.group, {m, n, k});
          low = std::min(low, value);
          high = std::max(high, value);
        }
    EXPECT_NEAR(low, row.low, 0.01) << "group " << row.group;
    EXPECT_NEAR(high, row.high, 0.01) << "group " << row.group;
  }
}

// max(work / rate, bytes / bandwidth), with the paper's byte counts written out: no scales, FP32 output.
TEST(Paper, TimeIsTheClosedForm) {
  const double bandwidth = 117;  // bytes per cycle
  const double rate_8bit = 8192, rate_4bit = 16384, rate_16bit = 4096;
  for (const Shape& shape : {Shape{16, 512, 2048}, Shape{64, 768, 4096}, Shape{64, 12288, 4096}, Shape{128, 4096, 4096},
                             Shape{2048, 4096, 4096}, Shape{2048, 1024, 4096}, Shape{4096, 12288, 2048}}) {
    SCOPED_TRACE(to_string(shape));
    const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n), k = static_cast<double>(shape.k);
    const double w8a8 = std::max(m * n * k / rate_8bit, ((m + n) * k + m * n * 4) / bandwidth);
    EXPECT_NEAR(cycles(schemes().at("w8a8"), shape), w8a8, 2e-3 * w8a8);
    for (const double group : {16.0, 32.0, 64.0}) {
      const double branch = k / group;
      const double work = m * n * k / rate_4bit + m * n * branch / rate_16bit;
      const double bytes = (m + n) * (k / 2 + branch * 2) + m * n * 4;
      const double osc = std::max(work, bytes / bandwidth);
      EXPECT_NEAR(cycles(osc_with_group(static_cast<std::int64_t>(group)), shape), osc, 2e-3 * osc)
          << "group " << group;
    }
  }
}

}  // namespace
}  // namespace oscsim
