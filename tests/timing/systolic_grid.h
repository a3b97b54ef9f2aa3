// SPDX-License-Identifier: Apache-2.0
// A systolic array cycle by cycle: a grid of registers through which operands and sums shift, with nothing of the
// closed forms in it. Computes a product and notes when what happened; two values for one register or port, or operands
// that miss each other, end in a Hazard.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "models/units/systolic_timing.h"

namespace oscsim::units::grid {

struct Hazard : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a processing element multiplies in a cycle: k0 elements of the reduction, zeros behind them.
using Element = std::array<int, 4>;
using Operand = std::vector<std::vector<Element>>;  // [row][step along the reduction]
using Product = std::vector<std::vector<std::int64_t>>;

struct Run {
  Product product;
  std::int64_t last_operand = 0;                 // cycle in which the last operand entered
  std::int64_t last_output = 0;                  // cycle in which the last output left
  std::int64_t last_sum = 0;                     // output stationary: in which the last one was computed
  std::int64_t fill = 0, stream = 0, drain = 0;  // of the first fold
};

inline std::int64_t dot(const Element& a, const Element& b) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::int64_t{a[i]} * b[i];
  return sum;
}

// Y = A B^T. Folds start `period` cycles apart; without it each starts when the last output of the one before has left.
Run multiply(const SystolicShape& shape, const Operand& a, const Operand& b, std::optional<std::int64_t> period);

}  // namespace oscsim::units::grid
