// SPDX-License-Identifier: Apache-2.0
// The report for people: GEMMs, shared work, total, where the cycles went, memory traffic, verification.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/run/result.h"

namespace oscsim {

// Plain ASCII; its tables fit in kReportWidth columns.
std::string result_table(const RunResult& result);

// Shares of the sum in tenths of a percent that add up to 1000 (largest remainders; the first among equals). All zero
// when the sum is.
std::vector<std::int64_t> shares_in_tenths(const std::vector<std::int64_t>& parts);

}  // namespace oscsim
