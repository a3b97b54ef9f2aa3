// SPDX-License-Identifier: Apache-2.0
// What was built: for --version and for the provenance of results.
#pragma once

#include <string>

namespace oscsim {

std::string version();   // "0.1.0"
std::string git_hash();  // 12 digits, "-dirty" behind them with changes that are not committed; or "unknown"

}  // namespace oscsim
