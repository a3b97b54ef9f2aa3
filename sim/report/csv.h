// SPDX-License-Identifier: Apache-2.0
// The main columns of a result, one line for each GEMM, operation and piece of shared work (quoting as in RFC 4180,
// lines end with \n). Units stand in the column names. An empty field: that side has no such value; inf and nan are
// possible.
#pragma once

#include <string>

#include "sim/run/result.h"

namespace oscsim {

std::string result_csv(const RunResult& result);

}  // namespace oscsim
