// SPDX-License-Identifier: Apache-2.0
// C9 and D4: --only on hostile patterns and names. std::regex recursed for each letter and tried every way.
#include <gtest/gtest.h>

#include "sim/workload/name_pattern.h"
#include "sim/workload/trace_select.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

std::string fault(const std::string& pattern) {
  return error_of([&] { NamePattern compiled(pattern); });
}

Trace trace_named(const std::string& name) {
  Trace trace = parse_gemms(std::vector<std::string>{"1,2,3"});
  trace.gemms.front().name = name;
  return trace;
}

TEST(FaultC9, NestedParenthesesAreRefused) {
  const std::string pattern = std::string(20'000, '(') + "a" + std::string(20'000, ')');
  EXPECT_EQ(fault(pattern),
            "--only '" + std::string(60, '(') + "… (40,001 bytes)': 40001 characters; allowed: up to 4096");
}

TEST(FaultC9, ALongNameIsSearched) {
  const std::string name = "a" + std::string(300'000, 'c');
  EXPECT_FALSE(NamePattern("a.*b").is_in(name));
  EXPECT_TRUE(NamePattern("a.*b").is_in(name + "b"));
  EXPECT_EQ(select(trace_named(name + "b"), {}, "a.*b").gemms.size(), 1U);
}

TEST(FaultC9, VariantTheDeepestPatternThatIsAllowed) {
  const std::string pattern = std::string(2000, '(') + "a" + std::string(2000, ')');
  const std::string refused = fault(pattern);
  EXPECT_TRUE(refused.empty() || refused.ends_with("at character 1")) << refused;
}

TEST(FaultD4, NestedStarsTakeLinearTime) {
  const NamePattern pattern("(.*)*x$");
  EXPECT_FALSE(pattern.is_in("model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(pattern.is_in("model.layers.0.x"));
}

TEST(FaultD4, VariantOtherPatternsThatExplode) {
  const std::string name(100'000, 'a');
  for (const char* text : {"(a|a)*$b", "(a+)+b", "(a|aa)+b", "(.*a){20}b"}) EXPECT_FALSE(NamePattern(text).is_in(name));
}

TEST(FaultD4, WrongPatternsAreRefusedWithTheirPlace) {
  EXPECT_EQ(fault("q_proj("), "--only 'q_proj(': not a regular expression: missing ) at character 7");
  EXPECT_EQ(fault("a(b(c"), "--only 'a(b(c': not a regular expression: missing ) at character 4");
  EXPECT_EQ(fault("[)](a))"), "--only '[)](a))': not a regular expression: unexpected ) at character 7");
  EXPECT_EQ(fault("q[a"), "--only 'q[a': not a regular expression: missing ] at character 2");
  EXPECT_EQ(fault("ab**"), "--only 'ab**': not a regular expression: bad repetition operator at character 3");
  EXPECT_EQ(fault("x\\"), "--only 'x\\': not a regular expression: trailing \\ at character 2");
  EXPECT_EQ(fault("x{5000}"), "--only 'x{5000}': not a regular expression: invalid repetition size at character 2");
  EXPECT_EQ(fault("q(?=x)"),
            "--only 'q(?=x)': not a regular expression: invalid perl operator at character 2; RE2 has no lookahead, no "
            "lookbehind and no (?<name>...)");
}

TEST(FaultD4, VariantNamesThatAreNotUtf8AreBytes) {
  EXPECT_TRUE(NamePattern("q.proj").is_in("q\xFCproj"));
  EXPECT_TRUE(NamePattern("\xFC").is_in("q\xFCproj"));
}

}  // namespace
}  // namespace oscsim
