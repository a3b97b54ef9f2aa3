// SPDX-License-Identifier: Apache-2.0
// E4M3 x E4M3 (FP8 and MXFP8) with AVX-512 VNNI: exact block sums by 16-bit VPDPWSSD, 32 products each.
//
// An E4M3 block spans 18 bits, but seldom all of them: it is held as int16 with a shift of its own, and an int32 holds
// the sum of 32 products (kernel.h). Elements that do not fit leave a low part; the few pairs of k that have one are
// multiplied separately, and all parts are added as doubles, exactly, before the one rounding of the block.
#include <immintrin.h>

#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 256;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kPairs = kBlock / 2;  // VPDPWSSD adds two products in each lane
constexpr int kMaxRows = 6;

// A block value is sum(high * high) * 2^(row's scale + panel's scale). Scales are kept as bits of a double, the bias in
// the panel's: their integer sum is the bits of the product.
struct alignas(64) RowChunk {
  std::int16_t high[kChunk];
  std::int16_t low[kChunk];  // of blocks with low_pairs
  std::int64_t scale[kBlocks];
  double low_unit[kBlocks];          // 2^-shift: weight of a low part against a high part
  std::uint32_t low_pairs[kBlocks];  // bit p: pair p of the block has a low part
};
struct alignas(64) PanelChunk {
  std::int16_t high[kBlocks * kPairs][2][32];  // two vectors of 16 columns, two k each
  std::int16_t low[kBlocks * kPairs][2][32];   // of blocks with low_pairs
  std::int64_t scale[kBlocks][4][8];
  double low_unit[kBlocks][4][8];
  std::uint32_t low_pairs[kBlocks];
};

constexpr int kUnit = -9;  // log2 of the smallest E4M3 element
constexpr int kE8m0Bias = 127;
constexpr int kDoubleBias = 1023;
constexpr int kDoubleMantissa = 52;

struct Parts {
  __m512i high;
  __m512i low;
};

// Codes, one in each 16-bit lane: element * 2^9 = high * 2^shift + low, high rounded toward zero.
Parts decode(__m512i codes, __m512i shift) {
  const __m512i field = _mm512_and_si512(_mm512_srli_epi16(codes, 3), _mm512_set1_epi16(15));
  const __m512i fraction = _mm512_and_si512(codes, _mm512_set1_epi16(7));
  const __m512i hidden = _mm512_maskz_set1_epi16(_mm512_test_epi16_mask(field, field), 8);
  const __m512i significand = _mm512_or_si512(fraction, hidden);
  const __m512i weight = _mm512_max_epu16(field, _mm512_set1_epi16(1));  // element = significand * 2^(weight - 1)
  const __m512i right = _mm512_sub_epi16(_mm512_add_epi16(shift, _mm512_set1_epi16(13)), weight);
  const __m512i high = _mm512_srlv_epi16(_mm512_slli_epi16(significand, 12), right);
  // Modulo 2^16, which is enough for the difference: it is below 2^shift.
  const __m512i element = _mm512_sllv_epi16(significand, _mm512_sub_epi16(weight, _mm512_set1_epi16(1)));
  const __m512i low = _mm512_sub_epi16(element, _mm512_sllv_epi16(high, shift));
  const __mmask32 negative = _mm512_test_epi16_mask(codes, _mm512_set1_epi16(0x80));
  const __m512i zero = _mm512_setzero_si512();
  return {_mm512_mask_sub_epi16(high, negative, zero, high), _mm512_mask_sub_epi16(low, negative, zero, low)};
}

