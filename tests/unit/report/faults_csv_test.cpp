// SPDX-License-Identifier: Apache-2.0
// D14: cells that a spreadsheet would run.
#include <gtest/gtest.h>

#include "sim/config/csv_cell.h"
#include "sim/report/csv.h"
#include "tests/unit/report/sample.h"

namespace oscsim {
namespace {

TEST(FaultD14, AGemmNamedLikeAFormulaIsText) {
  RunResult result = sample_result();
  result.gemms[0].gemm.name = "=cmd|x";
  EXPECT_NE(result_csv(result).find("\ngemm,\"'=cmd|x\",attn_in,16,"), std::string::npos) << result_csv(result);
}

TEST(FaultD14, VariantEveryBeginningOfAFormula) {
  EXPECT_EQ(config::csv_cell("=1+2"), "\"'=1+2\"");
  EXPECT_EQ(config::csv_cell("+a"), "\"'+a\"");
  EXPECT_EQ(config::csv_cell("-a"), "\"'-a\"");
  EXPECT_EQ(config::csv_cell("-2+3"), "\"'-2+3\"");
  EXPECT_EQ(config::csv_cell("@sum"), "\"'@sum\"");
  EXPECT_EQ(config::csv_cell("\t=x"), "\"'\t=x\"");
  EXPECT_EQ(config::csv_cell("\r=x"), "\"'\r=x\"");
  EXPECT_EQ(config::csv_cell("\n=x"), "\"'\n=x\"");
  EXPECT_EQ(config::csv_cell("\xEF\xBC\x9Dx"), "\"'\xEF\xBC\x9Dx\"");
  EXPECT_EQ(config::csv_cell("=a\"b,c"), "\"'=a\"\"b,c\"");
}

TEST(FaultD14, VariantOtherSeparatorsDoNotBeginAColumn) {
  EXPECT_EQ(config::csv_cell("a;=x"), "\"a;=x\"");
  EXPECT_EQ(config::csv_cell("a\t=x"), "\"a\t=x\"");
}

TEST(FaultD14, NumbersAndOrdinaryNamesStay) {
  for (const char* text : {"-5", "-1.5e-3", "a-b", "layers.0.q_proj", "", "1=2", "mxfp4 + bf16 branch"})
    EXPECT_EQ(config::csv_cell(text), text);
  RunResult result = sample_result();
  result.gemms[0].scheme.accuracy = Accuracy{-3.5, 0, "", 16, 1};
  EXPECT_NE(result_csv(result).find(",-3.5,0,16,1,"), std::string::npos);
}

}  // namespace
}  // namespace oscsim
