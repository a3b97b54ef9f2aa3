// SPDX-License-Identifier: Apache-2.0
#include "sim/report/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "models/base/error.h"

namespace oscsim {
namespace {

constexpr std::size_t kGap = 2;        // blanks between columns ...
constexpr std::size_t kNarrowGap = 1;  // ... where the table would be too wide
constexpr std::size_t kLeastName = 12;
constexpr std::size_t kLeastWrapped = 24;

std::string_view without_trailing_blanks(std::string_view line) {
  const std::size_t last = line.find_last_not_of(' ');
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::size_t longest_word_of(std::string_view text) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

// Lines of at most `width`, broken at blanks; at least one line.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (text.size() > width) {
    const std::size_t blank = text.rfind(' ', width);
    if (blank == std::string_view::npos || blank == 0) break;
    lines.emplace_back(without_trailing_blanks(text.substr(0, blank)));
    text.remove_prefix(blank + 1);
  }
  lines.emplace_back(text);
  return lines;
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
  Layout natural{.widths = std::vector<std::size_t>(columns_.size()), .gap = kGap};
  std::size_t longest_word = 0;  // of the last column
  for (std::size_t i = 0; i < columns_.size(); ++i)
    natural.widths[i] = std::max(columns_[i].heading.size(), columns_[i].unit.size());
  for (const Row& row : rows_) {
    for (std::size_t i = 0; i < row.cells.size(); ++i)
      natural.widths[i] = std::max(natural.widths[i], row.cells[i].size());
    if (!row.cells.empty()) longest_word = std::max(longest_word, longest_word_of(row.cells.back()));
  }
  const std::size_t last = natural.widths.back();
  const std::size_t least_last =
      std::min(last, std::max({longest_word, kLeastWrapped, columns_.back().heading.size()}));
  const std::size_t name = natural.widths.front();
  for (const std::size_t least_name : {name, std::min(name, kLeastName)}) {
    for (const std::size_t gap : {kGap, kNarrowGap}) {
      Layout layout{.widths = natural.widths, .gap = gap};
      layout.widths.front() = least_name;
      layout.widths.back() = least_last;
      const std::size_t least = layout.total();
      if (least > width) continue;
      std::size_t& flexible = least_name < name ? layout.widths.front() : layout.widths.back();
      flexible = std::min(least_name < name ? name : last, flexible + width - least);
      return layout;
    }
  }
  return natural;
}

std::size_t TextTable::Layout::total() const {
  return std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
}

// A name wider than its column gets a line of its own; the last cell goes on below itself.
std::string TextTable::row_text(std::vector<std::string> cells, const Layout& layout) const {
  std::string text;
  if (cells.front().size() > layout.widths.front()) text += std::exchange(cells.front(), "") + '\n';
  const std::vector<std::string> parts = wrapped(cells.back(), layout.widths.back());
  for (std::size_t part = 0; part < parts.size(); ++part) {
    if (part > 0) cells.assign(cells.size(), "");
    cells.back() = parts[part];
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line += std::string(i == 0 ? 0 : layout.gap, ' ');
      line += columns_[i].align == Align::left ? fmt::format("{:<{}}", cells[i], layout.widths[i])
                                               : fmt::format("{:>{}}", cells[i], layout.widths[i]);
    }
    text += fmt::format("{}\n", without_trailing_blanks(line));
  }
  return text;
}

std::string TextTable::text(std::size_t width) const {
  const Layout places = layout(width);
  std::vector<std::string> headings, units;
  for (const Column& column : columns_) {
    headings.push_back(column.heading);
    units.push_back(column.unit);
  }
  std::string text;
  const auto is_empty = [](const std::string& cell) { return cell.empty(); };
  for (const auto& line : {headings, units})
    if (!std::ranges::all_of(line, is_empty)) text += row_text(line, places);
  for (const Row& row : rows_) text += row.cells.empty() ? row.line + "\n" : row_text(row.cells, places);
  return text;
}

std::string plain_ascii(std::string text) {
  std::ranges::replace_if(
      text, [](char letter) { return letter != '\n' && (letter < ' ' || letter > '~'); }, '?');
  return text;
}

}  // namespace oscsim
