// SPDX-License-Identifier: Apache-2.0
// Quantised operands: storage, access to one element, and which of them make a product.
#include <algorithm>
#include <limits>
#include <string>

#include "models/numerics/block.h"
#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "models/numerics/terms.h"

namespace oscsim::numerics {
namespace {

std::string shape(const char* name, const QuantisedMatrix& matrix) {
  return fmt::format("{} {} [{}, {}]", name, name_of(matrix.format), matrix.rows, matrix.k);
}

std::string shapes(const GemmOperands& operands) {
  std::string text = shape("A", *operands.a) + ", " + shape("B", *operands.b);
  if (operands.branch_a != nullptr)
    text += ", " + shape("branch A", *operands.branch_a) + ", " + shape("branch B", *operands.branch_b);
  return text;
}

[[noreturn]] void misfit(const GemmOperands& operands, std::string_view reason) {
  input_error("operands do not make a product: {}\n  {}", reason, shapes(operands));
}

void check_branch(const GemmOperands& operands) {
  const QuantisedMatrix& a = *operands.branch_a;
  const QuantisedMatrix& b = *operands.branch_b;
  if (format(a.format).element_bits != 16 || a.format != b.format)
    misfit(operands, "the branch multiplies bf16 by bf16 or fp16 by fp16");
  if (a.k != b.k) misfit(operands, "the branch's operands differ in k");
  if (a.rows != operands.a->rows) misfit(operands, "A and branch A differ in rows");
  if (b.rows != operands.b->rows) misfit(operands, "B and branch B differ in rows");
  if (operands.join == Join::chain && !(operands.a->outer_scale.empty() && operands.b->outer_scale.empty()))
    misfit(operands, "a format with scales in the epilogue cannot chain its branch; allowed: join = add");
}

// One exact INT32 sum over all of K must not overflow.
void check_integer_sum(const GemmOperands& operands) {
  const FormatInfo& a = format(operands.a->format);
  const FormatInfo& b = format(operands.b->format);
  if (summed_block(a, b) != 0) return;
  const auto largest = static_cast<std::int64_t>(largest_value(a.element) * largest_value(b.element));
  const std::int64_t longest = std::numeric_limits<std::int32_t>::max() / largest;
  if (operands.a->k > longest)
    misfit(operands, fmt::format("an INT32 sum of {} and {} products can overflow; allowed: k up to {}", a.name, b.name,
                                 longest));
}

// The elements of a sub-block share their scale.
void check_sub_block(const GemmOperands& operands) {
  const Accumulator& accumulator = operands.accumulator;
  const int sub_block = accumulator.narrow.sub_block;
  if (accumulator.kind != AccumulatorKind::fused || sub_block == 1) return;
  if (OperandPair{operands.a, operands.b}.is_wide()) return;
  for (const QuantisedMatrix* matrix : {operands.a, operands.b}) {
    const FormatInfo& info = format(matrix->format);
    if (info.block_scale == BlockScale::signed_e5m2)
      misfit(operands, fmt::format("accumulator {} sums {} elements that share one scale, and {} has two scales in a "
                                   "block",
                                   text_of(accumulator), sub_block, info.name));
    if (info.block_scale != BlockScale::none && info.block % sub_block != 0)
      misfit(operands, fmt::format("accumulator {} sums {} elements that share one scale, and {} has a scale for {}",
                                   text_of(accumulator), sub_block, info.name, info.block));
  }
}

}  // namespace

QuantisedMatrix empty_quantised(FormatId id, std::int64_t rows, std::int64_t k) {
  if (rows < 0 || k < 0) input_error("operand size [{}, {}] is negative", rows, k);
  const FormatInfo& info = format(id);
  QuantisedMatrix out;
  out.format = id;
  out.rows = rows;
  out.k = k;
  out.row_bytes = code_bytes(info, 1, k).count();
  out.codes.resize(static_cast<std::size_t>(code_bytes(info, rows, k).count()));
  out.block_scale.resize(static_cast<std::size_t>(block_scale_bytes(info, rows, k).count()));
  if (info.outer_scale != OuterScale::none)
    out.outer_scale.resize(info.outer_scale == OuterScale::row ? static_cast<std::size_t>(rows) : 1);
  return out;
}

std::uint32_t QuantisedMatrix::code(std::int64_t row, std::int64_t col) const {
  ensure(row >= 0 && row < rows && col >= 0 && col < k, "code ({}, {}) outside [{}, {}]", row, col, rows, k);
  const std::uint8_t* row_codes = codes.data() + row * row_bytes;
  switch (numerics::format(format).element_bits) {
    case 4:
      return row_codes[col / 2] >> col % 2 * 4 & 0xFU;
    case 8:
      return row_codes[col];
    default:
      return row_codes[2 * col] | static_cast<std::uint32_t>(row_codes[2 * col + 1]) << 8;
  }
}

float QuantisedMatrix::value(std::int64_t row, std::int64_t col) const {
  ensure(row >= 0 && row < rows && col >= 0 && col < k, "value ({}, {}) outside [{}, {}]", row, col, rows, k);
  auto element = static_cast<float>(block_value(*this, row, col));
  // Integers of a block have no -0; elements do.
  const FormatInfo& info = numerics::format(format);
  if (element == 0 && !is_integer(info.element) && (code(row, col) >> layout_of(info.element).sign_shift() & 1) != 0)
    element = -0.0F;
  return canonical(outer_scale.empty() ? element : element * outer_scale_of(row));
}

std::int64_t summed_block(const FormatInfo& a, const FormatInfo& b) {
  if (a.block == 0 || b.block == 0) return std::max(a.block, b.block);
  return std::min(a.block, b.block);
}

void check_operands(const GemmOperands& operands) {
  ensure(operands.a != nullptr && operands.b != nullptr, "a product needs both main operands");
  ensure((operands.branch_a == nullptr) == (operands.branch_b == nullptr), "a branch needs both operands");
  const QuantisedMatrix& a = *operands.a;
  const QuantisedMatrix& b = *operands.b;
  if (a.k != b.k) misfit(operands, "A and B differ in k");
  check_integer_sum(operands);
  check_sub_block(operands);
  if (operands.branch_a != nullptr) check_branch(operands);
}

}  // namespace oscsim::numerics
