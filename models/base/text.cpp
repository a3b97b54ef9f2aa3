// SPDX-License-Identifier: Apache-2.0
#include "models/base/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace oscsim {
namespace {

constexpr std::size_t kLongestExcerpt = 60;                // letters
constexpr std::size_t kLongestWord = 1000;                 // bytes; paths are shorter
constexpr std::size_t kLongestLine = 8000;                 // bytes; lists of allowed names are shorter
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// C0, DEL and C1.
bool is_control(std::string_view letter) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(letter[i]); };
  return byte(0) < 0x20 || byte(0) == 0x7F || (letter.size() == 2 && byte(0) == 0xC2 && byte(1) < 0xA0);
}

// At most `letters` letters of `text`, and how many bytes of it they are.
std::pair<std::string, std::size_t> cleaned(std::string_view text, std::size_t letters, char for_control) {
  std::string shown;
  std::size_t at = 0;
  for (std::size_t i = 0; i < letters && at < text.size(); ++i) {
    const std::size_t length = utf8_length(text.substr(at));
    const std::string_view letter = text.substr(at, std::max<std::size_t>(length, 1));
    if (length == 0)
      shown += kReplacement;
    else if (is_control(letter))
      shown += for_control;
    else
      shown += letter;
    at += letter.size();
  }
  return {shown, at};
}

// 1048576 as 1,048,576.
std::string with_commas(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

// Where what begins at `begin` with a quote or a word ends.
std::size_t end_of(std::string_view line, std::size_t begin) {
  constexpr std::string_view kAfterQuote = " ,;:.)?]";
  if (line[begin] == '\'')
    for (std::size_t at = begin + 1; (at = line.find('\'', at)) != std::string_view::npos; ++at)
      if (at + 1 == line.size() || kAfterQuote.find(line[at + 1]) != std::string_view::npos) return at + 1;
  return std::min(line.find(' ', begin), line.size());
}

std::string shortened(std::string_view part) {
  if (part.size() <= kLongestWord) return cleaned(part, part.size(), '?').first;
  constexpr std::string_view kAround = "'\"()[]{},:;.?";
  const std::size_t first = std::min(part.find_first_not_of(kAround), part.size());
  const std::size_t last = std::max(part.find_last_not_of(kAround) + 1, first);
  return fmt::format("{}{}{}", part.substr(0, std::min<std::size_t>(first, 3)),
                     excerpt(part.substr(first, last - first)), part.substr(last, 3));
}

std::string printable_line(std::string_view line) {
  std::string shown;
  for (std::size_t at = 0; at < line.size() && shown.size() < kLongestLine;) {
    if (line[at] == ' ') {
      shown += line[at++];
      continue;
    }
    const std::size_t end = end_of(line, at);
    shown += shortened(line.substr(at, end - at));
    at = end;
  }
  return shown.size() < kLongestLine ? shown : fmt::format("{}… ({} bytes)", shown, with_commas(line.size()));
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  if (byte(0) < 0x80) return 1;
  const std::size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const bool is_overlong = (byte(0) == 0xE0 && byte(1) < 0xA0) || (byte(0) == 0xF0 && byte(1) < 0x90);
  const bool is_surrogate = byte(0) == 0xED && byte(1) >= 0xA0;
  const bool is_beyond_unicode = byte(0) == 0xF4 && byte(1) >= 0x90;
  return is_overlong || is_surrogate || is_beyond_unicode ? 0 : length;
}

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

std::string excerpt(std::string_view text) {
  const auto [shown, length] = cleaned(text, kLongestExcerpt, ' ');
  return length == text.size() ? shown : fmt::format("{}… ({} bytes)", shown, with_commas(text.size()));
}

std::string printable(std::string_view message) {
  std::string shown;
  for (std::size_t at = 0; at <= message.size();) {
    const std::size_t end = std::min(message.find('\n', at), message.size());
    shown += (at == 0 ? "" : "\n") + printable_line(message.substr(at, end - at));
    at = end + 1;
  }
  return shown;
}

}  // namespace oscsim
