// SPDX-License-Identifier: Apache-2.0
// Number formats of a GEMM operand: one FormatInfo each, in one table (format.cpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "models/base/quantity.h"
#include "models/base/schema.h"

namespace oscsim::numerics {

enum class FormatId : std::uint8_t { mxfp4, mxfp8, fp8, int8, bf16, fp16 };

// Which block sum and which epilogue a dot product of the format has (see gemm.h).
enum class ScaleKind : std::uint8_t {
  none,       // 16-bit formats: one FP32 rounding for each product
  block,      // one E8M0 scale for each block of `block` elements along K (OCP MX)
  row_float,  // one FP32 scale for each row (token or output channel), applied in the epilogue
};

enum class ScaleRule : std::uint8_t { floor, even, ceil, rceil };  // OCP MX shared exponent; floor is the standard's
enum class ElementRounding : std::uint8_t { nearest_even, half_away };

struct FormatInfo {
  FormatId id;
  std::string_view name;
  int element_bits;  // 4, 8 or 16; also the width class of the matrix unit that multiplies it
  ScaleKind scale_kind;
  int block;                 // elements that one accumulation step sums exactly; 0: all of K (INT8), 1: 16-bit formats
  int scale_bits;            // of one block scale or one row scale
  std::string_view meaning;  // one line: element, scale, block
  std::string_view source;   // public specification
};

std::span<const FormatInfo> formats();
const FormatInfo& format(FormatId id);
const FormatInfo& format(std::string_view name);  // InputError that lists the names and the nearest one

// Storage of a [rows, k] operand: packed codes, and scales. Blocks of a tail are whole blocks.
Bytes code_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k);
Bytes scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k);

}  // namespace oscsim::numerics

template <>
struct oscsim::EnumNames<oscsim::numerics::FormatId> {
  using Id = oscsim::numerics::FormatId;
  static constexpr std::pair<std::string_view, Id> kValues[] = {{"mxfp4", Id::mxfp4}, {"mxfp8", Id::mxfp8},
                                                                {"fp8", Id::fp8},     {"int8", Id::int8},
                                                                {"bf16", Id::bf16},   {"fp16", Id::fp16}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::ScaleRule> {
  using Rule = oscsim::numerics::ScaleRule;
  static constexpr std::pair<std::string_view, Rule> kValues[] = {
      {"floor", Rule::floor}, {"even", Rule::even}, {"ceil", Rule::ceil}, {"rceil", Rule::rceil}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::ElementRounding> {
  using Rounding = oscsim::numerics::ElementRounding;
  static constexpr std::pair<std::string_view, Rounding> kValues[] = {{"nearest_even", Rounding::nearest_even},
                                                                      {"half_away", Rounding::half_away}};
};
