// SPDX-License-Identifier: Apache-2.0
// Aligned columns in plain ASCII.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oscsim {

inline constexpr std::size_t kReportWidth = 120;  // characters

class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string heading;
    std::string unit{};  // second line of the heading
    Align align = Align::left;
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells);  // as many as there are columns
  void add_line(std::string text);           // over the whole width, as it is

  // Headings that are all empty take no line. Rows are made to fit in `width` by breaking the last column at blanks,
  // then by narrower gaps, then by names (the first column) on lines of their own. Nothing is ever cut: a table for
  // which that is not enough is wider.
  std::string text(std::size_t width = kReportWidth) const;

 private:
  struct Row {
    std::vector<std::string> cells;  // empty: `line`
    std::string line;
  };
  struct Layout {
    std::vector<std::size_t> widths{};
    std::size_t gap = 0;
    std::size_t total() const;
  };
  Layout layout(std::size_t width) const;
  std::string row_text(std::vector<std::string> cells, const Layout& layout) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// Control characters and everything beyond ASCII become '?'; newlines stay.
std::string plain_ascii(std::string text);

using Align = TextTable::Align;

}  // namespace oscsim
