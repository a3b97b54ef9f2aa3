// SPDX-License-Identifier: Apache-2.0
// Reads YAML text into a Node tree, more strictly than YAML asks for: duplicate keys, tags, merge keys, several
// documents, tabs as indentation and anything but UTF-8 are errors with file:line:column. Aliases are resolved.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "sim/config/node.h"

namespace oscsim::config {

inline constexpr std::size_t kLargestFile = std::size_t{64} << 20;  // bytes
inline constexpr int kDeepestNesting = 64;                          // sequences and maps within one another
inline constexpr std::size_t kMostNodes = 2'000'000;                // after aliases are resolved

// Faults that leave a readable tree (a duplicate key, a tag) go to `problems`, the first value of a key stays. Faults
// that do not (no such file, invalid YAML, an empty file) throw InputError with everything in `problems`.
Node load_file(const std::filesystem::path& path, Problems& problems);

// As load_file for text in memory. `origin` names it in messages.
Node load_text(std::string text, const std::string& origin, Problems& problems);

// One YAML value on a single line, as given on the command line. All its nodes have the same place.
Node load_value(const std::string& text, const Place& place, Problems& problems);

}  // namespace oscsim::config
