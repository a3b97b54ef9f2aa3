// SPDX-License-Identifier: Apache-2.0
// The scalar definition of casts: one element at a time, in the words of quantise.h. Steps in FP32 are written with
// float, steps in BF16 with to_bf16; each operation rounds once.
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/quantise.h"

namespace oscsim::numerics {
namespace {

constexpr ElementRounding kEven = ElementRounding::nearest_even;  // of scales, whatever the rounding of elements

// Where the values of one block go.
struct Block {
  QuantisedMatrix& out;
  std::int64_t row;
  std::int64_t index;
  std::span<const float> values;
  const CastOptions& options;  // with the rounding

  const FormatInfo& info() const { return format(out.format); }
  std::uint8_t* scale() const {
    return out.block_scale.data() + (row * out.blocks() + index) * (info().block_scale_bits / 8);
  }
  void store(std::size_t i, std::uint32_t code) const;
};

void store_code(QuantisedMatrix& matrix, std::int64_t row, std::int64_t col, std::uint32_t code) {
  std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
  switch (format(matrix.format).element_bits) {
    case 4:
      codes[col / 2] = static_cast<std::uint8_t>(codes[col / 2] | (code & 0xF) << col % 2 * 4);
      break;
    case 8:
      codes[col] = static_cast<std::uint8_t>(code);
      break;
    default:
      codes[2 * col] = static_cast<std::uint8_t>(code);
      codes[2 * col + 1] = static_cast<std::uint8_t>(code >> 8);
  }
}

void Block::store(std::size_t i, std::uint32_t code) const {
  store_code(out, row, index * info().block + static_cast<std::int64_t>(i), code);
}

// Largest magnitude of the elements; NaN when there is a NaN or an infinity among them.
float amax_of(std::span<const float> values) {
  float amax = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) return kCanonicalNan;
    amax = std::max(amax, std::fabs(value));
  }
  return amax;
}

float to_bf16(float value) {
  return decode(kBf16, encode(kBf16, static_cast<double>(value), kEven));
}

std::uint32_t encode_element(ElementType element, float value, const CastOptions& options) {
  if (is_integer(element)) {
    const int limit = static_cast<int>(largest_value(element));
    return static_cast<std::uint32_t>(encode_integer(static_cast<double>(value), limit, *options.rounding));
  }
  return encode(layout_of(element), static_cast<double>(value), *options.rounding, options.overflow);
}

// ------ MX

// What the scale rules need to know of an element: its largest value is in [2^emax, 2^(emax + 1)).
struct ElementScale {
  double largest;
  int emax;
  int mantissa_bits;
};

ElementScale scale_facts(ElementType element) {
  if (element == ElementType::int8) return {127.0 / 64, 0, 6};
  const FloatLayout& layout = layout_of(element);
  return {largest_value(element), layout.max_exponent(), layout.mantissa_bits};
}

// The exponent of an MX block's scale before clamping; `amax` is finite and not zero.
int shared_exponent(double amax, const ElementScale& element, ScaleRule rule) {
  const int exponent = std::ilogb(amax);
  const double significand = std::ldexp(amax, -exponent);  // in [1, 2)
  bool round_up = false;
  switch (rule) {
    case ScaleRule::floor:
      break;
    case ScaleRule::even:  // rounds up to 2 at the element's mantissa width, half up
      round_up = significand >= 2 - std::ldexp(1.0, -element.mantissa_bits - 1);
      break;
    case ScaleRule::ceil:
      round_up = significand > 1;
      break;
    case ScaleRule::rceil:
      round_up = significand > std::ldexp(element.largest, -element.emax);
      break;
  }
  return exponent + (round_up ? 1 : 0) - element.emax;
}

void cast_mx(const Block& block) {
  const ElementType element = block.info().element;
  const float amax = amax_of(block.values);
  std::uint8_t& scale = *block.scale();
  if (std::isnan(amax)) {
    scale = kE8m0Nan;
    return;
  }
  scale = amax == 0 ? 0 : encode_e8m0(shared_exponent(amax, scale_facts(element), block.options.scale_rule));
  const int fraction_bits = element == ElementType::int8 ? 6 : 0;  // MXINT8 counts 64ths
  for (std::size_t i = 0; i < block.values.size(); ++i) {
    const double scaled = std::ldexp(static_cast<double>(block.values[i]), kE8m0Bias - scale + fraction_bits);
    block.store(i, is_integer(element)
                       ? static_cast<std::uint32_t>(encode_integer(scaled, 127, *block.options.rounding))
                       : encode(layout_of(element), scaled, *block.options.rounding));
  }
}

// ------ NVFP4, all steps in FP32 but the block's scale

