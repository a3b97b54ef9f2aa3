// SPDX-License-Identifier: Apache-2.0
// The interface between WidePath and its kernels, which multiply any two formats: every element, with its signs'
// scales, zero point and micro-exponents, is a small float, every block factor a BF16.
//
// Plain data only: kernel files are compiled with instruction set flags (kernel.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {

enum class WideCodec : std::uint8_t { nibble, e4m3, e5m2, int8, bf16, fp16 };

// How a decoded code t becomes an element. Metadata of its block: `first` and `second`, BF16.
enum class Adjust : std::uint8_t {
  none,     // t
  micro,    // t * 2^m, m from two bits for every four elements (HiF4)
  by_sign,  // t * first where t is positive, t * second where it is negative (AMXFP4)
  affine,   // t * first - second (a zero point)
};

// One packed operand. Codes of A are [row][k], those of B [panel][k][32]; two nibbles make a byte: of A, k and k + 1;
// of B, columns c and c + 16. K is padded with zero codes to whole chunks. Metadata is [row][block] for A, and
// [panel][block][32] for B, whose columns beyond the matrix have zero codes.
struct WideOperand {
  WideCodec codec;
  Adjust adjust;
  bool scaled;         // kernels multiply elements by their factors when they unpack them
  const float* table;  // [16] values of nibbles
  const std::uint8_t* codes;
  std::int64_t stride;           // bytes between rows or panels
  std::int64_t k;                // without padding
  std::int64_t block;            // elements that share metadata: a multiple of 16
  std::int64_t blocks;           // of one row
  const std::uint16_t* factors;  // BF16, above zero; 1 for zero blocks; null where all are 1
  const std::uint16_t* first;    // null unless by_sign or affine
  const std::uint16_t* second;
  const std::uint32_t* micro;  // 2 bits for each of 16 groups; null unless micro
  const std::uint8_t* spans;   // see kSumBits
};

// The span of a block: ceil(2 log2(norm / unit)), for its Euclidean norm and for the largest power of two, unit, that
// divides all of its elements. Where two spans add up to at most 2 n, any sum of products of the two blocks is an
// integer of at most 2^n times both units (Cauchy-Schwarz).
inline constexpr int kFloatSum = 2 * 24;  // spans whose sums are exact in FP32
inline constexpr int kDoubleSum = 2 * 53;

inline constexpr std::int64_t kWideChunk = 128;  // elements of K at a time: a multiple of every block
inline constexpr std::int64_t kMaxSteps = kWideChunk / 16;

// An unpacked chunk. Elements past k are zero in rows, and finite in panels.
struct alignas(64) WideRows {
  float values[kWideChunk];
  float factor[kMaxSteps];  // of each accumulation step
  std::int32_t span[kMaxSteps];
};
struct alignas(64) WidePanel {
  float values[kWideChunk][kPanelCols];
  float factor[kMaxSteps][kPanelCols];
  std::int32_t span[kMaxSteps][kPanelCols];
  std::int32_t widest[kMaxSteps];  // span of any column
};

struct WideSteps {
  std::int64_t count;         // elements of the chunk: whole steps
  std::int64_t step;          // elements of an accumulation step: 16, 32, 64 or 128
  std::int32_t float_limit;   // spans whose sum is an FP32 number, and so is the product of their factors; or -1
  std::int32_t double_limit;  // spans whose sum, multiplied by the factors, is an FP64 number
};

// Unpacking writes `values` alone. Accumulators are FP32 [row][32].
//   multiply    acc = RNE(acc + sum * factors) for each step
//   chain       acc = RNE(acc + a * b), `count` times in ascending k; products of at most 24 bits
//   long_chain  the same for products of any two elements
struct WideKernel {
  void (*unpack_rows)(const WideOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                      WideRows* out);
  void (*unpack_panel)(const WideOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, WidePanel& out);
  void (*multiply)(const WideSteps& steps, std::int64_t rows, const WideRows* a, const WidePanel& b, float* acc);
  void (*chain)(std::int64_t rows, std::int64_t count, const WideRows* a, const WidePanel& b, float* acc);
  void (*long_chain)(std::int64_t rows, std::int64_t count, const WideRows* a, const WidePanel& b, float* acc);
};

namespace avx512 {
extern const WideKernel kWide;
}
namespace avx2 {
extern const WideKernel kWide;
}
namespace portable {
extern const WideKernel kWide;
}

// What no double holds: step `s` of one row and of the columns whose spans exceed the limit, with integers of 128 bits.
// `acc` has the row's accumulators before the step; the results go to `out`.
void add_exact_steps(const WideSteps& steps, std::int64_t s, const WideRows& a, const WidePanel& b, const float* acc,
                     float* out);

}  // namespace oscsim::numerics::kernels
