// SPDX-License-Identifier: Apache-2.0
// The result file, schema 1.
//   cycles         core clock cycles of the whole GEMM, all cores; cycle_stack sums exactly to them
//   bytes          memory traffic of one GEMM
//   repeat         how often the GEMM (or the shared work) counts in "total"
//   operations     what stands between the GEMMs, in the order of the trace; in "total". "op" is the kind, or "cast":
//                  attention's operands to an 8-bit format. A side without any is null
//   whole          with the operations that --gemms-only leaves out: speed-up, and the share of GEMMs and shared work
//   shared         work on an activation that several GEMMs read; in "total" once. A side without any is null
//   layers         errors over all GEMMs of a layer; empty without functional outputs
//   energy_uj      sum of energy_parts_uj, one per component; energy_assumed_share is the part of it that rests on
//                  assumed numbers. area_mm2 likewise. models/cost says what they are made of
//   sqnr_db        against the FP32 product of the unquantised operands. JSON has no infinity and no NaN: they are
//                  null; then max_abs_error is 0 for an exact output, null for an output with a NaN
//   output_sha256  of the little-endian FP32 output, row-major. Null, like the two above, without functional outputs
//   chained        the same errors with --chain, of the GEMM on what the quantised ones before it gave; null without
//   chain_input    how near the unquantised chain's input is to the captured one; null without --chain
//   verification   null unless asked for
#pragma once

#include <string>

#include "sim/run/result.h"

namespace oscsim {

// Ends with a newline. The same result gives the same text.
std::string result_json(const RunResult& result);

}  // namespace oscsim
