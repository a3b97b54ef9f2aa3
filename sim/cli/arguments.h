// SPDX-License-Identifier: Apache-2.0
// Values of options, read as strictly as the files: messages name the option, what was found and what is allowed.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "models/base/error.h"
#include "models/base/schema.h"

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

// InputError for output files that could not be written in the end, before any work is done. Pairs of option and path;
// an empty path is an option that was not given.
void require_writable(const std::vector<std::pair<std::string, std::string>>& outputs);

// InputError when an output, of the same pairs, is one of the files that are read, under whatever name.
void require_other_files(const std::vector<std::string>& inputs,
                         const std::vector<std::pair<std::string, std::string>>& outputs);

}  // namespace oscsim
