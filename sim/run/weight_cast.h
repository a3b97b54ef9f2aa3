// SPDX-License-Identifier: Apache-2.0
// Weights of quantised checkpoints as operands: their codes and scales enter a GEMM as they are where the scheme's
// format can hold them.
#pragma once

#include <string>

#include "models/schemes/operands.h"
#include "sim/workload/tensors.h"

namespace oscsim {

// `cast`, but for the weight itself its codes and scales; where the plan zeroes channels, with those codes zero. Does
// not outlive `weight`.
Cast weight_cast(const GemmPlan& plan, const Weight& weight, const Cast& cast);

// "NVFP4, as stored" or "NVFP4, decoded and cast to fp8"; empty for a weight that is not quantised.
std::string weight_words(const GemmPlan& plan, const Weight& weight);

}  // namespace oscsim
