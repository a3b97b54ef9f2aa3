// SPDX-License-Identifier: Apache-2.0
// Recomputation of a GEMM by the scalar reference: casts and outputs.
#pragma once

#include "models/schemes/operands.h"
#include "sim/run/result.h"

namespace oscsim {

// reference::quantise over blocks of rows in parallel.
numerics::QuantisedMatrix reference_cast(numerics::FormatId format, numerics::MatrixView matrix,
                                         const numerics::CastOptions& options);

// Counts differences of a fast cast from the reference's into `verification`.
void verify_operand(const PreparedOperand& fast, const PreparedOperand& reference, const char* which,
                    Verification& verification);

// Recomputes outputs from the operands: those of compared_rows (row_sample.h) for the GEMM's name.
void verify_outputs(const numerics::GemmOperands& operands, const numerics::Matrix& output, std::uint64_t seed,
                    const std::string& name, Verification& verification);

}  // namespace oscsim
