// SPDX-License-Identifier: Apache-2.0
// The main path for pairs of formats without a kernel of their own.
#pragma once

#include <memory>

#include "models/numerics/kernels/main_path.h"

namespace oscsim::numerics::kernels {

// Null where elements times their scales leave FP32's range beside a 16-bit operand, and where no operand has blocks or
// 16 bits.
std::unique_ptr<const MainPath> make_wide_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel);

}  // namespace oscsim::numerics::kernels