double power_of_two(int exponent) {
  const std::int64_t bits = static_cast<std::int64_t>(exponent + kDoubleBias) << kDoubleMantissa;
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

__m512i load_codes(const std::uint8_t* codes) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k;
    const std::int64_t first = (row + r) * a.blocks + k / kBlock;
    for (std::int64_t block = 0; block < count / kBlock; ++block) {
      const int flagged = a.shifts[first + block];
      const int shift = flagged & ~kHasLow;
      const Parts parts =
          decode(load_codes(codes + block * kBlock), _mm512_set1_epi16(static_cast<std::int16_t>(shift)));
      _mm512_store_si512(chunks[r].high + block * kBlock, parts.high);
      chunks[r].scale[block] = static_cast<std::int64_t>(shift + kUnit + a.exponents[first + block] - kE8m0Bias) *
                               (std::int64_t{1} << kDoubleMantissa);
      chunks[r].low_pairs[block] = 0;
      if (flagged & kHasLow) {
        chunks[r].low_unit[block] = power_of_two(-shift);
        _mm512_store_si512(chunks[r].low + block * kBlock, parts.low);
        chunks[r].low_pairs[block] = _mm512_test_epi32_mask(parts.low, parts.low);
      }
    }
  }
}

// Shifts of 16 columns for a vector of pairs.
__m512i pair_shifts(const std::uint8_t* shifts) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(shifts));
  const __m512i lanes = _mm512_and_si512(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(kHasLow - 1));
  return _mm512_or_si512(lanes, _mm512_slli_epi32(lanes, 16));
}

void unpack_panel_low(const std::uint8_t* codes, const std::uint8_t* shifts, std::int64_t block, PanelChunk& chunk) {
  std::uint32_t pairs = 0;
  for (int p = 0; p < kPairs; ++p) {
    for (int h = 0; h < 2; ++h) {
      const __m512i low = decode(load_codes(codes + p * 64 + h * 32), pair_shifts(shifts + h * 16)).low;
      _mm512_store_si512(chunk.low[block * kPairs + p][h], low);
      if (_mm512_test_epi32_mask(low, low) != 0) pairs |= 1U << p;
    }
  }
  chunk.low_pairs[block] = pairs;
  for (int col = 0; col < kPanelCols; ++col)
    chunk.low_unit[block][col / 8][col % 8] = power_of_two(-(shifts[col] & (kHasLow - 1)));
}

__m512i load_exponents(const std::uint8_t* bytes) {
  return _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols;
  const std::int64_t first = (panel * b.blocks + k / kBlock) * kPanelCols;
  for (std::int64_t block = 0; block < count / kBlock; ++block) {
    const std::uint8_t* block_codes = codes + block * kBlock * kPanelCols;
    const std::uint8_t* shifts = b.shifts + first + block * kPanelCols;
    const std::uint8_t* exponents = b.exponents + first + block * kPanelCols;
    for (int h = 0; h < 2; ++h) {
      const __m512i shift = pair_shifts(shifts + h * 16);
      for (int p = 0; p < kPairs; ++p)
        _mm512_store_si512(chunk.high[block * kPairs + p][h],
                           decode(load_codes(block_codes + p * 64 + h * 32), shift).high);
    }
    for (int q = 0; q < 4; ++q) {
      const __m512i shift = _mm512_and_si512(load_exponents(shifts + q * 8), _mm512_set1_epi64(kHasLow - 1));
      const __m512i biased = _mm512_add_epi64(_mm512_add_epi64(shift, load_exponents(exponents + q * 8)),
                                              _mm512_set1_epi64(kUnit - kE8m0Bias + kDoubleBias));
      _mm512_store_si512(chunk.scale[block][q], _mm512_slli_epi64(biased, kDoubleMantissa));
    }
    chunk.low_pairs[block] = 0;
    const __m256i flags = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(shifts));
    if (_mm256_movemask_epi8(flags) != 0) unpack_panel_low(block_codes, shifts, block, chunk);
  }
}

__m512i broadcast_pair(const std::int16_t* pair) {
  std::int32_t word;
  __builtin_memcpy(&word, pair, sizeof word);
  return _mm512_set1_epi32(word);
}

