// SPDX-License-Identifier: Apache-2.0
// The rows of a GEMM that are compared with something slower than the engine: every row of a small one, a sample of
// complete rows of a large one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/numerics/matrix.h"

namespace oscsim {

// Up to this many multiply-accumulates every row is compared.
inline constexpr std::int64_t kComparedMacs = 1'000'000'000;

// Rows out of [0, rows), ascending: all of them up to kComparedMacs multiply-accumulates. Beyond, as many as make
// kComparedMacs but at least `least`: one out of each of equal stretches of rows, drawn from the seed and the name.
std::vector<std::int64_t> compared_rows(std::uint64_t seed, const std::string& name, std::int64_t rows,
                                        std::int64_t macs_per_row, std::int64_t least = 1);

// A copy of these rows of `matrix`, in this order.
numerics::Matrix rows_of(numerics::MatrixView matrix, const std::vector<std::int64_t>& rows);

}  // namespace oscsim
