// SPDX-License-Identifier: Apache-2.0
// MXFP4 x MXFP4 with AVX-512 VNNI: E2M1 in half units (0 1 2 3 4 6 8 12), 64 products for each VPDPBUSD.
//
// VPDPBUSD multiplies unsigned by signed: A is held as element + 12, and the block sum starts at -12 * sum(b).
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 512;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kGroups = kBlock / 4;  // VPDPBUSD adds four products in each lane
constexpr int kMaxRows = 6;

// A block value is dot * 2^-2 * 2^(ea - 127) * 2^(eb - 127). The bits of that power of two as FP32 are the sum of a
// row's part, (ea - 256) << 23, and a panel's part, (eb + 127) << 23.
struct alignas(64) RowChunk {
  std::uint8_t codes[kChunk];  // element + 12
  std::int32_t scale[kBlocks];
};
struct alignas(64) PanelChunk {
  std::int8_t codes[kBlocks * kGroups][2][64];  // two vectors of 16 columns, four k each
  std::int32_t start[kBlocks][2][16];           // -12 * sum(b)
  std::int32_t scale[kBlocks][2][16];
};

__m512i decode_table(int bias) {
  const __m128i magnitudes = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return _mm512_broadcast_i32x4(_mm_add_epi8(magnitudes, _mm_set1_epi8(static_cast<char>(bias))));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  const __m512i table = decode_table(12);
  const __m512i nibble = _mm512_set1_epi16(0x0F0F);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k / 2;
    const std::uint8_t* exponents = a.exponents + (row + r) * a.blocks + k / kBlock;
    for (std::int64_t i = 0; i < count; i += kBlock) {
      const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i / 2));
      const __m512i bytes = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(packed));
      const __m512i codes8 = _mm512_and_si512(_mm512_or_si512(bytes, _mm512_slli_epi16(bytes, 4)), nibble);
      _mm256_store_si256(reinterpret_cast<__m256i*>(chunks[r].codes + i),
                         _mm512_castsi512_si256(_mm512_shuffle_epi8(table, codes8)));
      chunks[r].scale[i / kBlock] = (exponents[i / kBlock] - 256) * (1 << 23);
    }
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * (kPanelCols / 2);
  const std::uint8_t* exponents = b.exponents + (panel * b.blocks + k / kBlock) * kPanelCols;
  const __m512i table = decode_table(0);
  const __m512i nibble = _mm512_set1_epi8(0x0F);
  const __m512i bias = _mm512_set1_epi8(12);
  for (std::int64_t block = 0; block < count / kBlock; ++block) {
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (std::int64_t g = block * kGroups; g < (block + 1) * kGroups; ++g) {
      const __m512i packed = _mm512_loadu_si512(codes + g * 64);
      const __m512i halves[2] = {_mm512_and_si512(packed, nibble),
                                 _mm512_and_si512(_mm512_srli_epi16(packed, 4), nibble)};
      for (int h = 0; h < 2; ++h) {
        const __m512i elements = _mm512_shuffle_epi8(table, halves[h]);
        _mm512_store_si512(chunk.codes[g][h], elements);
        sum[h] = _mm512_dpbusd_epi32(sum[h], bias, elements);
      }
    }
    for (int h = 0; h < 2; ++h) {
      _mm512_store_si512(chunk.start[block][h], _mm512_sub_epi32(_mm512_setzero_si512(), sum[h]));
      const __m128i e8m0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(exponents + block * kPanelCols + h * 16));
      const __m512i exponent = _mm512_add_epi32(_mm512_cvtepu8_epi32(e8m0), _mm512_set1_epi32(127));
      _mm512_store_si512(chunk.scale[block][h], _mm512_slli_epi32(exponent, 23));
    }
  }
}

__m512i broadcast4(const std::uint8_t* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm512_set1_epi32(word);
}

template <int kRows>
void tile(std::int64_t blocks, const RowChunk* a, const PanelChunk& b, float* acc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) sum[r][h] = _mm512_loadu_ps(acc + r * kPanelCols + h * 16);
  for (std::int64_t block = 0; block < blocks; ++block) {
    __m512i dot[kRows][2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      for (int h = 0; h < 2; ++h) dot[r][h] = _mm512_load_si512(b.start[block][h]);
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      const __m512i b0 = _mm512_load_si512(b.codes[block * kGroups + g][0]);
      const __m512i b1 = _mm512_load_si512(b.codes[block * kGroups + g][1]);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512i a4 = broadcast4(a[r].codes + block * kBlock + g * 4);
        dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], a4, b0);
        dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], a4, b1);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i row_scale = _mm512_set1_epi32(a[r].scale[block]);
      for (int h = 0; h < 2; ++h) {
        const __m512i scale = _mm512_add_epi32(_mm512_load_si512(b.scale[block][h]), row_scale);
        sum[r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][h]), _mm512_castsi512_ps(scale), sum[r][h]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(acc + r * kPanelCols + h * 16, sum[r][h]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>, tile<5>, tile<6>};

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    kTiles[step - 1](count / kBlock, chunks + r, panel, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx512::kMxfp4{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
