// SPDX-License-Identifier: Apache-2.0
// The instruction sets that the fast cast is compiled for, visible so that tests run each of them.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "models/numerics/quantise.h"

namespace oscsim::numerics {

struct CastJob;

using CastRows = void (*)(const CastJob& job, std::int64_t first, std::int64_t last);

struct CastTarget {
  std::string_view name;
  std::vector<CastRows> cast_rows;  // in the order of FormatId
};

// Those that this CPU runs, best first; the last is portable.
std::span<const CastTarget> cast_targets();

QuantisedMatrix quantise_with(const CastTarget& target, FormatId format, MatrixView matrix, const CastOptions& options);

}  // namespace oscsim::numerics
