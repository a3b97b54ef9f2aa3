// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/format_words.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "models/base/error.h"

namespace oscsim {
namespace {

using numerics::BlockScale;
using numerics::ElementType;
using numerics::FloatLayout;
using numerics::FormatInfo;
using numerics::OuterScale;

std::string bits_words(const char* field, int lowest, int count) {
  if (count == 1) return fmt::format("{} bit {}", field, lowest);
  return fmt::format("{} bits {}-{}", field, lowest + count - 1, lowest);
}

std::string range_words(double smallest, double largest) {
  return fmt::format("{} to {}", number_words(smallest), number_words(largest));
}

// Positive values of a floating-point scale, and its code of NaN.
std::string scale_range(const FloatLayout& layout) {
  const double smallest = static_cast<double>(numerics::decode(layout, 1));
  const double largest = static_cast<double>(numerics::decode(layout, layout.max_code));
  return fmt::format("{}, NaN {:#x}", range_words(smallest, largest), layout.nan_code.value_or(0));
}

}  // namespace

std::string number_words(double value) {
  int exponent = 0;
  const double significand = std::frexp(std::fabs(value), &exponent);
  constexpr int kPlain = 12;  // up to 2^12 and down to 2^-6 digits are short
  const bool is_power = significand == 0.5 && (exponent - 1 > kPlain || exponent - 1 < -kPlain / 2);
  if (is_power) return fmt::format("{}2^{}", value < 0 ? "-" : "", exponent - 1);
  return fmt::format("{:.9g}", value);
}

std::string layout_words(const FloatLayout& layout) {
  return fmt::format("sign bit {}, {}, {}; bias {}", layout.sign_shift(),
                     bits_words("exponent", layout.mantissa_bits, layout.exponent_bits),
                     bits_words("mantissa", 0, layout.mantissa_bits), layout.bias);
}

std::string element_words(const FormatInfo& info) {
  const std::string_view name = name_of(info.element);
  if (info.block_scale == BlockScale::bf16_zero)
    return fmt::format("unsigned {}, {} bits: value = scale * (code - zero point)", name, info.element_bits);
  if (!is_integer(info.element)) return fmt::format("{}: {}", name, layout_words(layout_of(info.element)));
  return fmt::format("{}, two's complement, {} bits{}", name, info.element_bits,
                     info.block_scale == BlockScale::e8m0 ? ", in units of 1/64" : "");
}

std::string block_scale_words(const FormatInfo& info) {
  switch (info.block_scale) {
    case BlockScale::none:
      return "none";
    case BlockScale::e8m0:
      return fmt::format("E8M0: a byte with an exponent, bias {}; {}, NaN {:#x}", numerics::kE8m0Bias,
                         range_words(numerics::decode_e8m0(0), numerics::decode_e8m0(numerics::kE8m0Nan - 1)),
                         numerics::kE8m0Nan);
    case BlockScale::e4m3:
      return fmt::format("E4M3: a byte, {}; {}", layout_words(numerics::kE4m3), scale_range(numerics::kE4m3));
    case BlockScale::hif4:
      return fmt::format(
          "E6M2: byte 0, exponent bits 7-2, mantissa bits 1-0, bias {}; {}, NaN {:#x}; "
          "E1_8: byte 1, bit i is the exponent (0 or 1) of elements 8 i to 8 i + 7; "
          "E1_16: bytes 2-3, little-endian, bit i is the exponent of elements 4 i to 4 i + 3",
          numerics::kE6m2Bias, range_words(numerics::decode_e6m2(0), numerics::decode_e6m2(numerics::kE6m2Nan - 1)),
          numerics::kE6m2Nan);
    case BlockScale::signed_e5m2:
      return fmt::format("E5M2: byte 0 for positive elements, byte 1 for negative ones, {}; {}",
                         layout_words(numerics::kE5m2), scale_range(numerics::kE5m2));
    case BlockScale::bf16_zero:
      return fmt::format("BF16: bytes 0-1, little-endian, {}; zero point: byte 2, 0 to 15",
                         scale_range(numerics::kBf16));
  }
  ensure(false, "unknown block scale of {}", info.name);
  return "";
}

std::string outer_scale_words(const FormatInfo& info) {
  switch (info.outer_scale) {
    case OuterScale::none:
      return "none";
    case OuterScale::row:
      return "FP32, one for each row (token or output channel)";
    case OuterScale::tensor:
      return "FP32, one for the tensor";
  }
  ensure(false, "unknown outer scale of {}", info.name);
  return "";
}

std::string storage_words(const FormatInfo& info) {
  std::string text = fmt::format("codes: {}{}", element_words(info),
                                 info.element_bits == 4 ? ", two in a byte, element 0 in the low nibble" : "");
  if (info.block_scale != BlockScale::none)
    text += fmt::format("; scales, for each {} elements of a row: {}", info.block, block_scale_words(info));
  if (info.outer_scale != OuterScale::none) text += fmt::format("; outer_scale: {}", outer_scale_words(info));
  return text;
}

}  // namespace oscsim
