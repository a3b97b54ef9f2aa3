// SPDX-License-Identifier: Apache-2.0
#include "sim/run/result.h"

#include <algorithm>

namespace oscsim {

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
