// SPDX-License-Identifier: Apache-2.0
// The interface between the engine and its kernels: packed operands, and what a kernel does with a chunk of K.
//
// Kernel files are compiled with instruction set flags, so this header holds plain data only: an inline function of it
// would be compiled with those flags too, and the linker might keep that copy for every CPU.
#pragma once

#include <cstddef>
#include <cstdint>

namespace oscsim::numerics::kernels {

inline constexpr std::int64_t kPanelCols = 32;  // columns of Y (rows of B) that are packed together
inline constexpr std::int64_t kBlock = 32;      // elements of a block, MX and FP8

enum class Element : std::uint8_t { e4m3, bf16, fp16, fp32 };

// E4M3 as integers: the element in units of 2^-9 has up to 18 bits. A block is held as int16 with a shift of its own:
//   element = (high * 2^shift + low) * 2^-9,   low = 0 for almost every element.
// Shifts are chosen such that the Euclidean norms of the high parts of a block stay below these, so that the dot
// product of a block of A and a block of B fits an int32 (Cauchy-Schwarz).
inline constexpr std::int64_t kRowNorm = std::int64_t{1} << 15;
inline constexpr std::int64_t kPanelNorm = std::int64_t{1} << 16;
inline constexpr std::uint8_t kHasLow = 0x80;  // flag in a shift: some element of the block has a low part

// One packed operand. A is packed by rows: row-major. B is packed by panels of 32 columns:
//   e4m3              [k / 2][32][2] bytes
//   bf16, fp16, fp32  [k][32]
// K of e4m3 is padded with zeros to whole blocks of 32. Scales and shifts are [row][block] for A and
// [panel][block][32] for B. Blocks that are zero, and NaN scales, carry the smallest exponent of the operand.
struct PackedOperand {
  Element element;
  const std::uint8_t* codes;
  std::int64_t stride;            // bytes between rows or panels
  std::int64_t blocks;            // of one row
  const std::uint8_t* exponents;  // E8M0; 127 where the format has no block scales. e4m3
  const std::uint8_t* shifts;     // e4m3
};

// A kernel takes K in chunks. A chunk of every row of A and of one panel of B is unpacked into scratch memory (64-byte
// aligned), whose layout is the kernel's own, and multiplied into accumulators [row][32]: FP32, or INT32 where the
// kernel says so. `count` elements of a chunk starting at `k`: both multiples of 32, except for 16- and
// 32-bit elements.
template <class Operand>
struct TileKernelOf {
  std::int64_t chunk;        // largest count
  std::int64_t row_bytes;    // scratch of a row
  std::int64_t panel_bytes;  // scratch of a panel
  void (*unpack_rows)(const Operand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                      std::byte* out);
  void (*unpack_panel)(const Operand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out);
  void (*multiply)(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc);
};
using TileKernel = TileKernelOf<PackedOperand>;

// kE4m3, kMxfp8  acc = RNE(acc + dot * 2^e) for each block, any scales.
// kFp8           without block scales, k at most 2^17: sums that a double holds.
// kChain         acc = RNE(acc + a * b), ascending k. The portable one takes 16-bit elements only.
namespace avx512 {
extern const TileKernel kFp8;
extern const TileKernel kMxfp8;
extern const TileKernel kChain;
}  // namespace avx512
namespace avx2 {
extern const TileKernel kE4m3;
extern const TileKernel kChain;
}  // namespace avx2
namespace portable {
extern const TileKernel kE4m3;
extern const TileKernel kChain;
extern const TileKernel kWideChain;  // any element
}  // namespace portable

}  // namespace oscsim::numerics::kernels
