// SPDX-License-Identifier: Apache-2.0
// The values that the bytes of a quantised operand stand for, a second time: from the public definitions (OCP MX v1.0,
// OCP OFP8, NVFP4, HiFloat4 arXiv 2602.11287, AMXFP4 arXiv 2411.09909), sharing no code with models/numerics.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "models/numerics/quantise.h"

namespace oscsim::numerics::independent {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

enum class Specials : std::uint8_t { none, nan_only, ieee };

// Sign, exponent and mantissa bits of a small float.
struct Binary {
  int exponent_bits, mantissa_bits, bias;
  Specials specials;

  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  double value(unsigned code) const {
    const unsigned mantissa = code % (1U << mantissa_bits);
    const unsigned exponent = code >> mantissa_bits & ((1U << exponent_bits) - 1);
    const double sign = (code >> (exponent_bits + mantissa_bits) & 1) != 0 ? -1 : 1;
    const bool last = exponent == (1U << exponent_bits) - 1;
    if (specials == Specials::ieee && last)
      return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : kNan;
    if (specials == Specials::nan_only && last && mantissa == (1U << mantissa_bits) - 1) return kNan;
    const double fraction = mantissa / std::exp2(mantissa_bits);
    if (exponent == 0) return sign * fraction * std::exp2(1 - bias);
    return sign * (1 + fraction) * std::exp2(static_cast<int>(exponent) - bias);
  }
};

inline constexpr Binary kE2m1{2, 1, 1, Specials::none};
inline constexpr Binary kE1m2{1, 2, 1, Specials::none};
inline constexpr Binary kE4m3{4, 3, 7, Specials::nan_only};
inline constexpr Binary kE5m2{5, 2, 15, Specials::ieee};
inline constexpr Binary kBf16{8, 7, 127, Specials::ieee};
inline constexpr Binary kFp16{5, 10, 15, Specials::ieee};

inline double e8m0_value(unsigned code) {
  return code == 255 ? kNan : std::exp2(static_cast<int>(code) - 127);
}
inline double e6m2_value(unsigned code) {
  return code == 255 ? kNan : (1 + code % 4 / 4.0) * std::exp2(static_cast<int>(code / 4) - 48);
}
inline int twos_complement(unsigned code, int bits) {
  return static_cast<int>(code) - (code >> (bits - 1) != 0 ? 1 << bits : 0);
}

enum class ScaleKind : std::uint8_t { none, e8m0, e4m3, hif4, amx, asymmetric };

// What a format stores. `element` is null for integers, whose step is `step`.
struct Stored {
  FormatId id;
  const Binary* element;
  int bits;
  double step;
  ScaleKind scale;
  int scale_bytes;
  std::int64_t scale_block;  // elements of a block scale; 0 without
  std::int64_t summed;       // elements that one rounding covers, with an operand of the same kind; 0: all of K
};

inline constexpr Stored kStored[] = {
    {FormatId::mxfp4, &kE2m1, 4, 0, ScaleKind::e8m0, 1, 32, 32},
    {FormatId::mxfp8, &kE4m3, 8, 0, ScaleKind::e8m0, 1, 32, 32},
    {FormatId::mxfp8_e5m2, &kE5m2, 8, 0, ScaleKind::e8m0, 1, 32, 32},
    {FormatId::mxint8, nullptr, 8, 1.0 / 64, ScaleKind::e8m0, 1, 32, 32},
    {FormatId::mx_e1m2, &kE1m2, 4, 0, ScaleKind::e8m0, 1, 32, 32},
    {FormatId::nvfp4, &kE2m1, 4, 0, ScaleKind::e4m3, 1, 16, 16},
    {FormatId::nvfp4_single, &kE2m1, 4, 0, ScaleKind::e4m3, 1, 16, 16},
    {FormatId::hif4, &kE1m2, 4, 0, ScaleKind::hif4, 4, 64, 64},
    {FormatId::amxfp4, &kE2m1, 4, 0, ScaleKind::amx, 2, 32, 32},
    {FormatId::int8, nullptr, 8, 1, ScaleKind::none, 0, 0, 0},
    {FormatId::int4, nullptr, 4, 1, ScaleKind::none, 0, 0, 0},
    {FormatId::int4_asym, nullptr, 4, 1, ScaleKind::asymmetric, 3, 128, 128},
    {FormatId::fp8, &kE4m3, 8, 0, ScaleKind::none, 0, 0, 32},
    {FormatId::fp8_e5m2, &kE5m2, 8, 0, ScaleKind::none, 0, 0, 32},
    {FormatId::fp8_tensor, &kE4m3, 8, 0, ScaleKind::none, 0, 0, 32},
    {FormatId::fp8_e5m2_tensor, &kE5m2, 8, 0, ScaleKind::none, 0, 0, 32},
    {FormatId::bf16, &kBf16, 16, 0, ScaleKind::none, 0, 0, 1},
    {FormatId::fp16, &kFp16, 16, 0, ScaleKind::none, 0, 0, 1},
};

inline const Stored& stored(FormatId id) {
  for (const Stored& candidate : kStored)
    if (candidate.id == id) return candidate;
  throw DefectError("a format that the independent decoder does not know");
}

// Bytes of a row of codes: whole scale blocks, or whole bytes.
inline std::int64_t row_bytes(const Stored& format, std::int64_t k) {
  const std::int64_t block = format.scale_block == 0 ? 1 : format.scale_block;
  return ((k + block - 1) / block * block * format.bits + 7) / 8;
}

inline unsigned code_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const Stored& format = stored(matrix.format);
  const std::uint8_t* bytes = matrix.codes.data() + row * row_bytes(format, matrix.k);
  if (format.bits == 4) return col % 2 == 0 ? bytes[col / 2] & 0xFU : static_cast<unsigned>(bytes[col / 2] >> 4);
  if (format.bits == 8) return bytes[col];
  return bytes[2 * col] + 256U * bytes[2 * col + 1];
}

