// SPDX-License-Identifier: Apache-2.0
// FP32 FMA chains in ascending k with AVX-512: BF16, FP16 and FP32 operands. Products of 16-bit elements are exact
// inside the FMA, so one FMA is one rounding of acc + a * b.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 128;
constexpr int kMaxRows = 12;

struct alignas(64) RowChunk {
  float values[kChunk];
  float spread[16];  // keeps the rows of a tile out of one set of the cache
};
struct alignas(64) PanelChunk {
  float values[kChunk][2][16];
};

// Elements [i, i + 16) of `codes`; lanes outside `mask` are zero and not read.
__m512 load16(Element element, const std::uint8_t* codes, std::int64_t i, __mmask16 mask) {
  if (element == Element::fp32) return _mm512_maskz_loadu_ps(mask, codes + 4 * i);
  const __m256i narrow = _mm256_maskz_loadu_epi16(mask, codes + 2 * i);
  if (element == Element::fp16) return _mm512_cvtph_ps(narrow);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    for (std::int64_t i = 0; i < count; i += 16) {
      const auto mask = static_cast<__mmask16>(count - i >= 16 ? 0xFFFF : (1 << (count - i)) - 1);
      _mm512_store_ps(chunks[r].values + i, load16(a.element, codes, k + i, mask));
    }
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride;
  for (std::int64_t i = 0; i < count; ++i)
    for (int h = 0; h < 2; ++h)
      _mm512_store_ps(chunk.values[i][h], load16(b.element, codes, (k + i) * kPanelCols + h * 16, 0xFFFF));
}

template <int kRows>
void tile(std::int64_t count, const RowChunk* a, const PanelChunk& b, float* acc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) sum[r][h] = _mm512_loadu_ps(acc + r * kPanelCols + h * 16);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m512 b0 = _mm512_load_ps(b.values[i][0]);
    const __m512 b1 = _mm512_load_ps(b.values[i][1]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512 a1 = _mm512_set1_ps(a[r].values[i]);
      sum[r][0] = _mm512_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(acc + r * kPanelCols + h * 16, sum[r][h]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>,  tile<5>,  tile<6>,
                                   tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    kTiles[step - 1](count, chunks + r, panel, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx512::kChain{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
