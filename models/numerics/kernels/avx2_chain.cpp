// SPDX-License-Identifier: Apache-2.0
// FP32 FMA chains in ascending k with AVX2, FMA and F16C: BF16, FP16 and FP32 operands. Products of 16-bit elements are
// exact inside the FMA, so one FMA is one rounding of acc + a * b.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 128;
constexpr int kMaxRows = 6;

struct alignas(64) RowChunk {
  float values[kChunk];
  float spread[16];  // keeps the rows of a tile out of one set of the cache
};
struct alignas(64) PanelChunk {
  float values[kChunk][4][8];
};

__m256 load8(Element element, const std::uint8_t* codes, std::int64_t i) {
  if (element == Element::fp32) return _mm256_loadu_ps(reinterpret_cast<const float*>(codes) + i);
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 2 * i));
  if (element == Element::fp16) return _mm256_cvtph_ps(narrow);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) _mm256_store_ps(chunks[r].values + i, load8(a.element, codes, k + i));
    if (i < count) {
      const std::int64_t size = a.element == Element::fp32 ? 4 : 2;
      alignas(32) std::uint8_t tail[32] = {};
      __builtin_memcpy(tail, codes + (k + i) * size, static_cast<std::size_t>((count - i) * size));
      _mm256_store_ps(chunks[r].values + i, load8(a.element, tail, 0));
    }
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride;
  for (std::int64_t i = 0; i < count; ++i)
    for (int v = 0; v < 4; ++v)
      _mm256_store_ps(chunk.values[i][v], load8(b.element, codes, (k + i) * kPanelCols + v * 8));
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void tile(std::int64_t count, const RowChunk* a, const PanelChunk& b, int half, float* acc) {
  __m256 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) sum[r][v] = _mm256_loadu_ps(acc + r * kPanelCols + half * 16 + v * 8);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m256 b0 = _mm256_load_ps(b.values[i][half * 2]);
    const __m256 b1 = _mm256_load_ps(b.values[i][half * 2 + 1]);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m256 a1 = _mm256_set1_ps(a[r].values[i]);
      sum[r][0] = _mm256_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) _mm256_storeu_ps(acc + r * kPanelCols + half * 16 + v * 8, sum[r][v]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, int, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    for (int half = 0; half < 2; ++half) kTiles[step - 1](count, chunks + r, panel, half, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx2::kChain{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
