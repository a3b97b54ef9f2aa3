// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/terms.h"

#include <algorithm>
#include <cmath>

#include "models/numerics/block.h"
#include "models/numerics/element.h"

namespace oscsim::numerics {
namespace {

int least_exponent(const FloatLayout& layout) {
  return 1 - layout.bias;
}

Factor factor_of(double value, int least) {
  if (!std::isfinite(value)) return {value, 0};
  if (value == 0) return {value, kZeroExponent};
  return {value, exponent_of(value, least)};
}

Factor factor_of(const FloatLayout& layout, std::uint32_t code) {
  return factor_of(static_cast<double>(decode(layout, code)), least_exponent(layout));
}

}  // namespace

int exponent_of(double value, int least) {
  return std::max(std::ilogb(value), least);
}

Factor scale_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const FormatInfo& info = format(matrix.format);
  if (info.block_scale == BlockScale::none) return {};
  const std::uint8_t* scale = matrix.scale_of(row, col / info.block);
  switch (info.block_scale) {
    case BlockScale::none:
    case BlockScale::signed_e5m2:
      return {};
    case BlockScale::e8m0:
      return factor_of(decode_e8m0(*scale), kNoLeast);
    case BlockScale::e4m3:
      return factor_of(kE4m3, *scale);
    case BlockScale::hif4:
      return factor_of(decode_e6m2(*scale), kNoLeast);
    case BlockScale::bf16_zero:
      return factor_of(kBf16, static_cast<std::uint32_t>(scale[0] | scale[1] << 8));
  }
  return {};
}

Factor element_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const FormatInfo& info = format(matrix.format);
  const std::uint32_t code = matrix.code(row, col);
  const std::uint8_t* scale = info.block_scale == BlockScale::none ? nullptr : matrix.scale_of(row, col / info.block);
  if (info.element == ElementType::int4 || info.element == ElementType::int8) {
    auto integer = static_cast<int>(info.element == ElementType::int8 ? static_cast<std::int8_t>(code)
                                                                      : static_cast<int>(code ^ 8) - 8);
    if (info.block_scale == BlockScale::bf16_zero) integer = static_cast<int>(code) - scale[2];
    const double unit = info.block_scale == BlockScale::e8m0 ? 0x1p-6 : 1;  // MXINT8: 1/64
    return factor_of(integer * unit, kNoLeast);
  }
  Factor element = factor_of(layout_of(info.element), code);
  if (info.block_scale == BlockScale::hif4) {
    const std::int64_t index = col % info.block;
    const int micro = (scale[1] >> index / 8 & 1) + ((scale[2] | scale[3] << 8) >> index / 4 & 1);
    element.value *= 1 << micro;
    element.exponent += micro;
  } else if (info.block_scale == BlockScale::signed_e5m2) {
    // A NaN scale spoils the whole block, whatever the sign of the element.
    const bool negative = element.value < 0;
    const Factor own = factor_of(kE5m2, scale[negative ? 1 : 0]);
    const Factor other = factor_of(kE5m2, scale[negative ? 0 : 1]);
    if (!std::isfinite(own.value) || !std::isfinite(other.value)) return {std::nan(""), 0};
    element.value *= own.value;
    element.exponent += own.exponent;
  }
  if (element.value == 0) element.exponent = kZeroExponent;
  return element;
}

bool OperandPair::is_wide() const {
  return format(a->format).element_bits == 16 || format(b->format).element_bits == 16;
}

}  // namespace oscsim::numerics
