// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/condition.h"

#include <gtest/gtest.h>

#include <map>

namespace oscsim::sweep {
namespace {

const std::map<std::string, Value> kValues{{"machine.cores", 8.0},
                                           {"machine.core.buffers.l1", 65536.0},
                                           {"machine.hbm.bandwidth", 1.6e12},
                                           {"scheme", std::string("w4a4")},
                                           {"mapping.m", Value()}};

bool holds(const std::string& text) {
  config::Problems problems;
  const Condition condition(text, config::whole("test"), problems);
  EXPECT_EQ(problems.text(), "");
  return condition.holds([](const std::string& path) { return kValues.at(path); });
}

std::string problem(const std::string& text) {
  config::Problems problems;
  const Condition condition(text, config::whole("test"), problems);
  EXPECT_FALSE(condition.holds([](const std::string&) { return Value(1.0); }));
  const std::string all = problems.text();
  return all.substr(0, all.find('\n'));
}

TEST(Condition, ComparesNumbersAndQuantities) {
  EXPECT_TRUE(holds("machine.cores < 9"));
  EXPECT_FALSE(holds("machine.cores < 8"));
  EXPECT_TRUE(holds("machine.cores <= 8"));
  EXPECT_TRUE(holds("machine.cores == 8"));
  EXPECT_FALSE(holds("machine.cores != 8"));
  EXPECT_TRUE(holds("machine.core.buffers.l1 == 64KiB"));
  EXPECT_TRUE(holds("1.6TB/s >= machine.hbm.bandwidth"));
  EXPECT_FALSE(holds("machine.hbm.bandwidth > 1.6TB/s"));
}

TEST(Condition, KnowsPrecedenceAndParentheses) {
  EXPECT_TRUE(holds("2 + 3 * 2 == machine.cores"));
  EXPECT_TRUE(holds("(2 + 3) * 2 == machine.cores + 2"));
  EXPECT_TRUE(holds("machine.cores - 4 - 2 == 2"));
  EXPECT_TRUE(holds("machine.cores / 4 / 2 == 1"));
  EXPECT_TRUE(holds("machine.core.buffers.l1/2 == 32KiB"));
}

TEST(Condition, OrNeedsOneSideOnly) {
  EXPECT_TRUE(holds("machine.cores > 9 or machine.cores < 9"));
  EXPECT_FALSE(holds("machine.cores > 9 or machine.cores > 10"));
}

TEST(Condition, ComparesNames) {
  EXPECT_TRUE(holds("scheme == w4a4"));
  EXPECT_TRUE(holds("scheme != osc"));
}

TEST(Condition, AbsentValuesAndDivisionsByZeroCompareFalse) {
  EXPECT_FALSE(holds("mapping.m == 1"));
  EXPECT_FALSE(holds("mapping.m != 1"));
  EXPECT_FALSE(holds("1 / 0 > 1"));
}

TEST(Condition, SaysWhatIsWrong) {
  EXPECT_EQ(problem("machine.cores"),
            "test: condition 'machine.cores': no comparison: one of < <= > >= == != is needed");
  EXPECT_EQ(problem("machine.cores < "), "test: condition 'machine.cores < ': it ends too early");
  EXPECT_EQ(problem("(machine.cores < 3)"), "test: condition '(machine.cores < 3)': a ')' is missing");
  EXPECT_EQ(problem("machine.cores < 3 < 4"), "test: condition 'machine.cores < 3 < 4': '<' is not expected");
  EXPECT_EQ(problem("machine.cores = 3"), "test: condition 'machine.cores = 3': '=' is not expected");
  EXPECT_EQ(problem("scheme < osc"), "test: condition 'scheme < osc': 'osc' is no parameter");
  EXPECT_EQ(problem("machine.cores < 3kg"),
            "test: condition 'machine.cores < 3kg': '3kg' is no number and no quantity");
}

}  // namespace
}  // namespace oscsim::sweep
