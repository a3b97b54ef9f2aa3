// SPDX-License-Identifier: Apache-2.0
// The scalar definition of casts and dot products: one element at a time, in the words of quantise.h and gemm.h.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/gemm.h"

namespace oscsim::numerics {
namespace {

template <std::size_t kCodes>
std::array<float, kCodes> decode_table(const FloatLayout& layout) {
  std::array<float, kCodes> values{};
  for (std::size_t code = 0; code < kCodes; ++code) values[code] = decode(layout, static_cast<std::uint32_t>(code));
  return values;
}

const std::array<float, 16> kE2m1Values = decode_table<16>(kE2m1);
const std::array<float, 256> kE4m3Values = decode_table<256>(kE4m3);

// Rows of codes, decoded without their scales.
struct E2m1Row {
  const std::uint8_t* codes;
  float operator[](std::int64_t i) const { return kE2m1Values[codes[i / 2] >> i % 2 * 4 & 0xF]; }
};
struct E4m3Row {
  const std::uint8_t* codes;
  float operator[](std::int64_t i) const { return kE4m3Values[codes[i]]; }
};
struct Int8Row {
  const std::uint8_t* codes;
  std::int32_t operator[](std::int64_t i) const { return static_cast<std::int8_t>(codes[i]); }
};
std::uint16_t code16(const std::uint8_t* codes, std::int64_t i) {
  return static_cast<std::uint16_t>(codes[2 * i] | codes[2 * i + 1] << 8);
}
struct Bf16Row {
  const std::uint8_t* codes;
  float operator[](std::int64_t i) const { return bf16_to_float(code16(codes, i)); }
};
struct Fp16Row {
  const std::uint8_t* codes;
  float operator[](std::int64_t i) const { return fp16_to_float(code16(codes, i)); }
};

const std::uint8_t* codes_of_row(const QuantisedMatrix& matrix, std::int64_t row) {
  return matrix.codes.data() + row * matrix.row_bytes;
}

// ------ casts

// The exponent of an MX block's scale before clamping; `amax` is finite and not zero.
int shared_exponent(double amax, const FloatLayout& element, ScaleRule rule) {
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
    case ScaleRule::rceil: {
      const double largest = static_cast<double>(decode(element, element.max_code));
      round_up = significand > std::ldexp(largest, -element.max_exponent());
      break;
    }
  }
  return exponent + (round_up ? 1 : 0) - element.max_exponent();
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

void store(QuantisedMatrix& matrix, std::int64_t row, std::int64_t col, std::uint32_t code) {
  std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
  switch (format(matrix.format).element_bits) {
    case 4:
      codes[col / 2] = static_cast<std::uint8_t>(codes[col / 2] | code << col % 2 * 4);
      break;
    case 8:
      codes[col] = static_cast<std::uint8_t>(code);
      break;
    default:
      codes[2 * col] = static_cast<std::uint8_t>(code);
      codes[2 * col + 1] = static_cast<std::uint8_t>(code >> 8);
  }
}

void cast_block(QuantisedMatrix& out, std::int64_t row, std::int64_t block, std::span<const float> values,
                const CastOptions& options) {
  const FloatLayout& element = element_layout(out.format);
  const float amax = amax_of(values);
  std::uint8_t& scale = out.block_scale[static_cast<std::size_t>(row * out.blocks() + block)];
  if (std::isnan(amax)) {
    scale = kE8m0Nan;
    return;
  }
  scale = amax == 0 ? 0 : encode_e8m0(shared_exponent(amax, element, options.scale_rule));
  const int exponent = scale - kE8m0Bias;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scaled = std::ldexp(static_cast<double>(values[i]), -exponent);
    store(out, row, block * format(out.format).block + static_cast<std::int64_t>(i),
          encode(element, scaled, options.rounding));
  }
}

void cast_scaled_row(QuantisedMatrix& out, std::int64_t row, std::span<const float> values,
                     const CastOptions& options) {
  const float amax = amax_of(values);
  float& scale = out.row_scale[static_cast<std::size_t>(row)];
  if (std::isnan(amax)) {
    scale = kCanonicalNan;
    return;
  }
  scale = row_scale(out.format, amax);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scaled = values[i] / scale;
    const std::uint32_t code = out.format == FormatId::int8
                                   ? static_cast<std::uint8_t>(encode_int8(scaled, options.rounding))
                                   : encode(kE4m3, static_cast<double>(scaled), options.rounding);
    store(out, row, static_cast<std::int64_t>(i), code);
  }
}

// ------ dot products, before the epilogue

