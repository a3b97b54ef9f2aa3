// SPDX-License-Identifier: Apache-2.0
// Recomputation of a GEMM by the scalar reference: casts and outputs.
#pragma once

#include "models/schemes/operands.h"
#include "sim/run/result.h"

namespace oscsim {

// Up to this many multiply-accumulates every output is recomputed; beyond, complete rows of that many in all.
inline constexpr std::int64_t kVerifiedMacs = 1'000'000'000;

// reference::quantise over blocks of rows in parallel.
numerics::QuantisedMatrix reference_cast(numerics::FormatId format, numerics::MatrixView matrix,
                                         const numerics::CastOptions& options);

// Counts differences of a fast cast from the reference's into `verification`.
void verify_operand(const PreparedOperand& fast, const PreparedOperand& reference, const char* which,
                    Verification& verification);

// Recomputes outputs from the operands; rows are drawn from `seed` and the GEMM's name when there are too many.
void verify_outputs(const numerics::GemmOperands& operands, const numerics::Matrix& output, std::uint64_t seed,
                    const std::string& name, Verification& verification);

}  // namespace oscsim