// What E4M3 rounds to the scale of a block. The exact rule: the product is exact in a double (48 bits), and the
// quotient of a number of 48 bits by 6 that is no tie of E4M3 lies at least 2^-49 of itself away from every tie, so
// that its rounding to 53 bits changes nothing.
double wanted_scale(float amax, float encode_scale, Nvfp4Scale rule) {
  switch (rule) {
    case Nvfp4Scale::exact:
      break;
    case Nvfp4Scale::te_main:
      return static_cast<double>(amax * (encode_scale * (1.0F / 6.0F)));
    case Nvfp4Scale::te_2x:
      return static_cast<double>(amax / 6.0F * encode_scale);
  }
  return static_cast<double>(amax) * static_cast<double>(encode_scale) / 6;
}

// `encode_scale` is nvfp4_encode_scale's; 1 for the single-level format.
void cast_nvfp4(const Block& block, float encode_scale) {
  constexpr float kFloatMax = std::numeric_limits<float>::max();
  const float amax = amax_of(block.values);
  std::uint8_t& scale = *block.scale();
  if (std::isnan(amax)) {
    scale = static_cast<std::uint8_t>(*kE4m3.nan_code);
    return;
  }
  scale = static_cast<std::uint8_t>(encode(kE4m3, wanted_scale(amax, encode_scale, block.options.nvfp4_scale), kEven));
  const float decode_scale = 1.0F / encode_scale;
  const float factor = std::min(1.0F / (decode(kE4m3, scale) * decode_scale), kFloatMax);
  for (std::size_t i = 0; i < block.values.size(); ++i)
    block.store(i, encode(kE2m1, static_cast<double>(block.values[i] * factor), *block.options.rounding));
}

// ------ HiFloat4: scales in BF16, elements in FP32

void cast_hif4(const Block& block) {
  constexpr std::int64_t kEight = 8;
  constexpr std::int64_t kFour = 4;
  const float amax = amax_of(block.values);
  std::uint8_t* scale = block.scale();
  if (std::isnan(amax)) {
    scale[0] = kE6m2Nan;
    return;
  }
  scale[0] = encode_e6m2(static_cast<double>(to_bf16(amax * to_bf16(1.0F / 7.0F))));
  const float inverse = to_bf16(static_cast<float>(1 / decode_e6m2(scale[0])));
  const auto size = static_cast<std::int64_t>(block.values.size());
  for (std::int64_t i = 0; i < size; ++i) {
    const auto largest_around = [&](std::int64_t group) {
      const std::int64_t first = i / group * group;
      return amax_of(block.values.subspan(static_cast<std::size_t>(first),
                                          static_cast<std::size_t>(std::min(group, size - first))));
    };
    const int eight = largest_around(kEight) * inverse >= 4 ? 1 : 0;
    const int four = std::ldexp(largest_around(kFour) * inverse, -eight) >= 2 ? 1 : 0;
    scale[1] = static_cast<std::uint8_t>(scale[1] | eight << i / kEight);
    scale[2 + i / 32] = static_cast<std::uint8_t>(scale[2 + i / 32] | four << i / kFour % 8);
    const float value = block.values[static_cast<std::size_t>(i)] * inverse;
    block.store(static_cast<std::size_t>(i),
                encode(kE1m2, std::ldexp(static_cast<double>(value), -eight - four), *block.options.rounding));
  }
}

// ------ AMXFP4

// E5M2 of largest / 6; 1 where that is zero.
std::uint8_t amx_scale(float largest) {
  const std::uint32_t code = encode(kE5m2, static_cast<double>(largest / 6.0F), kEven);
  return static_cast<std::uint8_t>(code == 0 ? encode(kE5m2, 1.0, kEven) : code);
}

void cast_amxfp4(const Block& block) {
  std::uint8_t* scale = block.scale();
  if (std::isnan(amax_of(block.values))) {
    scale[0] = scale[1] = static_cast<std::uint8_t>(*kE5m2.nan_code);
    return;
  }
  float highest = 0;
  float lowest = 0;
  for (const float value : block.values) {
    highest = std::max(highest, value);
    lowest = std::min(lowest, value);
  }
  scale[0] = amx_scale(highest);
  scale[1] = amx_scale(std::fabs(lowest));
  for (std::size_t i = 0; i < block.values.size(); ++i) {
    const float value = block.values[i];
    const float scaled = value / decode(kE5m2, scale[value < 0 ? 1 : 0]);
    block.store(i, encode(kE2m1, static_cast<double>(scaled), *block.options.rounding));
  }
}

// ------ asymmetric INT4

