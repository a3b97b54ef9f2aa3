// SPDX-License-Identifier: Apache-2.0
// How a GEMM accumulates: one FP32 rounding for each block, one at the very end, or as the tensor cores of GPUs do it,
// groups of terms truncated to a common exponent. gemm.h says what a term is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "models/base/schema.h"

namespace oscsim::numerics {

enum class AccumulatorKind : std::uint8_t {
  fp32_rne,  // the definition of gemm.h
  exact,     // all of K in exact arithmetic, then RNE to FP32
  fused,     // a group of terms and the accumulator at a time
};

enum class FusedRounding : std::uint8_t {
  rz,        // toward zero to FP32
  rne,       // to nearest even FP32
  rz_e8m13,  // toward zero to 13 fraction bits with FP32's exponents
};

// Whether a term that is zero takes part in the alignment of its group.
enum class ZeroTerms : std::uint8_t {
  align,  // by the exponents of its factors, like any other (MMA-Sim, arXiv 2511.10909)
  skip,   // not at all
};

// acc = round(acc + sum of `terms` terms): terms and accumulator are aligned to the largest exponent among them, each
// is truncated toward zero to `fraction_bits` bits below it, the sum is exact.
struct Fusion {
  int fraction_bits = 25;
  int terms = 16;
  FusedRounding rounding = FusedRounding::rz;
  int sub_block = 1;  // elements whose products are summed exactly before they are scaled and become one term
  ZeroTerms zeros = ZeroTerms::align;

  std::int64_t group() const { return std::int64_t{terms} * sub_block; }  // elements along K
  friend bool operator==(const Fusion&, const Fusion&) = default;
};

struct Accumulator {
  AccumulatorKind kind = AccumulatorKind::fp32_rne;
  Fusion narrow;                        // of products of operands of at most 8 bits
  Fusion wide;                          // where an operand has 16 bits; sub_block is 1
  std::uint32_t nan_bits = 0x7FC00000;  // of every NaN output

  const Fusion& fusion(bool is_wide) const { return is_wide ? wide : narrow; }
  friend bool operator==(const Accumulator&, const Accumulator&) = default;
};

struct AccumulatorPreset {
  std::string_view name;
  Accumulator accumulator;
  std::string_view meaning;
  std::string_view source;
};

std::span<const AccumulatorPreset> accumulators();

// A preset's name, or fused(fraction bits, terms, rounding[, sub-block[, zeros]]), for example fused(25,16,rz): the
// same fusion for narrow and wide products (with sub-block 1). InputError that says what is allowed and names the
// nearest preset.
Accumulator accumulator(std::string_view text);

// The inverse: the first preset with these values, else the fused(...) of its narrow products.
std::string text_of(const Accumulator& accumulator);

}  // namespace oscsim::numerics

template <>
struct oscsim::EnumNames<oscsim::numerics::FusedRounding> {
  using Rounding = oscsim::numerics::FusedRounding;
  static constexpr std::pair<std::string_view, Rounding> kValues[] = {
      {"rz", Rounding::rz}, {"rne", Rounding::rne}, {"rz_e8m13", Rounding::rz_e8m13}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::ZeroTerms> {
  using Zeros = oscsim::numerics::ZeroTerms;
  static constexpr std::pair<std::string_view, Zeros> kValues[] = {{"align", Zeros::align}, {"skip", Zeros::skip}};
};
