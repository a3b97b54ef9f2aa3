// SPDX-License-Identifier: Apache-2.0
// MXFP4 x MXFP4 with AVX2: E2M1 in half units (0 1 2 3 4 6 8 12), 32 products for each VPMADDUBSW.
//
// VPMADDUBSW multiplies unsigned by signed: A is held as element + 12, and the block sum starts at -12 * sum(b). A
// 16-bit lane adds 16 products of a block, at most 16 * 24 * 12 = 4608.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 512;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kGroups = kBlock / 4;
constexpr int kMaxRows = 4;

// The bits of the scale product times 2^-2 as FP32 are the sum of a row's part, (ea - 256) << 23, and a panel's part,
// (eb + 127) << 23.
struct alignas(64) RowChunk {
  std::uint8_t codes[kChunk];  // element + 12
  std::int32_t scale[kBlocks];
};
struct alignas(64) PanelChunk {
  std::int8_t codes[kBlocks * kGroups][4][32];  // four vectors of 8 columns, four k each
  std::int32_t start[kBlocks][4][8];            // -12 * sum(b)
  std::int32_t scale[kBlocks][4][8];
};

__m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

void store(void* to, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}

__m256i decode_table(int bias) {
  const __m128i magnitudes = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return _mm256_broadcastsi128_si256(_mm_add_epi8(magnitudes, _mm_set1_epi8(static_cast<char>(bias))));
}

// Sums of four neighbouring 16-bit products' halves: two 16-bit lanes to one 32-bit lane.
__m256i pair_sums(__m256i words) {
  return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  const __m256i table = decode_table(12);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k / 2;
    const std::uint8_t* exponents = a.exponents + (row + r) * a.blocks + k / kBlock;
    for (std::int64_t i = 0; i < count; i += kBlock) {
      const __m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i / 2)));
      const __m256i nibbles =
          _mm256_and_si256(_mm256_or_si256(bytes, _mm256_slli_epi16(bytes, 4)), _mm256_set1_epi16(0x0F0F));
      store(chunks[r].codes + i, _mm256_shuffle_epi8(table, nibbles));
      chunks[r].scale[i / kBlock] = (exponents[i / kBlock] - 256) * (1 << 23);
    }
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * (kPanelCols / 2);
  const std::uint8_t* exponents = b.exponents + (panel * b.blocks + k / kBlock) * kPanelCols;
  const __m256i table = decode_table(0);
  const __m256i nibble = _mm256_set1_epi8(0x0F);
  for (std::int64_t block = 0; block < count / kBlock; ++block) {
    for (int v = 0; v < 4; ++v) {  // vectors 0 and 1 are in the low nibbles, 2 and 3 in the high nibbles
      __m256i sum = _mm256_setzero_si256();
      for (std::int64_t g = block * kGroups; g < (block + 1) * kGroups; ++g) {
        const __m256i packed = load(codes + g * 64 + v % 2 * 32);
        const __m256i index = _mm256_and_si256(v < 2 ? packed : _mm256_srli_epi16(packed, 4), nibble);
        const __m256i elements = _mm256_shuffle_epi8(table, index);
        store(chunk.codes[g][v], elements);
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_set1_epi8(12), elements));
      }
      store(chunk.start[block][v], _mm256_sub_epi32(_mm256_setzero_si256(), pair_sums(sum)));
      const __m128i e8m0 = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(exponents + block * kPanelCols + v * 8));
      const __m256i exponent = _mm256_add_epi32(_mm256_cvtepu8_epi32(e8m0), _mm256_set1_epi32(127));
      store(chunk.scale[block][v], _mm256_slli_epi32(exponent, 23));
    }
  }
}

__m256i broadcast4(const std::uint8_t* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm256_set1_epi32(word);
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void tile(std::int64_t blocks, const RowChunk* a, const PanelChunk& b, int half, float* acc) {
  const int v0 = half * 2;
  for (std::int64_t block = 0; block < blocks; ++block) {
    __m256i dot[kRows][2];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < 2; ++v) dot[r][v] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      const __m256i b0 = load(b.codes[block * kGroups + g][v0]);
      const __m256i b1 = load(b.codes[block * kGroups + g][v0 + 1]);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256i a4 = broadcast4(a[r].codes + block * kBlock + g * 4);
        dot[r][0] = _mm256_add_epi16(dot[r][0], _mm256_maddubs_epi16(a4, b0));
        dot[r][1] = _mm256_add_epi16(dot[r][1], _mm256_maddubs_epi16(a4, b1));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < 2; ++v) {
        float* out = acc + r * kPanelCols + (v0 + v) * 8;
        const __m256i sum = _mm256_add_epi32(pair_sums(dot[r][v]), load(b.start[block][v0 + v]));
        const __m256i scale = _mm256_add_epi32(load(b.scale[block][v0 + v]), _mm256_set1_epi32(a[r].scale[block]));
        _mm256_storeu_ps(out,
                         _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_castsi256_ps(scale), _mm256_loadu_ps(out)));
      }
    }
  }
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, int, float*);
constexpr Tile kTiles[kMaxRows] = {tile<1>, tile<2>, tile<3>, tile<4>};

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

const TileKernel avx2::kMxfp4{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
