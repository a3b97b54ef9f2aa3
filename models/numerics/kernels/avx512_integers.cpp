// SPDX-License-Identifier: Apache-2.0
// Small integers with AVX-512 VNNI: 64 products for each VPDPBUSD, which multiplies unsigned by signed. A is held as
// integer + bias, and a sum starts at -bias * sum(b).
#include <immintrin.h>

#include "models/numerics/kernels/integer_kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 512;
constexpr int kMaxBlocks = kChunk / 16;
// Rows of a tile: 32 registers hold sums and dots, or INT32 sums alone, of two vectors of columns.
constexpr int kScaledRows = 6;
constexpr int kUnscaledRows = 12;

struct alignas(64) RowChunk {
  std::uint8_t codes[kChunk];  // integer + bias
  std::uint32_t factors[kMaxBlocks];
};
struct alignas(64) PanelChunk {
  struct Block {
    std::int32_t start[2][16];  // -bias * sum(b)
    std::uint32_t factors[2][16];
  };
  std::int8_t codes[kChunk / 4][2][64];  // two vectors of 16 columns, four k each
  Block blocks[kMaxBlocks];
};

// ------ unpacking

constexpr std::int64_t kRowsAhead = 6;  // of the row that is unpacked: the latency of L3

// Packed codes that are needed soon; whatever lies there. Hardware does not see it coming: rows are far apart.
void prefetch(const std::uint8_t* codes, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(codes + i), _MM_HINT_T1);
}

__m512i decode_table(const IntegerOperand& operand) {
  if (operand.code_bits == 8) return _mm512_setzero_si512();
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(operand.integers)));
}

// Times 2^shift: 16 shifts in a word, each for the four bytes of a lane. At most 28: no carries between bytes.
__m512i shifted(__m512i integers, std::uint32_t word) {
  const __m512i position = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i words = _mm512_set1_epi32(static_cast<int>(word));
  const __m512i shifts = _mm512_and_si512(_mm512_srlv_epi32(words, position), _mm512_set1_epi32(3));
  const __m512i magnitudes = _mm512_sllv_epi32(_mm512_abs_epi8(integers), shifts);
  return _mm512_mask_sub_epi8(magnitudes, _mm512_movepi8_mask(integers), _mm512_setzero_si512(), magnitudes);
}

void row_factors(const IntegerOperand& a, std::int64_t row, std::int64_t k, std::int64_t count, std::uint32_t* out) {
  const int summed_bits = __builtin_ctzll(static_cast<std::uint64_t>(a.summed));
  const std::int64_t blocks = count >> summed_bits;
  if (a.scales == nullptr) {
    for (std::int64_t i = 0; i < blocks; ++i) out[i] = a.factors[0];
    return;
  }
  const int ratio_bits = __builtin_ctzll(static_cast<std::uint64_t>(a.block)) - summed_bits;
  const std::uint8_t* scales = a.scales + row * a.blocks;
  for (std::int64_t i = 0; i < blocks; ++i) out[i] = a.factors[scales[((k >> summed_bits) + i) >> ratio_bits]];
}

void unpack_rows(const IntegerOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  const __m512i table = decode_table(a);
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(a.bias));
  const __m512i nibble = _mm512_set1_epi8(0x0F);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k * a.code_bits / 8;
    prefetch(codes + kRowsAhead * a.stride, count * a.code_bits / 8);
    for (std::int64_t i = 0; i < count; i += 64) {
      __m512i integers;
      if (a.code_bits == 4) {
        const __m512i pairs = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i / 2)));
        const __m512i codes8 = _mm512_and_si512(_mm512_or_si512(pairs, _mm512_slli_epi16(pairs, 4)), nibble);
        integers = _mm512_shuffle_epi8(table, codes8);
        if (a.shifts != nullptr) integers = shifted(integers, a.shifts[(row + r) * (a.stride / 32) + (k + i) / 64]);
      } else {
        integers = _mm512_loadu_si512(codes + i);
      }
      _mm512_store_si512(chunks[r].codes + i, _mm512_add_epi8(integers, bias));
    }
    if (a.summed != 0) row_factors(a, row + r, k, count, chunks[r].factors);
  }
}

// The integers of group g (four k) as two vectors of 16 columns.
struct Group {
  __m512i half[2];
};

Group panel_group(const IntegerOperand& b, const __m512i& table, const std::uint8_t* codes, const std::uint32_t* shifts,
                  std::int64_t g) {
  if (b.code_bits == 8) return {{_mm512_loadu_si512(codes + g * 128), _mm512_loadu_si512(codes + g * 128 + 64)}};
  const __m512i nibble = _mm512_set1_epi8(0x0F);
  const __m512i packed = _mm512_loadu_si512(codes + g * 64);
  Group group{{_mm512_shuffle_epi8(table, _mm512_and_si512(packed, nibble)),
               _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(packed, 4), nibble))}};
  if (shifts != nullptr)
    for (int h = 0; h < 2; ++h) group.half[h] = shifted(group.half[h], shifts[g * 2 + h]);
  return group;
}

