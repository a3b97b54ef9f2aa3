// SPDX-License-Identifier: Apache-2.0
// Matrices as activations are: most numbers small, some channels large.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "models/numerics/gemm.h"

namespace oscsim::numerics {

struct Shape {
  std::int64_t m, n, k;
};

// Normal numbers with an outlier channel every 32, so that blocks have small and large elements; row magnitudes differ.
inline Matrix random_matrix(std::int64_t rows, std::int64_t k, unsigned seed, float outlier = 50.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Matrix matrix(Dtype::fp32, rows, k);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float magnitude = std::ldexp(1.0F, static_cast<int>(generator() % 8));
    for (std::int64_t i = 0; i < k; ++i)
      matrix.row_f32(row)[static_cast<std::size_t>(i)] = normal(generator) * magnitude * (i % 32 == 5 ? outlier : 1.0F);
  }
  return matrix;
}

inline QuantisedMatrix random_operand(FormatId format, std::int64_t rows, std::int64_t k, unsigned seed) {
  return quantise(format, random_matrix(rows, k, seed).view(), {});
}

}  // namespace oscsim::numerics
