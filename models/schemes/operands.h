// SPDX-License-Identifier: Apache-2.0
// The operands that a plan's passes multiply, made from the unquantised tensors.
#pragma once

#include <functional>
#include <optional>

#include "models/numerics/gemm.h"
#include "models/schemes/channel_table.h"
#include "models/schemes/plan.h"

namespace oscsim {

// One side of a GEMM, ready for its passes.
struct PreparedOperand {
  numerics::QuantisedMatrix main;                   // [rows, k]
  std::optional<numerics::QuantisedMatrix> branch;  // [rows, groups]
};

// The cast to use: numerics::quantise, or a reference to check it against.
using Cast =
    std::function<numerics::QuantisedMatrix(numerics::FormatId, numerics::MatrixView, const numerics::CastOptions&)>;

// Gathers the table's channels of X [m, k] at full value, zeroes them in X, and only then casts X: the block maximum
// must not see the outliers (arXiv 2604.12782). `table` is needed when the plan gathers; groups with -1 give a zero
// column.
PreparedOperand prepare_activation(const GemmPlan& plan, numerics::MatrixView x, const ChannelTable* table,
                                   const Cast& cast = numerics::quantise);

// Casts W [n, k]; the branch operand holds W's original values at the table's channels.
PreparedOperand prepare_weight(const GemmPlan& plan, numerics::MatrixView w, const ChannelTable* table,
                               const Cast& cast = numerics::quantise);

numerics::GemmOperands operands_of(const GemmPlan& plan, const PreparedOperand& activation,
                                   const PreparedOperand& weight);

}  // namespace oscsim
