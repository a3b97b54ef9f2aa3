// SPDX-License-Identifier: Apache-2.0
// INT8 x INT8 with AVX-512 VNNI, exact INT32 sums.
//
// VPDPBUSD multiplies unsigned by signed: A is held as element + 128, and each chunk's sum starts at -128 * sum(b).
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 512;
constexpr int kMaxRows = 12;

struct alignas(64) RowChunk {
  std::uint8_t codes[kChunk];  // element + 128
  std::uint8_t spread[64];     // keeps the rows of a tile out of one set of the cache
};
struct alignas(64) PanelChunk {
  std::int8_t codes[kChunk / 4][2][64];  // two vectors of 16 columns, four k each
  std::int32_t start[2][16];             // -128 * sum(b)
};

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  const __m256i sign = _mm256_set1_epi8(static_cast<char>(0x80));
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k;
    for (std::int64_t i = 0; i < count; i += 32)
      _mm256_store_si256(reinterpret_cast<__m256i*>(chunks[r].codes + i),
                         _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i)), sign));
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols;
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(128));
  for (int h = 0; h < 2; ++h) {
    __m512i sum = _mm512_setzero_si512();
    for (std::int64_t g = 0; g < count / 4; ++g) {
      const __m512i elements = _mm512_loadu_si512(codes + g * 128 + h * 64);
      _mm512_store_si512(chunk.codes[g][h], elements);
      sum = _mm512_dpbusd_epi32(sum, bias, elements);
    }
    _mm512_store_si512(chunk.start[h], _mm512_sub_epi32(_mm512_setzero_si512(), sum));
  }
}

__m512i broadcast4(const std::uint8_t* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm512_set1_epi32(word);
}

template <int kRows>
void tile(std::int64_t groups, const RowChunk* a, const PanelChunk& b, float* acc) {
  __m512i sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h)
      sum[r][h] = _mm512_add_epi32(_mm512_loadu_si512(acc + r * kPanelCols + h * 16), _mm512_load_si512(b.start[h]));
  for (std::int64_t g = 0; g < groups; ++g) {
    const __m512i b0 = _mm512_load_si512(b.codes[g][0]);
    const __m512i b1 = _mm512_load_si512(b.codes[g][1]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512i a4 = broadcast4(a[r].codes + g * 4);
      sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], a4, b0);
      sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], a4, b1);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_si512(acc + r * kPanelCols + h * 16, sum[r][h]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>,  tile<5>,  tile<6>,
                                   tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    kTiles[step - 1](count / 4, chunks + r, panel, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx512::kInt8{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
