// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/block.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "models/numerics/element.h"

namespace oscsim::numerics {
namespace {

// Exponent of the unit in which every value of the element is an integer.
int unit_of(ElementType element, const FormatInfo& info) {
  if (element == ElementType::int4) return 0;
  if (element == ElementType::int8) return info.block_scale == BlockScale::e8m0 ? -6 : 0;  // MXINT8: 1/64
  const FloatLayout& layout = layout_of(element);
  return 1 - layout.bias - layout.mantissa_bits;
}

// Codes of at most 8 bits as integers in the element's unit.
using IntegerTable = std::array<std::int64_t, 256>;

IntegerTable make_table(ElementType element) {
  IntegerTable table{};
  for (std::uint32_t code = 0; code < table.size(); ++code) {
    if (element == ElementType::int8) {
      table[code] = static_cast<std::int8_t>(code);
    } else if (element == ElementType::int4) {
      table[code] = static_cast<std::int64_t>((code & 0xF) ^ 8) - 8;
    } else {
      const FloatLayout& layout = layout_of(element);
      const float value = decode(layout, code);
      table[code] = std::isfinite(value)
                        ? static_cast<std::int64_t>(std::ldexp(value, layout.bias + layout.mantissa_bits - 1))
                        : kNoNumber;
    }
  }
  return table;
}

const IntegerTable& table_of(ElementType element) {
  static const std::array<IntegerTable, 6> kTables = {make_table(ElementType::e2m1), make_table(ElementType::e1m2),
                                                      make_table(ElementType::e4m3), make_table(ElementType::e5m2),
                                                      make_table(ElementType::int8), make_table(ElementType::int4)};
  return kTables[static_cast<std::size_t>(element)];
}

constexpr int kE5m2Unit = -16;  // exponent of E5M2's smallest subnormal

std::uint16_t little_endian16(const std::uint8_t* bytes) {
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

// A finite number of at most 24 bits as an odd integer (or zero) and an exponent.
BlockFactor factor_of(double value) {
  if (!std::isfinite(value)) return {0, 0, true};
  if (value == 0) return {0, 0, false};
  int exponent = 0;
  auto significand = static_cast<std::int32_t>(std::ldexp(std::frexp(value, &exponent), 24));
  const int zeros = std::countr_zero(static_cast<std::uint32_t>(significand));
  return {significand >> zeros, exponent - 24 + zeros, false};
}

// Micro-exponents of element `index` of a HiF4 block: 0, 1 or 2.
int micro_exponent(const std::uint8_t* scale, std::int64_t index) {
  return (scale[1] >> index / 8 & 1) + (little_endian16(scale + 2) >> index / 4 & 1);
}

}  // namespace

BlockFactor block_factor(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t block) {
  const FormatInfo& info = format(matrix.format);
  BlockFactor factor;
  if (info.block_scale != BlockScale::none) {
    const std::uint8_t* scale = matrix.scale_of(row, block);
    switch (info.block_scale) {
      case BlockScale::none:
        break;
      case BlockScale::e8m0:
        factor = {1, *scale - kE8m0Bias, *scale == kE8m0Nan};
        break;
      case BlockScale::e4m3:
        factor = factor_of(static_cast<double>(decode(kE4m3, *scale)));
        break;
      case BlockScale::hif4:
        factor = factor_of(decode_e6m2(*scale));
        break;
      case BlockScale::signed_e5m2: {
        const bool finite = std::isfinite(decode(kE5m2, scale[0])) && std::isfinite(decode(kE5m2, scale[1]));
        factor = {1, kE5m2Unit, !finite};
        break;
      }
      case BlockScale::bf16_zero:
        factor = factor_of(static_cast<double>(bf16_to_float(little_endian16(scale))));
        break;
    }
  }
  factor.exponent += unit_of(info.element, info);
  return factor;
}

void read_integers(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t first, std::span<std::int64_t> out) {
  const FormatInfo& info = format(matrix.format);
  const std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
  // Unsigned codes of the asymmetric format have a table of their own: themselves.
  const bool asymmetric = info.block_scale == BlockScale::bf16_zero;
  const IntegerTable& table = table_of(info.element);
  const auto count = static_cast<std::int64_t>(out.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = first + i;
    const std::uint32_t code = info.element_bits == 4 ? codes[at / 2] >> at % 2 * 4 & 0xFU : codes[at];
    out[static_cast<std::size_t>(i)] = asymmetric ? static_cast<std::int64_t>(code) : table[code];
  }
  if (info.block_scale == BlockScale::none) return;
  const std::uint8_t* scale = matrix.scale_of(row, first / info.block);
  if (asymmetric) {
    for (std::int64_t& integer : out) integer -= scale[2];
  } else if (info.block_scale == BlockScale::hif4) {
    for (std::int64_t i = 0; i < count; ++i)
      out[static_cast<std::size_t>(i)] *= 1 << micro_exponent(scale, (first + i) % info.block);
  } else if (info.block_scale == BlockScale::signed_e5m2) {
    const IntegerTable& scales = table_of(ElementType::e5m2);
    for (std::int64_t& integer : out) integer *= scales[scale[integer < 0 ? 1 : 0]];
  }
}

double block_value(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const FormatInfo& info = format(matrix.format);
  if (info.element_bits == 16) return static_cast<double>(decode(layout_of(info.element), matrix.code(row, col)));
  const BlockFactor factor = block_factor(matrix, row, info.block_scale == BlockScale::none ? 0 : col / info.block);
  if (factor.nan) return std::numeric_limits<double>::quiet_NaN();
  std::int64_t integer = 0;
  read_integers(matrix, row, col, std::span(&integer, 1));
  if (integer == kNoNumber) return std::numeric_limits<double>::quiet_NaN();
  return std::ldexp(static_cast<double>(integer * factor.significand), factor.exponent);
}

}  // namespace oscsim::numerics