// acc[0..8) = RNE_FP32(acc + sum * scale), one rounding.
//
// Without kWide the addition in double is exact. With it, the double is rounded to odd: of the two doubles around the
// exact sum the one with the odd last bit, which rounds to FP32 as the exact sum does (Boldo and Melquiond, IEEE Trans.
// Computers 57(4), 2008).
template <bool kWide>
void round_block(__m512d sum, __m512i scale, float* acc) {
  const __m512d factor = _mm512_castsi512_pd(scale);
  const __m512d old = _mm512_cvtps_pd(_mm256_loadu_ps(acc));
  __m512d result;
  if constexpr (kWide) {
    const __m512d below = _mm512_fmadd_round_pd(sum, factor, old, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    const __m512d above = _mm512_fmadd_round_pd(sum, factor, old, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    const __mmask8 even = _mm512_testn_epi64_mask(_mm512_castpd_si512(below), _mm512_set1_epi64(1));
    result = _mm512_mask_mov_pd(below, even, above);
  } else {
    result = _mm512_fmadd_pd(sum, factor, old);
  }
  _mm256_storeu_ps(acc, _mm512_cvtpd_ps(result));
}

// Exact sums of one block of a tile that are not yet rounded into the accumulators. In units of high * high,
//   block sum = high + panel_low * 2^-shift_b + row_low.
struct alignas(64) Pending {
  std::int32_t high[kMaxRows][32];
  std::int32_t panel_low[kMaxRows][32];  // sum(high_a * low_b): where the panel has low parts
  double row_low[kMaxRows][4][8];        // (sum(low_a * high_b) + sum(low_a * low_b) 2^-shift_b) 2^-shift_a
  bool has_panel_low;
  std::uint32_t rows_with_low;  // bit r: row r has low parts
};

__m512d load_as_double(const std::int32_t* sums) {
  return _mm512_cvtepi32_pd(_mm256_load_si256(reinterpret_cast<const __m256i*>(sums)));
}

// Adds the products of the pairs in `pairs`, and stores the sums of 32 columns.
void dot_pairs(std::uint32_t pairs, const std::int16_t* a, const std::int16_t (*b)[2][32], std::int32_t* sums) {
  __m512i dot[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (; pairs != 0; pairs &= pairs - 1) {
    const int p = __builtin_ctz(pairs);
    const __m512i pair = broadcast_pair(a + 2 * p);
    for (int h = 0; h < 2; ++h) dot[h] = _mm512_dpwssd_epi32(dot[h], pair, _mm512_load_si512(b[p][h]));
  }
  for (int h = 0; h < 2; ++h) _mm512_store_si512(sums + h * 16, dot[h]);
}

[[gnu::noinline]] void add_row_low(const RowChunk& a, const PanelChunk& b, std::int64_t block, double (*sums)[8]) {
  const std::uint32_t pairs = a.low_pairs[block];
  const std::uint32_t common = pairs & b.low_pairs[block];
  const std::int16_t* low = a.low + block * kBlock;
  alignas(64) std::int32_t low_high[32];
  alignas(64) std::int32_t low_low[32];
  dot_pairs(pairs, low, b.high + block * kPairs, low_high);
  if (common != 0) dot_pairs(common, low, b.low + block * kPairs, low_low);
  const __m512d unit = _mm512_set1_pd(a.low_unit[block]);
  for (int q = 0; q < 4; ++q) {
    __m512d sum = load_as_double(low_high + q * 8);
    if (common != 0) sum = _mm512_fmadd_pd(load_as_double(low_low + q * 8), _mm512_load_pd(b.low_unit[block][q]), sum);
    _mm512_store_pd(sums[q], _mm512_mul_pd(sum, unit));
  }
}

// Rounds row r of the pending block into its accumulators. 41 bits hold any block sum: every step before is exact.
template <bool kWide>
[[gnu::always_inline]] inline void round_row(const Pending& pending, int r, const RowChunk& a, const PanelChunk& b,
                                             std::int64_t block, float* acc) {
  __m512d sums[4];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) sums[q] = load_as_double(pending.high[r] + q * 8);
  if (pending.has_panel_low) {
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
      sums[q] =
          _mm512_fmadd_pd(load_as_double(pending.panel_low[r] + q * 8), _mm512_load_pd(b.low_unit[block][q]), sums[q]);
  }
  if (pending.rows_with_low >> r & 1) [[unlikely]] {
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) sums[q] = _mm512_add_pd(sums[q], _mm512_load_pd(pending.row_low[r][q]));
  }
  const __m512i row_scale = _mm512_set1_epi64(a.scale[block]);
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q)
    round_block<kWide>(sums[q], _mm512_add_epi64(_mm512_load_si512(b.scale[block][q]), row_scale), acc + q * 8);
}

