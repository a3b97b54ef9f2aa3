// SPDX-License-Identifier: Apache-2.0
// Quantised operands: storage, access to one element, and which of them make a product.
#include <string>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"

namespace oscsim::numerics {
namespace {

constexpr std::int64_t kMaxInt8Products = 133144;  // floor((2^31 - 1) / 127^2): their sum stays inside INT32

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
  if (format(a.format).scale_kind != ScaleKind::none || a.format != b.format)
    misfit(operands, "the branch multiplies bf16 by bf16 or fp16 by fp16");
  if (a.k != b.k) misfit(operands, "the branch's operands differ in k");
  if (a.rows != operands.a->rows) misfit(operands, "A and branch A differ in rows");
  if (b.rows != operands.b->rows) misfit(operands, "B and branch B differ in rows");
  if (operands.join == Join::chain && format(operands.a->format).scale_kind == ScaleKind::row_float)
    misfit(operands, "a format with row scales cannot chain its branch; allowed: join = add");
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
  if (info.scale_kind == ScaleKind::block)
    out.block_scale.resize(static_cast<std::size_t>(scale_bytes(info, rows, k).count()));
  if (info.scale_kind == ScaleKind::row_float) out.row_scale.resize(static_cast<std::size_t>(rows));
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
  const FormatInfo& info = numerics::format(format);
  const float element = format == FormatId::int8 ? static_cast<float>(static_cast<std::int8_t>(code(row, col)))
                                                 : decode(element_layout(format), code(row, col));
  switch (info.scale_kind) {
    case ScaleKind::none:
      return element;
    case ScaleKind::block:
      return canonical(
          static_cast<float>(static_cast<double>(element) *
                             decode_e8m0(block_scale[static_cast<std::size_t>(row * blocks() + col / info.block)])));
    case ScaleKind::row_float:
      return canonical(element * row_scale[static_cast<std::size_t>(row)]);
  }
  ensure(false, "unknown scale kind {}", static_cast<int>(info.scale_kind));
  return 0;
}

void check_operands(const GemmOperands& operands) {
  ensure(operands.a != nullptr && operands.b != nullptr, "a product needs both main operands");
  ensure((operands.branch_a == nullptr) == (operands.branch_b == nullptr), "a branch needs both operands");
  const QuantisedMatrix& a = *operands.a;
  const QuantisedMatrix& b = *operands.b;
  if (a.format != b.format) misfit(operands, "A and B differ in format");
  if (a.k != b.k) misfit(operands, "A and B differ in k");
  if (a.format == FormatId::int8 && a.k > kMaxInt8Products)
    misfit(operands, fmt::format("an INT32 sum of int8 products can overflow; allowed: k up to {}", kMaxInt8Products));
  if (operands.branch_a != nullptr) check_branch(operands);
}

}  // namespace oscsim::numerics
