// SPDX-License-Identifier: Apache-2.0
#include "sim/config/describe.h"

#include "sim/config/json_output.h"

namespace oscsim::config {

std::string DescribeVisitor::default_text(const nlohmann::ordered_json& json) {
  if (json.is_null()) return "none";
  if (json.is_object()) return "present";
  if (json.is_string()) return json.get<std::string>().empty() ? "''" : json.get<std::string>();
  return json_text(json);
}

}  // namespace oscsim::config
