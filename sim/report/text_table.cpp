// SPDX-License-Identifier: Apache-2.0
#include "sim/report/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "models/base/error.h"

namespace oscsim {
namespace {

constexpr std::size_t kGap = 2;        // blanks between columns ...
constexpr std::size_t kNarrowGap = 1;  // ... where the table would be too wide
constexpr std::size_t kLeastName = 12;

std::string_view without_trailing_blanks(std::string_view line) {
  const std::size_t last = line.find_last_not_of(' ');
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

void TextTable::add(std::vector<std::string> cells) {
  ensure(cells.size() == columns_.size(), "a row of {} cells in a table of {} columns", cells.size(), columns_.size());
  rows_.push_back({std::move(cells), ""});
}

void TextTable::add_line(std::string text) {
  rows_.push_back({{}, std::move(text)});
}

TextTable::Layout TextTable::layout(std::size_t width) const {
  Layout layout;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = std::max(columns_[i].heading.size(), columns_[i].unit.size());
    for (const Row& row : rows_)
      if (!row.cells.empty()) widest = std::max(widest, row.cells[i].size());
    layout.widths.push_back(widest);
  }
  std::size_t& first = layout.widths.front();
  const std::size_t others = std::accumulate(layout.widths.begin() + 1, layout.widths.end(), std::size_t{0});
  const std::size_t gaps = columns_.size() - 1;
  const std::size_t least = std::min(first, kLeastName);
  layout.gap = least + others + kGap * gaps <= width ? kGap : kNarrowGap;
  const std::size_t taken = others + layout.gap * gaps;
  first = std::min(first, std::max(least, width > taken ? width - taken : 0));
  return layout;
}

std::string TextTable::text(std::size_t width) const {
  const auto [column_widths, gap] = layout(width);
  std::string text;
  const auto append = [&, &column_widths = column_widths, gap = gap](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string cell = i == 0 ? shortened(cells[0], column_widths[0]) : cells[i];
      line += std::string(i == 0 ? 0 : gap, ' ');
      line += columns_[i].align == Align::left ? fmt::format("{:<{}}", cell, column_widths[i])
                                               : fmt::format("{:>{}}", cell, column_widths[i]);
    }
    text += fmt::format("{}\n", without_trailing_blanks(line));
  };
  std::vector<std::string> headings, units;
  for (const Column& column : columns_) {
    headings.push_back(column.heading);
    units.push_back(column.unit);
  }
  const auto is_empty = [](const std::string& cell) { return cell.empty(); };
  for (const auto& line : {headings, units})
    if (!std::ranges::all_of(line, is_empty)) append(line);
  for (const Row& row : rows_) {
    if (row.cells.empty())
      text += row.line + "\n";
    else
      append(row.cells);
  }
  return text;
}

std::string shortened(const std::string& name, std::size_t width) {
  constexpr std::string_view kMissing = "...";
  if (name.size() <= width) return name;
  if (width <= kMissing.size()) return name.substr(name.size() - width);
  const std::size_t room = width - kMissing.size();
  std::size_t start = name.size() - room;
  const std::size_t dot = name.find('.', start - 1);
  if (dot != std::string::npos && name.size() - dot - 1 > room / 2) start = dot + 1;
  return fmt::format("{}{}", kMissing, name.substr(start));
}

std::string plain_ascii(std::string text) {
  std::ranges::replace_if(
      text, [](char letter) { return letter != '\n' && (letter < ' ' || letter > '~'); }, '?');
  return text;
}

}  // namespace oscsim
