// SPDX-License-Identifier: Apache-2.0
#include "sim/report/table.h"

#include <gmock/gmock.h>

#include <limits>
#include <numeric>
#include <sstream>

#include "sim/report/text_table.h"
#include "tests/unit/report/sample.h"

namespace oscsim {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ResultTable, OfASmallResult) {
  EXPECT_EQ(result_table(sample_result()),
            R"(osc against w8a8 on edge_npu, trace command line; names without layers.

GEMM       position  m x n x k  count  formats         osc   w8a8  speed-up  bound
                                       osc              us     us            osc
0.q_proj   attn_in   16x64x32       1  mxfp4+bf16     1.00   2.00    2.0000  tensor
0.o_proj   attn_in   16x64x32       2  mxfp4+bf16     8.00  10.00    1.2500  tensor
shared work on inputs
0.attn_in  attn_in   16x32          1  gather,mxfp4   1.00      -         -  gather
total                                                10.00  12.00    1.2000

cycle stack    osc   w8a8
                 %      %
  tensor      67.5   75.0
  wait_load   22.5   25.0
  gather       6.0    0.0
  idle         4.0    0.0
  total      100.0  100.0
  cycles     10000  12000

memory traffic    osc  w8a8
                   MB    MB
  HBM read      12.00  9.00
  HBM write      4.00  3.00
  L2 read        2.00  1.50
  L2 write       0.00  0.00
)");
}

