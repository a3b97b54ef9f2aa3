// SPDX-License-Identifier: Apache-2.0
#include "sim/report/text_table.h"

#include <gtest/gtest.h>

namespace oscsim {
namespace {

TEST(TextTable, AlignsColumnsAndEndsLinesWithoutBlanks) {
  TextTable table({{"name"}, {"time", "us", TextTable::Align::right}, {"note"}});
  table.add({"a", "1.00", ""});
  table.add_line("between");
  table.add({"longer", "123.00", "x"});
  EXPECT_EQ(table.text(),
            "name      time  note\n"
            "            us\n"
            "a         1.00\n"
            "between\n"
            "longer  123.00  x\n");
}

TEST(TextTable, BreaksTheLastColumnAtBlanks) {
  TextTable table({{"name"}, {"meaning"}});
  table.add({"core.gather.lanes", "channels gathered per cycle without conflicts"});
  table.add({"cores", "short"});
  EXPECT_EQ(table.text(45),
            "name               meaning\n"
            "core.gather.lanes  channels gathered per\n"
            "                   cycle without conflicts\n"
            "cores              short\n");
}

TEST(TextTable, NarrowsTheGapsWhereTheWidthNeedsIt) {
  TextTable table({{"name"}, {"a"}, {"b"}});
  table.add({"layers.0.q_proj", "12345678", "12345678"});
  EXPECT_EQ(table.text(34),
            "name            a        b\n"
            "layers.0.q_proj 12345678 12345678\n");
}

TEST(TextTable, GivesLongNamesALineOfTheirOwn) {
  TextTable table({{"name"}, {"n", "", TextTable::Align::right}});
  table.add({"model.layers.0.self_attn.q_proj", "123456"});
  table.add({"short", "1"});
  EXPECT_EQ(table.text(30),
            "name                         n\n"
            "model.layers.0.self_attn.q_proj\n"
            "                        123456\n"
            "short                        1\n");
}

TEST(TextTable, IsWiderRatherThanCut) {
  TextTable table({{"name"}, {"a"}, {"b"}});
  table.add({"layers.0.q_proj", "12345678", "12345678"});
  EXPECT_EQ(table.text(20),
            "name             a         b\n"
            "layers.0.q_proj  12345678  12345678\n");
}

TEST(TextTable, LeavesOutEmptyHeadings) {
  TextTable table({{""}, {""}});
  table.add({"a", "b"});
  EXPECT_EQ(table.text(), "a  b\n");
}

TEST(PlainAscii, ReplacesWhatATerminalWouldInterpret) {
  EXPECT_EQ(plain_ascii("a\x1b[31m\tb\xc3\xa9\nc"), "a?[31m?b??\nc");
}

}  // namespace
}  // namespace oscsim
