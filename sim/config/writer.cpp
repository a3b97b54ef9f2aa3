// SPDX-License-Identifier: Apache-2.0
#include "sim/config/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "sim/config/json_output.h"

namespace oscsim::config {
namespace {

using Json = nlohmann::ordered_json;

// True for texts that mean themselves without quotes: a letter or a digit first, harmless characters, no word that YAML
// readers take for a truth value or null.
bool is_plain(const std::string& text) {
  static constexpr std::array<std::string_view, 9> kWords = {"true", "false", "yes", "no", "on",
                                                             "off",  "null",  "y",   "n"};
  if (text.empty() || !std::isalnum(static_cast<unsigned char>(text[0]))) return false;
  const auto is_harmless = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-+./").find(c) != std::string_view::npos;
  };
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool is_number = std::isdigit(static_cast<unsigned char>(text[0])) &&
                         text.find_first_not_of("0123456789._-+eExX") == std::string::npos;
  return std::ranges::all_of(text, is_harmless) && std::ranges::find(kWords, lower) == kWords.end() && !is_number;
}

// On one line: scalars, and sequences of scalars.
std::string flow_text(const Json& json) {
  if (json.is_string()) {
    const std::string& text = json.get_ref<const std::string&>();
    return is_plain(text) ? text : json_text(json);
  }
  if (!json.is_array()) return json_text(json);
  std::vector<std::string> elements;
  for (const Json& element : json) elements.push_back(flow_text(element));
  return fmt::format("[{}]", joined(elements));
}

bool is_block(const Json& json) {
  if (json.is_array()) return std::ranges::any_of(json, [](const Json& element) { return element.is_structured(); });
  return json.is_object() && !json.empty();
}

void emit(const Json& json, std::size_t indent, std::string& out) {
  bool is_first = true;
  const auto start_line = [&] {
    // The first key of a list element stands behind its dash.
    if (!is_first || out.empty() || out.back() == '\n') out.append(indent, ' ');
    is_first = false;
  };
  if (json.is_array()) {
    for (const Json& element : json) {
      start_line();
      out += "- ";
      if (is_block(element))
        emit(element, indent + 2, out);
      else
        out += flow_text(element) + "\n";
    }
    return;
  }
  for (const auto& [key, value] : json.items()) {
    start_line();
    out += is_plain(key) ? key : json_text(Json(key));
    out += ":";
    if (is_block(value)) {
      out += "\n";
      emit(value, indent + 2, out);
    } else {
      out += fmt::format(" {}\n", flow_text(value));
    }
  }
}

}  // namespace

std::string json_to_yaml(const Json& json) {
  std::string text;
  if (is_block(json))
    emit(json, 0, text);
  else
    text = flow_text(json) + "\n";
  return text;
}

}  // namespace oscsim::config
