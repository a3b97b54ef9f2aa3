// SPDX-License-Identifier: Apache-2.0
// The scalar definition of dot products, in the words of gemm.h.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>

#include "models/numerics/block.h"
#include "models/numerics/element.h"
#include "models/numerics/exact_value.h"
#include "models/numerics/gemm.h"
#include "models/numerics/terms.h"

namespace oscsim::numerics {
namespace {

constexpr std::int64_t kLargestBlock = 128;

bool is_16bit(const QuantisedMatrix& matrix) {
  return format(matrix.format).element_bits == 16;
}

BlockFactor factor_at(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const FormatInfo& info = format(matrix.format);
  return block_factor(matrix, row, info.block_scale == BlockScale::none ? 0 : col / info.block);
}

// Exact sums of blocks, one rounding for each block.
float block_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const std::int64_t block = summed_block(format(a.format), format(b.format));
  std::array<std::int64_t, kLargestBlock> a_integers;
  std::array<std::int64_t, kLargestBlock> b_integers;
  float acc = 0;
  for (std::int64_t first = 0; first < a.k; first += block) {
    const auto count = static_cast<std::size_t>(std::min(block, a.k - first));
    const BlockFactor a_factor = factor_at(a, row, first);
    const BlockFactor b_factor = factor_at(b, col, first);
    if (a_factor.nan || b_factor.nan) return kCanonicalNan;
    read_integers(a, row, first, std::span(a_integers).first(count));
    read_integers(b, col, first, std::span(b_integers).first(count));
    Int128 sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (a_integers[i] == kNoNumber || b_integers[i] == kNoNumber) return kCanonicalNan;
      sum += static_cast<Int128>(a_integers[i]) * b_integers[i];
    }
    acc = add_rounded_once(acc,
                           {sum * a_factor.significand * b_factor.significand, a_factor.exponent + b_factor.exponent});
  }
  return acc;
}

float integer_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  std::array<std::int64_t, kLargestBlock> a_integers;
  std::array<std::int64_t, kLargestBlock> b_integers;
  std::int64_t sum = 0;  // fits INT32: check_operands bounds k
  for (std::int64_t first = 0; first < a.k; first += kLargestBlock) {
    const auto count = static_cast<std::size_t>(std::min(kLargestBlock, a.k - first));
    read_integers(a, row, first, std::span(a_integers).first(count));
    read_integers(b, col, first, std::span(b_integers).first(count));
    for (std::size_t i = 0; i < count; ++i) sum += a_integers[i] * b_integers[i];
  }
  return static_cast<float>(sum);
}

float value16(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col) {
  const std::uint8_t* bytes = matrix.codes.data() + row * matrix.row_bytes + 2 * col;
  const auto code = static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
  return matrix.format == FormatId::bf16 ? bf16_to_float(code) : fp16_to_float(code);
}

// Products of two 16-bit operands continue in `acc`. An FMA is the definition: exact product, one rounding.
float fused_chain(float acc, const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  for (std::int64_t i = 0; i < a.k; ++i) acc = std::fma(value16(a, row, i), value16(b, col, i), acc);
  return acc;
}

// The same with one operand of 16 bits: the other's value, with its block scale, may lie outside FP32's range.
float mixed_chain(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  float acc = 0;
  for (std::int64_t i = 0; i < a.k; ++i) {
    const double product = block_value(a, row, i) * block_value(b, col, i);
    // Zeros, infinities and NaN by the rules of IEEE 754; they are exact in any format.
    acc = product == 0 || !std::isfinite(product) ? acc + static_cast<float>(product)
                                                  : add_rounded_once(acc, exact(product));
  }
  return acc;
}

// By the definition, fp32_rne.
float main_product(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  if (is_16bit(a) && is_16bit(b)) return fused_chain(0.0F, a, b, row, col);
  if (is_16bit(a) || is_16bit(b)) return mixed_chain(a, b, row, col);
  if (summed_block(format(a.format), format(b.format)) == 0) return integer_product(a, b, row, col);
  return block_product(a, b, row, col);
}

// By the operands' accumulator: the main path, and the branch where it continues in it.
float main_path(const GemmOperands& operands, std::int64_t row, std::int64_t col) {
  const QuantisedMatrix& a = *operands.a;
  const QuantisedMatrix& b = *operands.b;
  const bool chained = operands.branch_a != nullptr && operands.join == Join::chain;
  const bool integers = summed_block(format(a.format), format(b.format)) == 0;
  if (operands.accumulator.kind == AccumulatorKind::fp32_rne || integers) {
    const float acc = main_product(a, b, row, col);
    return chained ? fused_chain(acc, *operands.branch_a, *operands.branch_b, row, col) : acc;
  }
  const std::array<OperandPair, 2> pairs{{{&a, &b}, {operands.branch_a, operands.branch_b}}};
  return reference::accumulated(operands.accumulator, std::span(pairs).first(chained ? 2 : 1), row, col);
}

float branch_product(const GemmOperands& operands, std::int64_t row, std::int64_t col) {
  if (operands.accumulator.kind == AccumulatorKind::fp32_rne)
    return fused_chain(0.0F, *operands.branch_a, *operands.branch_b, row, col);
  const OperandPair pair{operands.branch_a, operands.branch_b};
  return reference::accumulated(operands.accumulator, std::span(&pair, 1), row, col);
}

}  // namespace

namespace reference {

float output(const GemmOperands& operands, std::int64_t row, std::int64_t col) {
  const QuantisedMatrix& a = *operands.a;
  const QuantisedMatrix& b = *operands.b;
  float acc = main_path(operands, row, col);
  if (!a.outer_scale.empty()) acc *= a.outer_scale_of(row);
  if (!b.outer_scale.empty()) acc *= b.outer_scale_of(col);
  if (operands.branch_a != nullptr && operands.join == Join::add) acc += branch_product(operands, row, col);
  return std::isnan(acc) ? std::bit_cast<float>(operands.accumulator.nan_bits) : acc;
}

float fp32_product(MatrixView x, MatrixView w, std::int64_t row, std::int64_t col) {
  float acc = 0;
  for (std::int64_t i = 0; i < x.cols(); ++i) acc = std::fma(x.at(row, i), w.at(col, i), acc);
  return canonical(acc);
}

}  // namespace reference
}  // namespace oscsim::numerics
