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

enum class FormatId : std::uint8_t {
  mxfp4,
  mxfp8,
  mxfp8_e5m2,
  mxint8,
  mx_e1m2,
  nvfp4,
  nvfp4_single,
  hif4,
  amxfp4,
  int8,
  int4,
  int4_asym,
  fp8,
  fp8_e5m2,
  fp8_tensor,
  fp8_e5m2_tensor,
  bf16,
  fp16,
};

enum class ElementType : std::uint8_t { e2m1, e1m2, e4m3, e5m2, int8, int4, bf16, fp16 };

// The metadata of a block along K. Its bytes are described at QuantisedMatrix.
enum class BlockScale : std::uint8_t {
  none,
  e8m0,         // a power of two (OCP MX)
  e4m3,         // a small float (NVFP4)
  hif4,         // an E6M2 and micro-exponents for every 8 and every 4 elements
  signed_e5m2,  // one E5M2 for the positive elements, one for the negative ones (AMXFP4)
  bf16_zero,    // a BF16 scale and a zero point: value = scale * (code - zero)
};

// An FP32 scale that is applied in the epilogue.
enum class OuterScale : std::uint8_t {
  none,
  row,     // one for each row: a token or an output channel
  tensor,  // one for the whole operand
};

enum class ScaleRule : std::uint8_t { floor, even, ceil, rceil };  // OCP MX shared exponent; floor is the standard's
enum class ElementRounding : std::uint8_t { nearest_even, half_away };
// What a finite number beyond BF16's or FP16's largest becomes. Every other element saturates.
enum class Overflow : std::uint8_t { infinity, saturate };
// How an NVFP4 block's scale follows from its largest magnitude and S, the FP32 scale of the tensor (quantise.h).
enum class Nvfp4Scale : std::uint8_t { exact, te_main, te_2x };

struct FormatInfo {
  FormatId id;
  std::string_view name;
  ElementType element;
  int element_bits;  // 4, 8 or 16; also the width class of the matrix unit that multiplies it
  BlockScale block_scale;
  OuterScale outer_scale;
  int block;                 // elements that one accumulation step sums exactly (those of a block scale, where there is
                             // one); 0: all of K (integers without block scale), 1: 16-bit formats
  int block_scale_bits;      // metadata of one block
  std::string_view meaning;  // one line: element, scale, block
  std::string_view source;   // public specification
  ElementRounding rounding = ElementRounding::nearest_even;  // of elements, unless a cast says otherwise
};

std::span<const FormatInfo> formats();
const FormatInfo& format(FormatId id);
const FormatInfo& format(std::string_view name);  // InputError that lists the names and the nearest one

// Storage of a [rows, k] operand: packed codes, and scales. Blocks of a tail are whole blocks.
Bytes code_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k);
Bytes block_scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k);
Bytes scale_bytes(const FormatInfo& format, std::int64_t rows, std::int64_t k);  // blocks and FP32 scales

}  // namespace oscsim::numerics

template <>
struct oscsim::EnumNames<oscsim::numerics::FormatId> {
  using Id = oscsim::numerics::FormatId;
  static constexpr std::pair<std::string_view, Id> kValues[] = {{"mxfp4", Id::mxfp4},
                                                                {"mxfp8", Id::mxfp8},
                                                                {"mxfp8_e5m2", Id::mxfp8_e5m2},
                                                                {"mxint8", Id::mxint8},
                                                                {"mx_e1m2", Id::mx_e1m2},
                                                                {"nvfp4", Id::nvfp4},
                                                                {"nvfp4_single", Id::nvfp4_single},
                                                                {"hif4", Id::hif4},
                                                                {"amxfp4", Id::amxfp4},
                                                                {"int8", Id::int8},
                                                                {"int4", Id::int4},
                                                                {"int4_asym", Id::int4_asym},
                                                                {"fp8", Id::fp8},
                                                                {"fp8_e5m2", Id::fp8_e5m2},
                                                                {"fp8_tensor", Id::fp8_tensor},
                                                                {"fp8_e5m2_tensor", Id::fp8_e5m2_tensor},
                                                                {"bf16", Id::bf16},
                                                                {"fp16", Id::fp16}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::ElementType> {
  using Type = oscsim::numerics::ElementType;
  static constexpr std::pair<std::string_view, Type> kValues[] = {
      {"E2M1", Type::e2m1}, {"E1M2", Type::e1m2}, {"E4M3", Type::e4m3}, {"E5M2", Type::e5m2},
      {"INT8", Type::int8}, {"INT4", Type::int4}, {"BF16", Type::bf16}, {"FP16", Type::fp16}};
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
template <>
struct oscsim::EnumNames<oscsim::numerics::Overflow> {
  using Overflow = oscsim::numerics::Overflow;
  static constexpr std::pair<std::string_view, Overflow> kValues[] = {{"infinity", Overflow::infinity},
                                                                      {"saturate", Overflow::saturate}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::Nvfp4Scale> {
  using Scale = oscsim::numerics::Nvfp4Scale;
  static constexpr std::pair<std::string_view, Scale> kValues[] = {
      {"exact", Scale::exact}, {"te_main", Scale::te_main}, {"te_2x", Scale::te_2x}};
};
