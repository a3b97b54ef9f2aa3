// SPDX-License-Identifier: Apache-2.0
#include "sim/run/result.h"

#include <algorithm>

namespace oscsim {

namespace {

// Time with the operations, whether or not `total` has them already.
double whole_us(const SideTotal& total, const SideTotal& operations, bool are_left_out) {
  return total.time_us + (are_left_out ? operations.time_us : 0);
}

}  // namespace

double RunResult::whole_speedup() const {
  return whole_us(baseline_total, baseline_operations, left_out > 0) /
         whole_us(scheme_total, scheme_operations, left_out > 0);
}

double RunResult::scheme_gemm_share() const {
  return 1 - scheme_operations.time_us / whole_us(scheme_total, scheme_operations, left_out > 0);
}

double RunResult::baseline_gemm_share() const {
  return 1 - baseline_operations.time_us / whole_us(baseline_total, baseline_operations, left_out > 0);
}

std::int64_t RunResult::differing() const {
  std::int64_t count = 0;
  for (const GemmResult& gemm : gemms)
    for (const SideResult* side : {&gemm.scheme, &gemm.baseline})
      if (side->verification) count += side->verification->differing;
  return count;
}

bool RunResult::verified() const {
  return !gemms.empty() && std::ranges::all_of(gemms, [](const GemmResult& gemm) {
    return gemm.scheme.verification && gemm.baseline.verification;
  }) && differing() == 0;
}

}  // namespace oscsim
