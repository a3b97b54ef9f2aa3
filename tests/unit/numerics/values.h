// SPDX-License-Identifier: Apache-2.0
// What most tests of the numbers start from.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "models/base/error.h"
#include "models/numerics/format.h"
#include "models/numerics/matrix.h"

namespace oscsim::numerics {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

inline Matrix matrix_of(const std::vector<std::vector<float>>& rows) {
  Matrix matrix(Dtype::fp32, std::ssize(rows), std::ssize(rows.front()));
  for (std::int64_t row = 0; row < matrix.rows(); ++row)
    std::ranges::copy(rows[static_cast<std::size_t>(row)], matrix.row_f32(row).begin());
  return matrix;
}

inline std::string error_of(auto&& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

inline std::vector<FormatId> all_formats() {
  std::vector<FormatId> ids;
  for (const FormatInfo& info : formats()) ids.push_back(info.id);
  return ids;
}

}  // namespace oscsim::numerics