// Element times block scale: exact in a double (at most 13 significant bits). NaN where the element, or any scale of
// its block, is no finite number; the 16-bit formats keep their infinities. Formats of at most 8 bits are integers
// times a scale: their zero is +0.
inline double element_of(const Stored& format, unsigned code) {
  return format.element != nullptr ? format.element->value(code) : twos_complement(code, format.bits) * format.step;
}

inline double value_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const Stored& format = stored(matrix.format);
  const unsigned code = code_at(matrix, row, col);
  const double element = element_of(format, code);
  if (format.bits == 16) return element;
  double value = element;
  if (format.scale != ScaleKind::none) {
    const std::int64_t blocks = (matrix.k + format.scale_block - 1) / format.scale_block;
    const std::uint8_t* scale =
        matrix.block_scale.data() + (row * blocks + col / format.scale_block) * format.scale_bytes;
    const std::int64_t index = col % format.scale_block;
    switch (format.scale) {
      case ScaleKind::none:
        break;
      case ScaleKind::e8m0:
        value *= e8m0_value(scale[0]);
        break;
      case ScaleKind::e4m3:
        value *= kE4m3.value(scale[0]);
        break;
      case ScaleKind::hif4: {
        const unsigned fours = scale[2] + 256U * scale[3];
        value *=
            e6m2_value(scale[0]) * ((scale[1] >> index / 8 & 1) != 0 ? 2 : 1) * ((fours >> index / 4 & 1) != 0 ? 2 : 1);
        break;
      }
      case ScaleKind::amx: {
        const double scales[] = {kE5m2.value(scale[0]), kE5m2.value(scale[1])};
        value *= scales[std::signbit(element) ? 1 : 0];
        if (!std::isfinite(scales[0]) || !std::isfinite(scales[1])) value = kNan;
        break;
      }
      case ScaleKind::asymmetric:
        value = (static_cast<double>(code) - scale[2]) * kBf16.value(scale[0] + 256U * scale[1]);
        break;
    }
  }
  if (value == 0) return 0;
  return std::isfinite(value) ? value : kNan;
}

// The same as a number for itself: scales are unsigned, and a zero has the sign of its element.
inline double decoded_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const double value = value_at(matrix, row, col);
  if (value != 0 || stored(matrix.format).element == nullptr) return value;
  return std::copysign(0.0, element_of(stored(matrix.format), code_at(matrix, row, col)));
}

}  // namespace oscsim::numerics::independent
