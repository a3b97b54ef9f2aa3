// SPDX-License-Identifier: Apache-2.0
// Operands of one row from numbers, and their product by the reference and by every kernel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {

using Values = std::vector<double>;

// One row with these elements, which the format holds exactly; scales are 1 (the zero byte of E8M0 is 2^-127).
inline QuantisedMatrix row_of(FormatId id, const Values& values) {
  const FormatInfo& info = format(id);
  QuantisedMatrix row = empty_quantised(id, 1, static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t code = encode(layout_of(info.element), values[i], ElementRounding::nearest_even);
    if (info.element_bits == 4)
      row.codes[i / 2] = static_cast<std::uint8_t>(row.codes[i / 2] | code << i % 2 * 4);
    else if (info.element_bits == 8)
      row.codes[i] = static_cast<std::uint8_t>(code);
    else
      for (std::size_t byte = 0; byte < 2; ++byte)
        row.codes[2 * i + byte] = static_cast<std::uint8_t>(code >> 8 * byte);
  }
  const std::uint32_t one =
      info.block_scale == BlockScale::e4m3 ? encode(kE4m3, 1, ElementRounding::nearest_even) : std::uint32_t{kE8m0Bias};
  std::ranges::fill(row.block_scale, static_cast<std::uint8_t>(one));
  std::ranges::fill(row.outer_scale, 1.0F);
  return row;
}

inline float engine_output(const GemmOperands& operands, Kernel kernel) {
  float out = -1;
  GemmEngine(operands, kernel).compute({0, 0, 1, 1}, {&out, 1, 1});
  return out;
}

// The output of operands of one row, the same by the reference and by every kernel.
inline float output_of(const GemmOperands& operands) {
  const float expected = reference::output(operands, 0, 0);
  for (const Kernel kernel : available_kernels())
    EXPECT_EQ(bits_of(engine_output(operands, kernel)), bits_of(expected))
        << text_of(operands.accumulator) << " " << name_of(kernel);
  return expected;
}

}  // namespace oscsim::numerics
