// SPDX-License-Identifier: Apache-2.0
#include "sim/report/fold.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/report/sample.h"

namespace oscsim {
namespace {

// Layers 0..layers-1 with two projections each.
RunResult layered(int layers) {
  RunResult result = sample_result();
  result.gemms.clear();
  for (int layer = 0; layer < layers; ++layer)
    for (const char* name : {"q_proj", "o_proj"})
      result.gemms.push_back(sample_gemm(fmt::format("layers.{}.{}", layer, name), 16, 1000, 2000));
  return result;
}

TEST(Fold, FortyRowsStayAsTheyAre) {
  const std::vector<ReportRow> rows = gemm_rows(layered(20));
  ASSERT_EQ(rows.size(), kMostRows);
  EXPECT_EQ(rows[0].name, "layers.0.q_proj");
  EXPECT_EQ(rows[39].name, "layers.19.o_proj");
}

TEST(Fold, MoreRowsAreSummedOverLayers) {
  const std::vector<ReportRow> rows = gemm_rows(layered(21));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].name, "layers.*.q_proj");
  EXPECT_EQ(rows[1].name, "layers.*.o_proj");
  EXPECT_EQ(rows[0].count, 21);
  EXPECT_DOUBLE_EQ(*rows[0].scheme_us, 21.0);
  EXPECT_DOUBLE_EQ(*rows[0].baseline_us, 42.0);
}

TEST(Fold, NumbersThatAllRowsShareStay) {
  RunResult result = sample_result();
  result.gemms.clear();
  for (int expert = 0; expert < 128; ++expert)
    result.gemms.push_back(sample_gemm(fmt::format("layers.7.experts.{}.up", expert), 16, 10, 20));
  const std::vector<ReportRow> rows = gemm_rows(result);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].name, "layers.7.experts.*.up");
}

TEST(Fold, RowsOfDifferentShapeStayApartWhileTheyAreFew) {
  RunResult result = layered(21);
  result.gemms[0].gemm.n = 128;
  const std::vector<ReportRow> rows = gemm_rows(result);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].count, 1);
  EXPECT_EQ(rows[0].n, 128);
}

TEST(Fold, ManyDifferentRowCountsOfExpertsBecomeARange) {
  RunResult result = sample_result();
  result.gemms.clear();
  for (int expert = 0; expert < 64; ++expert)
    result.gemms.push_back(sample_gemm(fmt::format("experts.{}.up", expert), expert + 1, 10, 20));
  const std::vector<ReportRow> rows = gemm_rows(result);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].m_least, 1);
  EXPECT_EQ(rows[0].m_most, 64);
}

TEST(Fold, RepeatsCountInTimesAndInTheCount) {
  const std::vector<ReportRow> rows = gemm_rows(sample_result());
  EXPECT_EQ(rows[1].count, 2);
  EXPECT_DOUBLE_EQ(*rows[1].scheme_us, 8.0);
}

TEST(Fold, SqnrIsTheLowestAndNanWins) {
  RunResult result = layered(21);
  for (GemmResult& gemm : result.gemms) gemm.scheme.accuracy = Accuracy{30, 0.1, "", 16};
  result.gemms[2].scheme.accuracy->sqnr_db = 20;
  EXPECT_DOUBLE_EQ(*gemm_rows(result)[0].scheme_sqnr_db, 20);
  result.gemms[4].scheme.accuracy->sqnr_db = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(*gemm_rows(result)[0].scheme_sqnr_db));
  EXPECT_FALSE(gemm_rows(result)[0].baseline_sqnr_db);
}

TEST(Fold, BoundIsTheOneWithTheMostTime) {
  RunResult result = layered(21);
  for (std::size_t i = 0; i < 4; ++i) result.gemms[i].scheme.bound = "wait_load";
  EXPECT_EQ(gemm_rows(result)[0].bound(), "tensor");
  result.gemms[0].scheme.time_us = 1000;
  EXPECT_EQ(gemm_rows(result)[0].bound(), "wait_load");
}

TEST(Fold, SharedWorkOfOneSideHasNoTimeOnTheOther) {
  const std::vector<ReportRow> rows = shared_rows(sample_result());
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_DOUBLE_EQ(*rows[0].scheme_us, 1.0);
  EXPECT_FALSE(rows[0].baseline_us);
  EXPECT_EQ(rows[0].bound(), "gather");
}

TEST(LayerPrefix, IsWhatNamesOfLayersBeginWith) {
  EXPECT_EQ(layer_prefix({"model.layers.0.q_proj", "model.layers.12.experts.3.up", "lm_head"}), "model.layers.");
  EXPECT_EQ(layer_prefix({"model.layers.*.q_proj"}), "model.layers.");
  EXPECT_EQ(layer_prefix({"model.layers.0.q_proj", "layers.0.q_proj"}), "");
  EXPECT_EQ(layer_prefix({"gemm_8x16x64", "0.q_proj"}), "");
  EXPECT_EQ(layer_prefix({}), "");
}

}  // namespace
}  // namespace oscsim
