// SPDX-License-Identifier: Apache-2.0
// The result file, schema 1.
//   cycles         core clock cycles of the whole GEMM, all cores; cycle_stack sums exactly to them
//   bytes          memory traffic of one GEMM
//   repeat         how often the GEMM (or the shared work) counts in "total"
//   shared         work on an activation that several GEMMs read; in "total" once. A side without any is null
//   energy_uj      null: energy is not modelled
//   sqnr_db        against the FP32 product of the unquantised operands. JSON has no infinity and no NaN: they are
//   null;
//                  then max_abs_error is 0 for an exact output, null for an output with a NaN
//   output_sha256  of the little-endian FP32 output, row-major. Null, like the two above, without functional outputs
//   verification   null unless asked for
#pragma once

#include <string>

#include "sim/run/result.h"

namespace oscsim {

// Ends with a newline. The same result gives the same text.
std::string result_json(const RunResult& result);

}  // namespace oscsim
