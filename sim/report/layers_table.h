// SPDX-License-Identifier: Apache-2.0
// The report's table of layers: errors of all GEMMs of a layer, isolated and chained.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "sim/run/result.h"

namespace oscsim {

// Decibels; "exact" for an infinity, "-" where nothing was measured.
std::string sqnr_text(const std::optional<double>& sqnr_db);

// `names` head the columns of scheme and baseline. Empty when the run has no errors of layers.
std::string layers_table(const RunResult& result, const std::array<std::string, 2>& names);

}  // namespace oscsim
