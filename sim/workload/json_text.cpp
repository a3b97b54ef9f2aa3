// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/json_text.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "models/base/error.h"

namespace oscsim {
namespace {

using Json = nlohmann::json;

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

std::string json_kind(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_number_float()) return "the number " + value.dump();
  if (value.is_number()) return "the integer " + value.dump();
  if (value.is_boolean()) return value.dump();
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  const std::string& text = value.get_ref<const std::string&>();
  return "the text '" + (text.size() > 60 ? text.substr(0, 60) + "..." : text) + "'";
}

}  // namespace oscsim
