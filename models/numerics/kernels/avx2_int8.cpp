// SPDX-License-Identifier: Apache-2.0
// INT8 x INT8 with AVX2: widened to 16 bits, 16 products for each VPMADDWD, exact INT32 sums.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 256;
constexpr int kMaxRows = 6;

struct alignas(64) RowChunk {
  std::int16_t values[kChunk];
};
struct alignas(64) PanelChunk {
  std::int16_t values[kChunk / 2][4][16];  // four vectors of 8 columns, two k each
};

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k;
    for (std::int64_t i = 0; i < count; i += 16)
      _mm256_store_si256(reinterpret_cast<__m256i*>(chunks[r].values + i),
                         _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i))));
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols;
  for (std::int64_t g = 0; g < count / 4; ++g) {
    for (int v = 0; v < 4; ++v) {
      const auto* quads = reinterpret_cast<const __m128i*>(codes + (g * kPanelCols + v * 8) * 4);
      const __m256 low = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm_loadu_si128(quads)));       // columns 0..3
      const __m256 high = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm_loadu_si128(quads + 1)));  // columns 4..7
      // The first or second pair of each column; 64-bit parts come out as columns 01 45 23 67.
      const __m256i first = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
      const __m256i second = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xDD));
      _mm256_store_si256(reinterpret_cast<__m256i*>(chunk.values[2 * g][v]), _mm256_permute4x64_epi64(first, 0xD8));
      _mm256_store_si256(reinterpret_cast<__m256i*>(chunk.values[2 * g + 1][v]),
                         _mm256_permute4x64_epi64(second, 0xD8));
    }
  }
}

__m256i broadcast_pair(const std::int16_t* pair) {
  std::int32_t word;
  __builtin_memcpy(&word, pair, sizeof word);
  return _mm256_set1_epi32(word);
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void tile(std::int64_t pairs, const RowChunk* a, const PanelChunk& b, int half, float* acc) {
  __m256i sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v)
      sum[r][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + r * kPanelCols + half * 16 + v * 8));
  for (std::int64_t p = 0; p < pairs; ++p) {
    const __m256i b0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b.values[p][half * 2]));
    const __m256i b1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(b.values[p][half * 2 + 1]));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m256i pair = broadcast_pair(a[r].values + 2 * p);
      sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(pair, b0));
      sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(pair, b1));
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc + r * kPanelCols + half * 16 + v * 8), sum[r][v]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, int, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    for (int half = 0; half < 2; ++half) kTiles[step - 1](count / 2, chunks + r, panel, half, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx2::kInt8{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