TEST(ResultTable, OperationsHaveRowsOfTheirOwnAndAShare) {
  RunResult result = sample_result();
  result.operations = sample_operations();
  sum_up(result);
  const std::string text = result_table(result);
  EXPECT_THAT(text, HasSubstr(R"(
other operations
0.norm       rms_norm   16x32             1  -              2.00   2.00    1.0000  tensor
0.attention  attention  16x16x128x64      1  mxfp8          3.00      -         -  tensor
shared work on inputs
0.attn_in    attn_in    16x32             1  gather,mxfp4   1.00      -         -  gather
total                                                      15.00  14.00    0.9333
GEMMs and shared work take 66.7 % of osc's time and 85.7 % of w8a8's
)"));
}

TEST(ResultTable, ShowsEnergyByPartAndWhatOfItIsAssumed) {
  RunResult result = sample_result();
  EXPECT_THAT(result_table(result), Not(HasSubstr("energy")));
  result.costs = "7nm";
  result.scheme_total.energy[cost::EnergyPart::tensor] = {2.5, 1};
  result.scheme_total.energy[cost::EnergyPart::gather] = {0.5, 0};
  result.scheme_total.energy[cost::EnergyPart::hbm] = {1, 0};
  result.baseline_total.energy[cost::EnergyPart::tensor] = {5, 4};
  result.baseline_total.energy[cost::EnergyPart::hbm] = {3, 0};
  result.area[cost::AreaPart::l2] = {8, 2};
  EXPECT_THAT(result_table(result), HasSubstr(R"(
energy     osc  w8a8  ratio
            uJ    uJ
  tensor  2.50  5.00  0.500
  gather  0.50  0.00      -
  hbm     1.00  3.00  0.333
  total   4.00  8.00  0.500
costs 7nm: assumed numbers make 25 % of osc's energy and 50 % of w8a8's; of the area of 8.00 mm2 25 %
)"));
}

TEST(ResultTable, SaysWhatGemmsOnlyLeavesOut) {
  RunResult result = sample_result();
  result.scheme_operations.time_us = 5;
  result.baseline_operations.time_us = 2;
  result.left_out = 7;
  EXPECT_THAT(result_table(result),
              HasSubstr("\n7 other operations are left out: GEMMs and shared work take 66.7 % of osc's time and 85.7 % "
                        "of w8a8's,\nspeed-up with all of them 0.9333\n"));
}

TEST(ResultTable, LayersHaveATableOfTheirOwn) {
  RunResult result = sample_result();
  result.layers.resize(1);
  result.layers[0].gemms = 2;
  result.layers[0].scheme.gemms = {20, 0.5, 2};
  result.layers[0].baseline.gemms = {30, 1, 0.125};
  EXPECT_THAT(result_table(result), HasSubstr(R"(
layer  GEMMs  SQNR dB  SQNR dB    cosine    cosine  max error  max error
                  osc     w8a8       osc      w8a8        osc       w8a8
0          2    20.00    30.00  0.500000  1.000000          2      0.125

cycle stack)"));
  EXPECT_THAT(result_table(result), Not(HasSubstr("chained")));
  result.layers[0].scheme.chained = Closeness{10, 0.25, 1};
  result.layers[0].baseline.chained = Closeness{25, 0.75, 1};
  result.gemms[0].chain_input = Closeness{60, 0.999, 1};
  result.gemms[0].scheme.chained = Closeness{11, 0.25, 1};
  result.gemms[0].baseline.chained = Closeness{22, 0.25, 1};
  const std::string text = result_table(result);
  EXPECT_THAT(text, HasSubstr("      10.00      25.00       0.250000       0.750000\n"));
  EXPECT_THAT(text, HasSubstr("       11.00       22.00\n"));
  EXPECT_THAT(text,
              HasSubstr("\nchained: inputs are what the quantised GEMMs before gave; against the unquantised "
                        "chain, of a layer its output\ncosine of the unquantised chain's inputs with the captured "
                        "ones: at least 0.999000\n"));
}

TEST(ResultTable, LeavesOutTheCountWhenNothingIsRepeated) {
  RunResult result = sample_result();
  result.gemms[1].repeat = 1;
  EXPECT_THAT(result_table(result), HasSubstr("\n0.q_proj   attn_in   16x64x32   mxfp4+bf16 "));
  EXPECT_THAT(result_table(result), Not(HasSubstr("count")));
}

TEST(ResultTable, KeepsNamesThatDoNotBeginAlike) {
  RunResult result = sample_result();
  result.gemms[1].gemm.name = "model.layers.0.o_proj";
  const std::string text = result_table(result);
  EXPECT_THAT(text, HasSubstr("trace command line\n"));
  EXPECT_THAT(text, HasSubstr("\nlayers.0.q_proj "));
  EXPECT_THAT(text, HasSubstr("\nmodel.layers.0.o_proj "));
}

TEST(ResultTable, NamesSidesByTheirRoleWhereNamesAreLongOrTheSame) {
  RunResult result = sample_result();
  result.scheme = "w8a8_mxfp8";
  EXPECT_THAT(result_table(result), HasSubstr("cycle stack  w8a8_mxfp8   w8a8\n"));
  result.scheme = "w8a8_mxfp8_even";
  EXPECT_THAT(result_table(result), HasSubstr("w8a8_mxfp8_even against w8a8 on "));
  EXPECT_THAT(result_table(result), HasSubstr("cycle stack  scheme   w8a8\n"));
  result.scheme = result.baseline;
  EXPECT_THAT(result_table(result), HasSubstr("cycle stack  scheme  baseline\n"));
}

TEST(ResultTable, ShowsQualityWhereThereIsOne) {
  RunResult result = sample_result();
  EXPECT_THAT(result_table(result), Not(HasSubstr("SQNR")));
  result.gemms[0].scheme.accuracy = Accuracy{18.254, 0.5, "", 16};
  result.gemms[0].baseline.accuracy = Accuracy{std::numeric_limits<double>::infinity(), 0, "", 16};
  result.gemms[1].scheme.accuracy = Accuracy{std::numeric_limits<double>::quiet_NaN(), 0, "", 16};
  const std::string text = result_table(result);
  EXPECT_THAT(text, HasSubstr("SQNR dB"));
  EXPECT_THAT(text, HasSubstr("18.25    exact\n"));
  EXPECT_THAT(text, HasSubstr("nan        -\n"));
}

TEST(ResultTable, ChoosesAUnitForLongTimes) {
  RunResult result = sample_result();
  result.scheme_total.time_us = 1'500'000;
  EXPECT_THAT(result_table(result), HasSubstr(" ms "));
  EXPECT_THAT(result_table(result), HasSubstr("1500.00"));
  result.scheme_total.time_us = 3e9;
  EXPECT_THAT(result_table(result), HasSubstr("3000.00"));
}

TEST(ResultTable, FitsInTheWidthWithLongNames) {
  RunResult result = sample_result();
  result.scheme = "a_scheme_with_a_very_long_name";
  for (int layer = 0; layer < 30; ++layer) {
    GemmResult gemm =
        sample_gemm(fmt::format("layers.{}.mlp.experts.127.gate_proj", layer), 131072, 99'999'999'999, 999'999'999'999);
    gemm.gemm.n = gemm.gemm.k = 151936;
    gemm.scheme.bound = "wait_vector";
    gemm.scheme.accuracy = gemm.baseline.accuracy = Accuracy{18.25, 0, "", gemm.gemm.m};
    result.gemms.push_back(gemm);
  }
  sum_up(result);
  std::istringstream lines(result_table(result));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), kReportWidth) << line;
  EXPECT_THAT(lines.str(), HasSubstr("\n29.mlp.experts.127.gate_proj"));
}

TEST(ResultTable, SaysWhenRowsAreFolded) {
  RunResult result = sample_result();
  for (int layer = 1; layer < 50; ++layer)
    result.gemms.push_back(sample_gemm(fmt::format("layers.{}.q_proj", layer), 16, 1000, 2000));
  const std::string text = result_table(result);
  EXPECT_THAT(text, HasSubstr("\n*.q_proj "));
  EXPECT_THAT(text,
              HasSubstr("51 GEMMs in 2 rows: * stands for layers and experts; times are sums over the count, SQNR "
                        "is the lowest\n"));
}

TEST(ResultTable, SaysWhenQualityIsOfASampleOfTheRows) {
  RunResult result = sample_result();
  for (GemmResult& gemm : result.gemms) gemm.scheme.accuracy = gemm.baseline.accuracy = Accuracy{18.25, 0, "", 16};
  EXPECT_THAT(result_table(result), Not(HasSubstr("SQNR over")));
  for (GemmResult& gemm : result.gemms) gemm.scheme.accuracy->rows = gemm.baseline.accuracy->rows = 4;
  EXPECT_THAT(result_table(result), HasSubstr("\nSQNR over 4 of 16 rows\n"));
  result.gemms[1].scheme.accuracy->rows = result.gemms[1].baseline.accuracy->rows = 16;
  EXPECT_THAT(result_table(result), HasSubstr("\nSQNR of 1 of 2 GEMMs over a sample of their rows, at least 4\n"));
}

TEST(ResultTable, SaysHowMuchWasVerified) {
  RunResult result = sample_result();
  for (GemmResult& gemm : result.gemms)
    gemm.scheme.verification = gemm.baseline.verification = Verification{512, 1024, 8, 0, ""};
  EXPECT_THAT(result_table(result),
              HasSubstr("\nverified against the scalar reference, osc: 1024 of 2048 outputs compared, 0 differences\n"
                        "verified against the scalar reference, w8a8: 1024 of 2048 outputs compared, 0 differences\n"));
  result.gemms[1].baseline.verification = Verification{512, 1024, 8, 1, "row 3, column 4: 1 and 2"};
  EXPECT_THAT(result_table(result), HasSubstr("w8a8: 1024 of 2048 outputs compared, 1 difference\n"
                                              "  layers.0.o_proj under w8a8: row 3, column 4: 1 and 2\n"));
}

TEST(ResultTable, IsPlainAscii) {
  RunResult result = sample_result();
  result.gemms[0].gemm.name = "\x1b[31m\xc3\xa9";
  for (const char letter : result_table(result)) EXPECT_TRUE(letter == '\n' || (letter >= ' ' && letter <= '~'));
}

TEST(Shares, AddUpToOneHundredPercent) {
  EXPECT_EQ(shares_in_tenths({1, 1, 1}), (std::vector<std::int64_t>{334, 333, 333}));
  EXPECT_EQ(shares_in_tenths({2, 1, 0}), (std::vector<std::int64_t>{667, 333, 0}));
  EXPECT_EQ(shares_in_tenths({7}), (std::vector<std::int64_t>{1000}));
  for (std::int64_t seed = 1; seed < 200; ++seed) {
    std::vector<std::int64_t> parts;
    for (std::int64_t i = 0; i < 12; ++i) parts.push_back(seed * 7919 * (i + 1) * (i + 3) % 1'000'003);
    const std::vector<std::int64_t> shares = shares_in_tenths(parts);
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::int64_t{0}), 1000);
  }
}

TEST(Shares, OfHugePartsAreExact) {
  const std::int64_t huge = std::int64_t{1} << 61;
  EXPECT_EQ(shares_in_tenths({huge, huge}), (std::vector<std::int64_t>{500, 500}));
}

TEST(Shares, OfNothingAreZero) {
  EXPECT_EQ(shares_in_tenths({0, 0}), (std::vector<std::int64_t>{0, 0}));
  EXPECT_TRUE(shares_in_tenths({}).empty());
}

}  // namespace
}  // namespace oscsim
