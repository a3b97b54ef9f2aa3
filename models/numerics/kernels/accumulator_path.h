// SPDX-License-Identifier: Apache-2.0
// The main path under the accumulators `exact` and `fused`: FP64, FP32 and INT32 where the ranges of the operands'
// values show that they hold every sum exactly, the scalar reference elsewhere.
#pragma once

#include <memory>
#include <span>

#include "models/numerics/kernels/main_path.h"
#include "models/numerics/terms.h"

namespace oscsim::numerics::kernels {

// The pairs one after the other in the same accumulator, as in reference::accumulated.
std::unique_ptr<const MainPath> make_accumulator_path(const Accumulator& accumulator,
                                                      std::span<const OperandPair> pairs, Kernel kernel);

}  // namespace oscsim::numerics::kernels