// MX and FP8: exact block sums, one rounding for each block. FP8 has no block scales: `scaled` is false.
template <class Row>
float block_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const FormatInfo& info = format(a.format);
  const bool scaled = info.scale_kind == ScaleKind::block;
  const Row a_row{codes_of_row(a, row)};
  const Row b_row{codes_of_row(b, col)};
  float acc = 0;
  for (std::int64_t block = 0; block < tiles_of(a.k, info.block); ++block) {
    int exponent = 0;
    if (scaled) {
      const std::uint8_t a_scale = a.block_scale[static_cast<std::size_t>(row * a.blocks() + block)];
      const std::uint8_t b_scale = b.block_scale[static_cast<std::size_t>(col * b.blocks() + block)];
      if (a_scale == kE8m0Nan || b_scale == kE8m0Nan) return kCanonicalNan;
      exponent = a_scale + b_scale - 2 * kE8m0Bias;
    }
    double sum = 0;  // exact: see accumulate.h
    for (std::int64_t i = block * info.block; i < std::min(a.k, (block + 1) * info.block); ++i)
      sum += static_cast<double>(a_row[i]) * static_cast<double>(b_row[i]);
    acc = accumulate(acc, sum, exponent);
  }
  return acc;
}

float integer_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const Int8Row a_row{codes_of_row(a, row)};
  const Int8Row b_row{codes_of_row(b, col)};
  std::int32_t sum = 0;  // check_operands bounds k
  for (std::int64_t i = 0; i < a.k; ++i) sum += a_row[i] * b_row[i];
  return static_cast<float>(sum);
}

template <class Row>
float fused_chain(float acc, const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const Row a_row{codes_of_row(a, row)};
  const Row b_row{codes_of_row(b, col)};
  for (std::int64_t i = 0; i < a.k; ++i) acc = std::fma(a_row[i], b_row[i], acc);
  return acc;
}

// 16-bit operands: their products continue in `acc`.
float chain_product(float acc, const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  return a.format == FormatId::bf16 ? fused_chain<Bf16Row>(acc, a, b, row, col)
                                    : fused_chain<Fp16Row>(acc, a, b, row, col);
}

float main_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  switch (a.format) {
    case FormatId::mxfp4:
      return block_product<E2m1Row>(a, b, row, col);
    case FormatId::mxfp8:
    case FormatId::fp8:
      return block_product<E4m3Row>(a, b, row, col);
    case FormatId::int8:
      return integer_product(a, b, row, col);
    case FormatId::bf16:
    case FormatId::fp16:
      return chain_product(0.0F, a, b, row, col);
  }
  ensure(false, "unknown format {}", static_cast<int>(a.format));
  return 0;
}

}  // namespace

namespace reference {

QuantisedMatrix quantise(FormatId id, MatrixView matrix, const CastOptions& options) {
  QuantisedMatrix out = empty_quantised(id, matrix.rows(), matrix.cols());
  const FormatInfo& info = format(id);
  std::vector<float> values(static_cast<std::size_t>(matrix.cols()));
  for (std::int64_t row = 0; row < matrix.rows(); ++row) {
    matrix.read(row, 0, values);
    switch (info.scale_kind) {
      case ScaleKind::block:
        for (std::int64_t block = 0; block < out.blocks(); ++block) {
          const std::int64_t first = block * info.block;
          const std::int64_t count = std::min<std::int64_t>(info.block, matrix.cols() - first);
          cast_block(out, row, block,
                     std::span(values).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
                     options);
        }
        break;
      case ScaleKind::row_float:
        cast_scaled_row(out, row, values, options);
        break;
      case ScaleKind::none:
        for (std::size_t i = 0; i < values.size(); ++i)
          store(out, row, static_cast<std::int64_t>(i),
                encode(element_layout(id), static_cast<double>(values[i]), options.rounding));
        break;
    }
  }
  return out;
}

float output(const GemmOperands& operands, std::int64_t row, std::int64_t col) {
  const QuantisedMatrix& a = *operands.a;
  const QuantisedMatrix& b = *operands.b;
  const bool branch = operands.branch_a != nullptr;
  float acc = main_product(a, b, row, col);
  if (branch && operands.join == Join::chain)
    return canonical(chain_product(acc, *operands.branch_a, *operands.branch_b, row, col));
  if (format(a.format).scale_kind == ScaleKind::row_float) {
    acc *= a.row_scale[static_cast<std::size_t>(row)];
    acc *= b.row_scale[static_cast<std::size_t>(col)];
  }
  if (branch) acc += chain_product(0.0F, *operands.branch_a, *operands.branch_b, row, col);
  return canonical(acc);
}

float fp32_product(MatrixView x, MatrixView w, std::int64_t row, std::int64_t col) {
  float acc = 0;
  for (std::int64_t i = 0; i < x.cols(); ++i) acc = std::fma(x.at(row, i), w.at(col, i), acc);
  return canonical(acc);
}

}  // namespace reference
}  // namespace oscsim::numerics