// dot[row] += the products of pair p of the block with b[0] and b[1].
template <int kRows>
[[gnu::always_inline]] inline void add_pair(__m512i (*dot)[2], const RowChunk* a, std::int64_t block, int p,
                                            const std::int16_t (*b)[32]) {
  const __m512i b0 = _mm512_load_si512(b[0]);
  const __m512i b1 = _mm512_load_si512(b[1]);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m512i pair = broadcast_pair(a[r].high + block * kBlock + p * 2);
    dot[r][0] = _mm512_dpwssd_epi32(dot[r][0], pair, b0);
    dot[r][1] = _mm512_dpwssd_epi32(dot[r][1], pair, b1);
  }
}

template <int kRows>
void store_sums(const __m512i (*dot)[2], std::int32_t (*sums)[32]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    _mm512_store_si512(sums[r], dot[r][0]);
    _mm512_store_si512(sums[r] + 16, dot[r][1]);
  }
}

// Leaves the sums of a block in `pending`. With kRound the block before it, which was pending, is rounded in between:
// its conversions run beside the multiplications, on other execution ports.
template <int kRows, bool kWide, bool kRound>
[[gnu::always_inline]] inline void add_block(std::int64_t block, const RowChunk* a, const PanelChunk& b, float* acc,
                                             Pending& pending) {
  __m512i dot[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) dot[r][0] = dot[r][1] = _mm512_setzero_si512();
#pragma GCC unroll 16
  for (int p = 0; p < kPairs; ++p) {
    add_pair<kRows>(dot, a, block, p, b.high[block * kPairs + p]);
    if (kRound && p % 2 == 1 && p / 2 < kRows)
      round_row<kWide>(pending, p / 2, a[p / 2], b, block - 1, acc + p / 2 * kPanelCols);
  }
  store_sums<kRows>(dot, pending.high);
  std::uint32_t pairs = b.low_pairs[block];
  pending.has_panel_low = pairs != 0;
  if (pairs != 0) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) dot[r][0] = dot[r][1] = _mm512_setzero_si512();
    for (; pairs != 0; pairs &= pairs - 1) {
      const int p = __builtin_ctz(pairs);
      add_pair<kRows>(dot, a, block, p, b.low[block * kPairs + p]);
    }
    store_sums<kRows>(dot, pending.panel_low);
  }
  pending.rows_with_low = 0;
  for (int r = 0; r < kRows; ++r) {
    if (a[r].low_pairs[block] == 0) continue;
    pending.rows_with_low |= 1U << r;
    add_row_low(a[r], b, block, pending.row_low[r]);
  }
}

template <int kRows, bool kWide>
void tile(std::int64_t blocks, const RowChunk* a, const PanelChunk& b, float* acc) {
  Pending pending;
  add_block<kRows, kWide, false>(0, a, b, acc, pending);
  for (std::int64_t block = 1; block < blocks; ++block) add_block<kRows, kWide, true>(block, a, b, acc, pending);
  for (int r = 0; r < kRows; ++r) round_row<kWide>(pending, r, a[r], b, blocks - 1, acc + r * kPanelCols);
}

using Tile = void (*)(std::int64_t, const RowChunk*, const PanelChunk&, float*);
template <bool kWide>
constexpr Tile kTiles[kMaxRows] = {tile<1, kWide>, tile<2, kWide>, tile<3, kWide>,
                                   tile<4, kWide>, tile<5, kWide>, tile<6, kWide>};

template <bool kWide>
void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    kTiles<kWide>[step - 1](count / kBlock, chunks + r, panel, acc + r * kPanelCols);
  }
}

}  // namespace

const TileKernel avx512::kFp8{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply<false>};
const TileKernel avx512::kMxfp8{kChunk,      sizeof(RowChunk), sizeof(PanelChunk),
                                unpack_rows, unpack_panel,     multiply<true>};

}  // namespace oscsim::numerics::kernels
