// SPDX-License-Identifier: Apache-2.0
// What the portable kernels of blocks share.
#pragma once

#include <cstdint>
#include <cstring>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels::portable {

// sums[col] += sum over [first, first + count) of a[i] * b[i][col]. Eight 16-byte vectors of columns at a time stay in
// registers; spelt out, because GCC 12 otherwise vectorises along k and shuffles.
template <class Value>
void add_products(const Value* a, const Value (*b)[kPanelCols], std::int64_t first, std::int64_t count, Value* sums) {
  using Vector [[gnu::vector_size(16)]] = Value;
  constexpr int kVectors = 8;
  constexpr std::int64_t kWidth = kVectors * sizeof(Vector) / sizeof(Value);
  for (std::int64_t c0 = 0; c0 < kPanelCols; c0 += kWidth) {
    Vector part[kVectors];
    std::memcpy(part, sums + c0, sizeof part);
    for (std::int64_t i = first; i < first + count; ++i) {
      Vector columns[kVectors];
      std::memcpy(columns, b[i] + c0, sizeof columns);
      for (int v = 0; v < kVectors; ++v) part[v] += a[i] * columns[v];
    }
    std::memcpy(sums + c0, part, sizeof part);
  }
}

}  // namespace oscsim::numerics::kernels::portable
