// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/numerics/matrix.h"
#include "sim/run/result.h"

namespace oscsim {

// Compares an FP32 output with the FP32 product of the unquantised operands; both [m, n]. Sums are in double, by rows
// in a fixed order, so that the figures do not depend on threads.
Accuracy measure_accuracy(const numerics::Matrix& output, const numerics::Matrix& exact);

}  // namespace oscsim
