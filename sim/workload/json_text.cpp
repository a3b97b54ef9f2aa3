// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/json_text.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "models/base/error.h"
#include "models/base/text.h"

namespace oscsim {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPythonNumbers[] = {"NaN", "Infinity", "-Infinity"};
constexpr std::string_view kBlanks = " \t\r\n", kBeforeValue = ":[,", kBehindValue = ",]}";

// The parser's own words without its "[json.exception...] parse error at line 1, column 2: " in front.
std::string reason(const Json::parse_error& error) {
  const std::string text = error.what();
  const std::size_t start = text.find(": ");
  return start == std::string::npos ? text : text.substr(start + 2);
}

// "<origin>:<line>:<column>" of the byte `at`.
std::string place_of(std::string_view text, std::size_t at, const std::string& origin) {
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("{}:{}:{}", origin, line, before.size() - line_start + 1);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& origin, int deepest) {
  std::vector<std::unordered_set<std::string>> keys(static_cast<std::size_t>(deepest) + 1);
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= deepest) input_error("{}: JSON nested more than {} deep", origin, deepest);
      keys[static_cast<std::size_t>(depth) + 1].clear();
    }
    if (event == Event::key) {
      const std::string& key = value.get_ref<const std::string&>();
      if (!keys[static_cast<std::size_t>(depth)].insert(key).second)
        input_error("{}: duplicate key '{}' in the JSON text", origin, key);
    }
    return true;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), check);
    // The parser takes a NUL byte for the end of the text and does not look at what stands behind it.
    if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
      input_error("{}: not valid JSON: a NUL byte behind the value", place_of(text, nul, origin));
    return json;
  } catch (const Json::parse_error& error) {
    const std::size_t at = error.byte == 0 ? 0 : std::min(error.byte - 1, text.size());
    input_error("{}: not valid JSON: {}", place_of(text, at, origin), reason(error));
  } catch (const Json::out_of_range& error) {
    input_error("{}: not valid JSON: {}", origin, error.what());
  }
}

Json parse_python_json(std::string_view text, const std::string& origin) {
  // Only what is no JSON otherwise: outside texts, where a value stands.
  std::string quoted;
  bool is_text = false, is_value = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto word = std::ranges::find_if(kPythonNumbers, [&](std::string_view one) {
      if (!rest.starts_with(one)) return false;
      const std::size_t next = rest.find_first_not_of(kBlanks, one.size());
      return (next == std::string_view::npos || kBehindValue.find(rest[next]) != std::string_view::npos);
    });
    if (!is_text && is_value && word != std::end(kPythonNumbers)) {
      quoted += fmt::format("\"{}\"", *word);
      at += word->size();
      is_value = false;
      continue;
    }
    const std::size_t length = is_text && text[at] == '\\' && rest.size() > 1 ? 2 : 1;
    if (text[at] == '"') is_text = !is_text;
    if (kBlanks.find(text[at]) == std::string_view::npos)
      is_value = kBeforeValue.find(text[at]) != std::string_view::npos;
    quoted += rest.substr(0, length);
    at += length;
  }
  return parse_json(quoted.size() == text.size() ? text : quoted, origin);
}

std::string json_kind(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_number_float()) return "the number " + value.dump();
  if (value.is_number()) return "the integer " + value.dump();
  if (value.is_boolean()) return value.dump();
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  const std::string& text = value.get_ref<const std::string&>();
  return "the text '" + excerpt(text) + "'";
}

}  // namespace oscsim
