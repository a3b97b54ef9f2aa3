// SPDX-License-Identifier: Apache-2.0
#include "sim/report/csv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "tests/unit/report/sample.h"

namespace oscsim {
namespace {

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Csv, OperationsHaveLinesOfTheirKind) {
  RunResult result = sample_result();
  result.operations = sample_operations();
  const std::vector<std::string> found = lines(result_csv(result));
  ASSERT_EQ(found.size(), 6U);
  EXPECT_EQ(found[3],
            "rms_norm,layers.0.norm,,16,32,1,1,1,"
            "osc,,2000,2,tensor,3000000,1000000,500000,0,0,,,,,,,,"
            "w8a8,,2000,2,tensor,3000000,1000000,500000,0,0,,,,,,,");
  EXPECT_EQ(found[4],
            "attention,layers.0.attention,,256,128,64,1,,"
            "osc,mxfp8,3000,3,tensor,3000000,1000000,500000,0,0,,,,,,,,"
            ",,,,,,,,,,,,,,,,");
}

TEST(Csv, HasOneLineForEachGemmAndSharedWork) {
  const std::vector<std::string> found = lines(result_csv(sample_result()));
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(
      found[0],
      "kind,name,position,m,n,k,repeat,speedup,"
      "scheme_name,scheme_formats,scheme_cycles,scheme_time_us,scheme_bound,scheme_hbm_read_bytes,"
      "scheme_hbm_write_bytes,scheme_l2_read_bytes,scheme_l2_write_bytes,scheme_energy_uj,scheme_sqnr_db,scheme_max_"
      "abs_error,"
      "scheme_accuracy_rows,scheme_cosine,scheme_chained_sqnr_db,scheme_chained_max_abs_error,"
      "scheme_chained_cosine,"
      "baseline_name,baseline_formats,baseline_cycles,baseline_time_us,baseline_bound,baseline_hbm_read_bytes,"
      "baseline_hbm_write_bytes,baseline_l2_read_bytes,baseline_l2_write_bytes,baseline_energy_uj,baseline_sqnr_db,"
      "baseline_max_abs_error,baseline_accuracy_rows,baseline_cosine,baseline_chained_sqnr_db,"
      "baseline_chained_max_abs_error,baseline_chained_cosine");
  EXPECT_EQ(found[1],
            "gemm,layers.0.q_proj,attn_in,16,64,32,1,2,"
            "osc,mxfp4 + bf16 branch,1000,1,tensor,3000000,1000000,500000,0,0,,,,,,,,"
            "w8a8,fp8,2000,2,tensor,3000000,1000000,500000,0,0,,,,,,,");
  EXPECT_EQ(found[3],
            "shared,layers.0.attn_in,attn_in,16,,32,1,,"
            "osc,\"gather, mxfp4\",1000,1,gather,3000000,1000000,500000,0,0,,,,,,,,"
            ",,,,,,,,,,,,,,,,");
}

TEST(Csv, LayersHaveLinesOfTheirOwn) {
  RunResult result = sample_result();
  result.layers.resize(1);
  result.layers[0].layer = 4;
  result.layers[0].scheme = {"osc", {20, 0.5, 2}, Closeness{10, 0.25, 1}};
  result.layers[0].baseline = {"w8a8", {30, 1, 0}, std::nullopt};
  EXPECT_EQ(lines(result_csv(result))[3], "layer,4,,,,,,,osc,,,,,,,,,,20,2,,0.5,10,1,0.25,w8a8,,,,,,,,,,30,0,,1,,,");
}

TEST(Csv, QuotesCommasQuotesAndLineBreaks) {
  RunResult result = sample_result();
  result.gemms[0].gemm.name = "a,\"b\"\nc";
  EXPECT_NE(result_csv(result).find("gemm,\"a,\"\"b\"\"\nc\",attn_in"), std::string::npos);
}

TEST(Csv, InfinityAndNanAreWords) {
  RunResult result = sample_result();
  result.gemms[0].scheme.accuracy = Accuracy{std::numeric_limits<double>::infinity(), 0, "", 16, 1};
  result.gemms[0].baseline.accuracy =
      Accuracy{std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN(), "", 8};
  const std::string line = lines(result_csv(result))[1];
  EXPECT_NE(line.find(",inf,0,16,1,,,,w8a8"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with(",nan,nan,8,0,,,")) << line;
}

TEST(Csv, EveryLineHasAsManyFieldsAsTheHeading) {
  RunResult result = sample_result();
  result.shared[0].scheme->formats = "mxfp4";  // no quoted comma
  result.layers.resize(2);
  const std::vector<std::string> found = lines(result_csv(result));
  for (const std::string& line : found)
    EXPECT_EQ(std::ranges::count(line, ','), std::ranges::count(found[0], ',')) << line;
}

}  // namespace
}  // namespace oscsim
