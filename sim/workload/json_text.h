// SPDX-License-Identifier: Apache-2.0
// JSON of others (config.json, safetensors headers), read strictly: no duplicate keys, bounded nesting, nothing but
// blanks behind the value.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace oscsim {

// InputError "<origin>:<line>:<column>: not valid JSON: ..." for malformed text and for anything behind the value, a
// NUL byte included; "<origin>: ..." for a duplicate key or nesting deeper than `deepest`.
nlohmann::json parse_json(std::string_view text, const std::string& origin, int deepest = 64);

// As parse_json, and NaN, Infinity and -Infinity without quotes, which Python writes: they become texts of that name.
nlohmann::json parse_python_json(std::string_view text, const std::string& origin);

// "a number", "a string", ...
std::string json_kind(const nlohmann::json& value);

}  // namespace oscsim
