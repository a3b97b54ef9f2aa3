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

TEST(TextTable, ShortensTheFirstColumnToTheWidth) {
  TextTable table({{"name"}, {"n", "", TextTable::Align::right}});
  table.add({"model.layers.0.self_attn.q_proj", "123456"});
  EXPECT_EQ(table.text(30),
            "name                         n\n"
            "...0.self_attn.q_proj   123456\n");
}

TEST(TextTable, NarrowsTheGapsWhenTheNameCannotShrinkFurther) {
  TextTable table({{"name"}, {"a"}, {"b"}});
  table.add({"layers.0.q_proj", "12345678", "12345678"});
  EXPECT_EQ(table.text(31),
            "name          a        b\n"
            "...0.q_proj   12345678 12345678\n");
}

TEST(TextTable, LeavesOutEmptyHeadings) {
  TextTable table({{""}, {""}});
  table.add({"a", "b"});
  EXPECT_EQ(table.text(), "a  b\n");
}

TEST(Shortened, KeepsTheEndAndCutsAtADot) {
  EXPECT_EQ(shortened("layers.0.q_proj", 15), "layers.0.q_proj");
  EXPECT_EQ(shortened("layers.0.q_proj", 14), "...0.q_proj");
  EXPECT_EQ(shortened("layers.0.q_proj", 11), "...0.q_proj");
  EXPECT_EQ(shortened("layers.0.q_proj", 10), "...q_proj");
  EXPECT_EQ(shortened("a.verylongcomponent", 12), "...component");
  EXPECT_EQ(shortened("abcdef", 3), "def");
}

TEST(PlainAscii, ReplacesWhatATerminalWouldInterpret) {
  EXPECT_EQ(plain_ascii("a\x1b[31m\tb\xc3\xa9\nc"), "a?[31m?b??\nc");
}

}  // namespace
}  // namespace oscsim
