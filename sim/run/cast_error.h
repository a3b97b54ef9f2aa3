// SPDX-License-Identifier: Apache-2.0
// What a cast does to a matrix.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "models/numerics/quantise.h"

namespace oscsim {

struct CastError {
  double sqnr_db = 0;  // infinite when there is no error; NaN when a value is NaN
  double max_abs_error = 0;
  double mean_abs_error = 0;
  // Elements at the end of their grid whose error is more than half the grid's last step: they would have been rounded
  // to the next code if there were one. And finite elements that the cast made infinite.
  std::int64_t clipped = 0;
  std::int64_t zeroed = 0;  // elements that are zero only after the cast
};

// Calls `take` with the decoded values, in order. Sums are in double, by rows in a fixed order, so that the figures do
// not depend on threads.
CastError measure_cast(numerics::MatrixView original, const numerics::QuantisedMatrix& cast,
                       const std::function<void(std::span<const float>)>& take);

}  // namespace oscsim
