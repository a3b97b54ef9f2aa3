// SPDX-License-Identifier: Apache-2.0
// JSON as text that every reader takes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace oscsim::config {

// Names of files need not be UTF-8, JSON must be: what is not becomes U+FFFD. Numbers that are not finite become null.
// `indent` below 0: on one line.
template <class Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace oscsim::config
