// SPDX-License-Identifier: Apache-2.0
// Products of operands of small integers, in any combination: the kernels of integer_kernel.h as a main path.
#pragma once

#include <memory>

#include "models/numerics/kernels/main_path.h"

namespace oscsim::numerics::kernels {

// Null where an operand has no small integers, or where its scales are so extreme that the kernels are not exact.
std::unique_ptr<const MainPath> make_integer_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel);

}  // namespace oscsim::numerics::kernels
