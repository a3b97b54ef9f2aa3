// SPDX-License-Identifier: Apache-2.0
// E4M3 x E4M3 (FP8 and MXFP8) with AVX2 and FMA: exact block sums in double, 4 products for each FMA, one rounding of
// each block into the FP32 accumulator.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 64;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kMaxRows = 3;
constexpr int kVectors = static_cast<int>(kPanelCols) / 4;

struct alignas(64) RowChunk {
  double values[kChunk];
  double scale[kBlocks];  // 2^(E8M0 - 127)
  double spread[6];
};
struct alignas(64) PanelChunk {
  double values[kChunk][kVectors][4];
  double scale[kBlocks][kVectors][4];
};

// Four codes, one in each 64-bit lane. Sign, exponent and mantissa move to their places in a double, and a factor of
// 2^(1023 - 7) moves the bias; it also makes subnormals right, which a double holds as subnormals until then.
__m256d decode4(__m256i codes) {
  const __m256i magnitude = _mm256_slli_epi64(_mm256_and_si256(codes, _mm256_set1_epi64x(0x7F)), 52 - 3);
  const __m256i sign = _mm256_slli_epi64(_mm256_and_si256(codes, _mm256_set1_epi64x(0x80)), 63 - 7);
  return _mm256_mul_pd(_mm256_castsi256_pd(_mm256_or_si256(magnitude, sign)), _mm256_set1_pd(0x1p1016));
}

__m256i load4(const std::uint8_t* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(word));
}

// 2^(E8M0 - 127).
__m256d scale4(const std::uint8_t* exponents) {
  const __m256i biased = _mm256_add_epi64(load4(exponents), _mm256_set1_epi64x(1023 - 127));
  return _mm256_castsi256_pd(_mm256_slli_epi64(biased, 52));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k;
    const std::uint8_t* exponents = a.exponents + (row + r) * a.blocks + k / kBlock;
    for (std::int64_t i = 0; i < count; i += 4) _mm256_store_pd(chunks[r].values + i, decode4(load4(codes + i)));
    for (std::int64_t block = 0; block < count / kBlock; ++block) {
      const std::int64_t bits = static_cast<std::int64_t>(exponents[block] - 127 + 1023) << 52;
      __builtin_memcpy(&chunks[r].scale[block], &bits, sizeof bits);
    }
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols;
  const std::uint8_t* exponents = b.exponents + (panel * b.blocks + k / kBlock) * kPanelCols;
  const __m128i even = _mm_setr_epi8(0, 2, 4, 6, -1, -1, -1, -1, 1, 3, 5, 7, -1, -1, -1, -1);
  for (std::int64_t i = 0; i < count; i += 2) {
    for (int v = 0; v < kVectors; ++v) {
      const auto* pairs = reinterpret_cast<const __m128i*>(codes + i * kPanelCols + v * 8);
      const __m128i split = _mm_shuffle_epi8(_mm_loadl_epi64(pairs), even);
      _mm256_store_pd(chunk.values[i][v], decode4(_mm256_cvtepu8_epi64(split)));
      _mm256_store_pd(chunk.values[i + 1][v], decode4(_mm256_cvtepu8_epi64(_mm_unpackhi_epi64(split, split))));
    }
  }
  for (std::int64_t block = 0; block < count / kBlock; ++block)
    for (int v = 0; v < kVectors; ++v)
      _mm256_store_pd(chunk.scale[block][v], scale4(exponents + block * kPanelCols + v * 4));
}

// Of the two doubles around the exact acc + term, the one with the odd last bit; `sum` is the nearest one (two-sum).
__m256d rounded_to_odd(__m256d sum, __m256d acc, __m256d term) {
  const __m256d term_seen = _mm256_sub_pd(sum, acc);
  const __m256d error =
      _mm256_add_pd(_mm256_sub_pd(acc, _mm256_sub_pd(sum, term_seen)), _mm256_sub_pd(term, term_seen));
  const __m256d inexact = _mm256_cmp_pd(error, _mm256_setzero_pd(), _CMP_NEQ_OQ);
  const __m256i one = _mm256_set1_epi64x(1);
  const __m256i bits = _mm256_castpd_si256(sum);
  const __m256i even = _mm256_cmpeq_epi64(_mm256_and_si256(bits, one), _mm256_setzero_si256());
  // +1 in the last place: away from zero; -1 where error and sum differ in sign.
  const __m256i opposite = _mm256_cmpgt_epi64(_mm256_setzero_si256(), _mm256_castpd_si256(_mm256_xor_pd(error, sum)));
  const __m256i lanes = _mm256_and_si256(even, _mm256_castpd_si256(inexact));
  return _mm256_castsi256_pd(_mm256_add_epi64(bits, _mm256_and_si256(_mm256_or_si256(opposite, one), lanes)));
}

// acc[0..4) = RNE_FP32(acc + sum * scale), one rounding.
//
// The addition in double may round. Its nearest double rounds to FP32 as the exact sum does unless it lies midway
// between two FP32 numbers, or among FP32's subnormals, where the midpoints are others: there it is rounded to odd
// (Boldo and Melquiond, IEEE Trans. Computers 57(4), 2008).
void round_block(__m256d sum, __m256d scale, float* acc) {
  const __m256d old = _mm256_cvtps_pd(_mm_loadu_ps(acc));
  __m256d result = _mm256_fmadd_pd(sum, scale, old);
  const __m256i discarded = _mm256_and_si256(_mm256_castpd_si256(result), _mm256_set1_epi64x((1LL << 29) - 1));
  const __m256i midpoint = _mm256_cmpeq_epi64(discarded, _mm256_set1_epi64x(1LL << 28));
  const __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), result);
  const __m256d subnormal = _mm256_cmp_pd(magnitude, _mm256_set1_pd(0x1p-126), _CMP_LT_OQ);
  if (_mm256_movemask_pd(_mm256_or_pd(subnormal, _mm256_castsi256_pd(midpoint))) != 0) [[unlikely]]
    result = rounded_to_odd(result, old, _mm256_mul_pd(sum, scale));
  _mm_storeu_ps(acc, _mm256_cvtpd_ps(result));
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void tile(std::int64_t blocks, const RowChunk* a, const PanelChunk& b, int half, float* acc) {
  const int v0 = half * 4;
  for (std::int64_t block = 0; block < blocks; ++block) {
    __m256d sum[kRows][4];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < 4; ++v) sum[r][v] = _mm256_setzero_pd();
    for (std::int64_t i = block * kBlock; i < (block + 1) * kBlock; ++i) {
      __m256d a1[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) a1[r] = _mm256_broadcast_sd(a[r].values + i);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m256d b4 = _mm256_load_pd(b.values[i][v0 + v]);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) sum[r][v] = _mm256_fmadd_pd(a1[r], b4, sum[r][v]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256d row_scale = _mm256_broadcast_sd(a[r].scale + block);
      for (int v = 0; v < 4; ++v)
        round_block(sum[r][v], _mm256_mul_pd(row_scale, _mm256_load_pd(b.scale[block][v0 + v])),
                    acc + r * kPanelCols + (v0 + v) * 4);
    }
  }
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, int, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    for (int half = 0; half < 2; ++half)
      kTiles[step - 1](count / kBlock, chunks + r, panel, half, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx2::kE4m3{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
