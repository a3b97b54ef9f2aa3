// SPDX-License-Identifier: Apache-2.0
// What one GEMM becomes under a scheme: passes over its operands. The machine and the mapper see only this.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/schemes/scheme.h"

namespace oscsim {

// Work on an activation, shared by every GEMM that reads it: gather the outlier channels (and zero them), then cast.
struct ActivationPlan {
  numerics::FormatId format{};         // of the main operand
  std::int64_t gather_group = 0;       // 0: nothing is gathered
  numerics::FormatId branch_format{};  // of the gathered operand, when gather_group > 0

  bool quantises() const { return numerics::format(format).element_bits < 16; }
  bool any() const { return quantises() || gather_group > 0; }
  friend bool operator==(const ActivationPlan&, const ActivationPlan&) = default;
};

// One GEMM pass over [m, k] x [n, k] operands of one format.
struct MatmulPass {
  numerics::FormatId format{};
  std::int64_t k = 0;
  bool branch = false;  // the 16-bit outlier branch

  int bits() const { return numerics::format(format).element_bits; }
  friend bool operator==(const MatmulPass&, const MatmulPass&) = default;
};

struct GemmPlan {
  std::int64_t m = 0, n = 0;
  ActivationPlan activation;
  std::vector<MatmulPass> passes;  // in the order of accumulation; the first is the main path
  numerics::Join join = numerics::Join::add;
  JoinPlace join_place = JoinPlace::l0c;
  numerics::CastOptions cast;
  double alpha = 0;  // calibration of the channel table
  bool zero_weight_rows = false;

  friend bool operator==(const GemmPlan& a, const GemmPlan& b) {
    return a.m == b.m && a.n == b.n && a.activation == b.activation && a.passes == b.passes && a.join == b.join &&
           a.join_place == b.join_place;
  }
};

// `decided` replaces the scheme's fallback positions where the scheme has an outlier branch; positions kept in 16 bit
// stay so. InputError when the scheme cannot treat the shape.
GemmPlan plan_gemm(const SchemeParams& scheme, Position position, std::int64_t m, std::int64_t n, std::int64_t k,
                   std::optional<Treatment> decided = std::nullopt);

}  // namespace oscsim
