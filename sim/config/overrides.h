// SPDX-License-Identifier: Apache-2.0
// `--set machine.core.gather.lanes=32`: replaces one value of a document before it is read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/node.h"

namespace oscsim::config {

// One --set option. The value is one YAML value on one line: a scalar, [a, b] or {key: value}.
struct Override {
  std::string document;           // "machine"
  std::vector<std::string> keys;  // core, gather, lanes
  Node value;
  Place place;  // "--set machine.core.gather.lanes=32"
};

// Reads `settings`, each "document.key...=value" with one of `documents` in front. Everything malformed goes to
// `problems` and is left out of the result.
std::vector<Override> parse_overrides(std::span<const std::string> settings, std::span<const std::string> documents,
                                      Problems& problems);

// `root` with those of `overrides` that address `document`, in order; later ones win. Sections that are absent are
// created. A path through a scalar or a sequence goes to `problems`.
Node with_overrides(const Node& root, std::string_view document, std::span<const Override> overrides,
                    Problems& problems);

}  // namespace oscsim::config