void cast_asymmetric(const Block& block) {
  std::uint8_t* scale = block.scale();
  const auto set_scale = [&](std::uint32_t bf16) {
    scale[0] = static_cast<std::uint8_t>(bf16);
    scale[1] = static_cast<std::uint8_t>(bf16 >> 8);
  };
  if (std::isnan(amax_of(block.values))) return set_scale(*kBf16.nan_code);
  float highest = 0;
  float lowest = 0;
  for (const float value : block.values) {
    highest = std::max(highest, value);
    lowest = std::min(lowest, value);
  }
  const std::uint32_t code = encode(kBf16, static_cast<double>(asymmetric_step(lowest, highest)), kEven);
  set_scale(code);
  const float stored = decode(kBf16, code);
  const int zero = -encode_integer(static_cast<double>(lowest / stored), 15, kEven);
  scale[2] = static_cast<std::uint8_t>(zero);
  for (std::size_t i = 0; i < static_cast<std::size_t>(block.info().block); ++i) {
    const float value = i < block.values.size() ? block.values[i] : 0;  // padding is the code of zero
    const int steps = encode_integer(static_cast<double>(value / stored), 15, *block.options.rounding);
    block.store(i, static_cast<std::uint32_t>(std::clamp(steps + zero, 0, 15)));
  }
}

// ------ rows

void cast_row_blocks(QuantisedMatrix& out, std::int64_t row, std::span<const float> values, const CastOptions& options,
                     float tensor_amax) {
  const FormatInfo& info = format(out.format);
  const auto size = static_cast<std::int64_t>(values.size());
  for (std::int64_t index = 0; index < out.blocks(); ++index) {
    const std::int64_t first = index * info.block;
    const std::int64_t count = std::min<std::int64_t>(info.block, size - first);
    const Block block{out, row, index, values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
                      options};
    switch (info.block_scale) {
      case BlockScale::none:
        break;
      case BlockScale::e8m0:
        cast_mx(block);
        break;
      case BlockScale::e4m3:
        cast_nvfp4(block, info.outer_scale == OuterScale::tensor ? nvfp4_encode_scale(tensor_amax) : 1.0F);
        break;
      case BlockScale::hif4:
        cast_hif4(block);
        break;
      case BlockScale::signed_e5m2:
        cast_amxfp4(block);
        break;
      case BlockScale::bf16_zero:
        cast_asymmetric(block);
        break;
    }
  }
}

void cast_row(QuantisedMatrix& out, std::int64_t row, std::span<const float> values, const CastOptions& options) {
  const ElementType element = format(out.format).element;
  const float scale = out.outer_scale_of(row);
  if (std::isnan(scale)) return;
  for (std::size_t i = 0; i < values.size(); ++i)
    store_code(out, row, static_cast<std::int64_t>(i), encode_element(element, values[i] / scale, options));
}

float tensor_amax_of(MatrixView matrix, const CastOptions& options) {
  return options.tensor_amax ? *options.tensor_amax : amax(matrix);
}

}  // namespace

float tensor_scale(const FormatInfo& info, float amax) {
  ensure(!(amax < 0), "the largest magnitude of a tensor is {}", amax);
  if (!std::isfinite(amax)) return kCanonicalNan;
  if (info.block_scale == BlockScale::e4m3) return 1.0F / nvfp4_encode_scale(amax);
  return outer_scale(info.element, amax);
}

namespace reference {

QuantisedMatrix quantise(FormatId id, MatrixView matrix, const CastOptions& chosen) {
  QuantisedMatrix out = empty_quantised(id, matrix.rows(), matrix.cols());
  const FormatInfo& info = format(id);
  CastOptions options = chosen;
  options.rounding = rounding_of(info, chosen);
  const float tensor_amax = info.outer_scale == OuterScale::tensor ? tensor_amax_of(matrix, options) : 0;
  if (info.outer_scale == OuterScale::tensor) {
    out.outer_scale[0] = tensor_scale(info, tensor_amax);
    if (std::isnan(out.outer_scale[0])) return out;
  }
  std::vector<float> values(static_cast<std::size_t>(matrix.cols()));
  for (std::int64_t row = 0; row < matrix.rows(); ++row) {
    matrix.read(row, 0, values);
    if (info.outer_scale == OuterScale::row) {
      const float amax = amax_of(values);
      out.outer_scale[static_cast<std::size_t>(row)] =
          std::isnan(amax) ? kCanonicalNan : outer_scale(info.element, amax);
    }
    if (info.block_scale == BlockScale::none)
      cast_row(out, row, values, options);
    else
      cast_row_blocks(out, row, values, options, tensor_amax);
  }
  return out;
}

}  // namespace reference
}  // namespace oscsim::numerics
