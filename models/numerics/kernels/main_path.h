// SPDX-License-Identifier: Apache-2.0
// The main path of a product, over strips of the output: one class for each family of kernels, chosen by formats, CPU
// and the range of the scales. All give the bits of the scalar reference.
#pragma once

#include <memory>

#include "models/numerics/kernels/product.h"

namespace oscsim::numerics::kernels {

class MainPath {
 public:
  virtual ~MainPath() = default;
  // The strip's accumulators [panel][row][32] after all of K, before the outer scales; NaN where a block says so.
  // Columns beyond the output's are undefined. Thread-safe.
  virtual void accumulate(const Strip& strip, float* acc) const = 0;
};

// Packs what it needs of the operands and keeps no reference to them.
std::unique_ptr<const MainPath> make_main_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel);

}  // namespace oscsim::numerics::kernels
