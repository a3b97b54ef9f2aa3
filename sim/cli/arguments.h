// SPDX-License-Identifier: Apache-2.0
// Values of options, read as strictly as the files: messages name the option, what was found and what is allowed.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "models/base/error.h"
#include "models/base/schema.h"
#include "sim/config/open_files.h"

namespace oscsim {

inline constexpr std::int64_t kMostThreads = 1024;  // of --threads; assumed

std::int64_t integer_argument(const std::string& option, const std::string& text, std::int64_t min,
                              std::int64_t max = std::numeric_limits<std::int64_t>::max());
double number_argument(const std::string& option, const std::string& text, double min, double max);

template <NamedEnum Enum>
Enum choice_argument(const std::string& option, const std::string& text) {
  if (const auto value = enum_from<Enum>(text)) return *value;
  const std::vector<std::string> names = names_of<Enum>();
  input_error("{}: unknown '{}'\n  allowed: {}{}", option, text, joined(names), did_you_mean(text, names));
}

// Every command claims all its output files at once, before it reads anything (sim/config/open_files.h). InputError
// also for a file that belongs to the folder of a sweep.
[[nodiscard]] config::OutputClaims claim_outputs(const config::OutputClaims::Outputs& outputs);

}  // namespace oscsim
