// SPDX-License-Identifier: Apache-2.0
#include "sim/config/csv_cell.h"

#include <algorithm>
#include <array>

#include "sim/config/units.h"

namespace oscsim::config {
namespace {

bool begins_a_formula(std::string_view text) {
  // The last four: = + - @ in full width, in UTF-8.
  constexpr std::array<std::string_view, 11> kBeginnings{
      "=", "+", "-", "@", "\t", "\r", "\n", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
  const bool is_one = std::ranges::any_of(kBeginnings, [&](std::string_view b) { return text.starts_with(b); });
  return is_one && !parse_number(text).value;
}

}  // namespace

std::string csv_cell(std::string_view text) {
  const bool is_formula = begins_a_formula(text);
  std::string cell(is_formula ? "'" : "");
  if (!is_formula && text.find_first_of(",;\t\"\r\n") == std::string_view::npos) return std::string(text);
  cell += text;
  std::string quoted = "\"";
  for (const char letter : cell) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + '"';
}

}  // namespace oscsim::config
