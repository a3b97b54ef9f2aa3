// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/arguments.h"

#include "sim/config/units.h"
#include "sim/sweep/folder.h"

namespace oscsim {
namespace {

// Files of sweeps are written by sweeps alone; rows that are gone would be run again for hours.
void refuse_files_of_sweeps(const config::OutputClaims::Outputs& outputs) {
  for (const auto& [option, name] : outputs) {
    if (name.empty()) continue;
    if (const auto folder = sweep::folder_of_file(name))
      input_error("{} {}: is a file of the sweep in {}; take another name", option, name, folder->string());
  }
}

}  // namespace

std::int64_t integer_argument(const std::string& option, const std::string& text, std::int64_t min, std::int64_t max) {
  const auto [value, problem] = config::parse_integer(text);
  if (!value) input_error("{}: {}", option, problem);
  if (*value >= min && *value <= max) return *value;
  if (max == std::numeric_limits<std::int64_t>::max()) input_error("{}: {}; allowed: at least {}", option, *value, min);
  input_error("{}: {}; allowed: {} to {}", option, *value, min, max);
}

double number_argument(const std::string& option, const std::string& text, double min, double max) {
  const auto [value, problem] = config::parse_number(text);
  if (!value) input_error("{}: {}", option, problem);
  if (*value < min || *value > max) input_error("{}: {}; allowed: {} to {}", option, *value, min, max);
  return *value;
}

config::OutputClaims claim_outputs(const config::OutputClaims::Outputs& outputs) {
  refuse_files_of_sweeps(outputs);
  return config::OutputClaims(outputs);
}

}  // namespace oscsim