void unpack_panel(const IntegerOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const __m512i table = decode_table(b);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols * b.code_bits / 8;
  const std::uint32_t* shifts = b.shifts == nullptr ? nullptr : b.shifts + panel * (b.stride / 32) + k / 2;
  prefetch(codes + b.stride, count * kPanelCols * b.code_bits / 8);  // the next panel
  const std::int64_t summed = b.summed == 0 ? count : b.summed;
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(b.bias));
  for (std::int64_t block = 0; block < count / summed; ++block) {
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (std::int64_t g = block * summed / 4; g < (block + 1) * summed / 4; ++g) {
      const Group group = panel_group(b, table, codes, shifts, g);
      for (int h = 0; h < 2; ++h) {
        _mm512_store_si512(chunk.codes[g][h], group.half[h]);
        sum[h] = _mm512_dpbusd_epi32(sum[h], bias, group.half[h]);
      }
    }
    const std::uint8_t* scales =
        b.scales == nullptr ? nullptr : b.scales + (panel * b.blocks + (k + block * summed) / b.block) * kPanelCols;
    for (int h = 0; h < 2; ++h) {
      _mm512_store_si512(chunk.blocks[block].start[h], _mm512_sub_epi32(_mm512_setzero_si512(), sum[h]));
      if (b.summed == 0) continue;
      for (int c = 0; c < 16; ++c)
        chunk.blocks[block].factors[h][c] = b.factors[scales == nullptr ? 0 : scales[h * 16 + c]];
    }
  }
}

// ------ multiplying

__m512i broadcast4(const std::uint8_t* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm512_set1_epi32(word);
}

// Adds the products of `groups` groups of four k, from group `first` on.
template <int kRows>
[[gnu::always_inline]] inline void add_products(const RowChunk* a, const PanelChunk& b, std::int64_t first,
                                                std::int64_t groups, __m512i (&dot)[kRows][2]) {
#pragma GCC unroll 16
  for (std::int64_t g = first; g < first + groups; ++g) {
    const __m512i b0 = _mm512_load_si512(b.codes[g][0]);
    const __m512i b1 = _mm512_load_si512(b.codes[g][1]);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512i a4 = broadcast4(a[r].codes + g * 4);
      dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], a4, b0);
      dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], a4, b1);
    }
  }
}

template <Scaling kScaling>
__m512 factor_product(std::uint32_t a, const std::uint32_t* b) {
  const __m512i row = _mm512_set1_epi32(static_cast<int>(a));
  const __m512i columns = _mm512_load_si512(b);
  if constexpr (kScaling == Scaling::powers) return _mm512_castsi512_ps(_mm512_add_epi32(columns, row));
  return _mm512_mul_ps(_mm512_castsi512_ps(columns), _mm512_castsi512_ps(row));
}

template <int kRows, int kSummed, Scaling kScaling>
void scaled_tile(std::int64_t count, const RowChunk* a, const PanelChunk& b, float* acc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) sum[r][h] = _mm512_loadu_ps(acc + r * kPanelCols + h * 16);
  for (std::int64_t block = 0; block < count / kSummed; ++block) {
    __m512i dot[kRows][2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      for (int h = 0; h < 2; ++h) dot[r][h] = _mm512_load_si512(b.blocks[block].start[h]);
    add_products<kRows>(a, b, block * kSummed / 4, kSummed / 4, dot);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      for (int h = 0; h < 2; ++h)
        sum[r][h] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][h]),
                            factor_product<kScaling>(a[r].factors[block], b.blocks[block].factors[h]), sum[r][h]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(acc + r * kPanelCols + h * 16, sum[r][h]);
}

template <int kRows>
void unscaled_tile(std::int64_t count, const RowChunk* a, const PanelChunk& b, float* acc) {
  __m512i sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h)
      sum[r][h] =
          _mm512_add_epi32(_mm512_loadu_si512(acc + r * kPanelCols + h * 16), _mm512_load_si512(b.blocks[0].start[h]));
  for (std::int64_t g = 0; g < count / 4; ++g) add_products<kRows>(a, b, g, 1, sum);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_si512(acc + r * kPanelCols + h * 16, sum[r][h]);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, float*);

template <std::int64_t kMaxRows, const Tile (&kTiles)[kMaxRows]>
void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    kTiles[step - 1](count, chunks + r, panel, acc + r * kPanelCols);
  }
}

template <int kSummed, Scaling kScaling>
constexpr Tile kScaledTiles[kScaledRows] = {scaled_tile<1, kSummed, kScaling>, scaled_tile<2, kSummed, kScaling>,
                                            scaled_tile<3, kSummed, kScaling>, scaled_tile<4, kSummed, kScaling>,
                                            scaled_tile<5, kSummed, kScaling>, scaled_tile<6, kSummed, kScaling>};
constexpr Tile kUnscaledTiles[kUnscaledRows] = {
    unscaled_tile<1>, unscaled_tile<2>, unscaled_tile<3>, unscaled_tile<4>,  unscaled_tile<5>,  unscaled_tile<6>,
    unscaled_tile<7>, unscaled_tile<8>, unscaled_tile<9>, unscaled_tile<10>, unscaled_tile<11>, unscaled_tile<12>};

template <Scaling kScaling>
decltype(IntegerKernel::multiply) scaled(std::int64_t summed) {
  if (summed == 16) return multiply<kScaledRows, kScaledTiles<16, kScaling>>;
  if (summed == 32) return multiply<kScaledRows, kScaledTiles<32, kScaling>>;
  return multiply<kScaledRows, kScaledTiles<64, kScaling>>;
}

}  // namespace

IntegerKernel avx512::integer_kernel(const IntegerTask& task) {
  IntegerKernel kernel{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, nullptr};
  switch (task.scaling) {
    case Scaling::none:
      kernel.multiply = multiply<kUnscaledRows, kUnscaledTiles>;
      break;
    case Scaling::powers:
      kernel.multiply = scaled<Scaling::powers>(task.summed);
      break;
    case Scaling::floats:
      kernel.multiply = scaled<Scaling::floats>(task.summed);
      break;
  }
  // Half a chunk of a panel with a start and a factor for every 16 elements stays in 32 KiB of L1 with the rows.
  if (task.summed == 16) kernel.chunk = kChunk / 2;
  return kernel;
}

}  // namespace oscsim::numerics::kernels
