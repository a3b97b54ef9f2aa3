// SPDX-License-Identifier: Apache-2.0
// Small integers with AVX2, in two widths.
//
// Narrow: 32 products for each VPMADDUBSW, which multiplies unsigned by signed: A is held as integer + bias, and a sum
// starts at -bias * sum(b). Where 16-bit lanes hold the sum of 16 products (8 in blocks of 16).
// Wide: widened to 16 bits, 16 products for each VPMADDWD, for everything else.
#include <immintrin.h>

#include "models/numerics/kernels/integer_kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kMaxRows = 4;
constexpr int kNarrowSum = 32;  // elements along K whose products 16-bit lanes add: two for each of 8 groups
constexpr int kLaneProducts = kNarrowSum / 2;

// Elements as Row and Panel of unpacked chunks. Sums over all of K are those of pieces of kUnscaledSum elements.
struct Narrow {
  using Row = std::uint8_t;
  using Panel = std::int8_t;
  static constexpr int kChunk = 512;
  static constexpr int kUnscaledSum = kNarrowSum;
};
struct Wide {
  using Row = std::int16_t;
  using Panel = std::int16_t;
  static constexpr int kChunk = 256;
  static constexpr int kUnscaledSum = 64;  // the more, the fewer trips of INT32 sums to memory
};

template <class Width>
struct alignas(64) RowChunk {
  static constexpr int kMaxBlocks = Width::kChunk / 16;
  typename Width::Row codes[Width::kChunk];
  std::uint32_t factors[kMaxBlocks];
};
// Four vectors of 8 columns. Narrow: four k each. Wide: two k each, the second pair of a group after the first.
template <class Width>
struct alignas(64) PanelChunk {
  static constexpr int kMaxBlocks = Width::kChunk / 16;
  typename Width::Panel codes[Width::kChunk * kPanelCols];
  std::int32_t start[kMaxBlocks][4][8];
  std::uint32_t factors[kMaxBlocks][4][8];
};

__m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

void store(void* to, __m256i value) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}

// Neighbouring 16-bit lanes added to 32 bits.
__m256i pair_sums(__m256i words) {
  return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
}

// ------ unpacking

__m256i decode_table(const IntegerOperand& operand) {
  if (operand.code_bits == 8) return _mm256_setzero_si256();
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(operand.integers)));
}

// Times 2^shift: the low (or high) 8 of the shifts in a word, each for the four bytes of a lane. At most 28: no
// carries.
__m256i shifted(__m256i integers, std::uint32_t word, bool high) {
  const __m256i words = _mm256_set1_epi32(static_cast<int>(high ? word >> 16 : word));
  const __m256i shifts =
      _mm256_and_si256(_mm256_srlv_epi32(words, _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14)), _mm256_set1_epi32(3));
  return _mm256_sign_epi8(_mm256_sllv_epi32(_mm256_abs_epi8(integers), shifts), integers);
}

// Integers [k, k + 32) of a row.
__m256i row_integers(const IntegerOperand& a, __m256i table, std::int64_t row, std::int64_t k) {
  const std::uint8_t* codes = a.codes + row * a.stride + k * a.code_bits / 8;
  if (a.code_bits == 8) return load(codes);
  const __m256i pairs = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m256i codes8 = _mm256_and_si256(_mm256_or_si256(pairs, _mm256_slli_epi16(pairs, 4)), _mm256_set1_epi8(0x0F));
  const __m256i integers = _mm256_shuffle_epi8(table, codes8);
  return a.shifts == nullptr ? integers : shifted(integers, a.shifts[row * (a.stride / 32) + k / 64], k / 32 % 2 != 0);
}

// Columns [8 v, 8 v + 8) of a panel, k to k + 3.
__m256i panel_integers(const IntegerOperand& b, __m256i table, std::int64_t panel, std::int64_t k, int v) {
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols * b.code_bits / 8;
  if (b.code_bits == 8) return load(codes + v * 32);
  const __m256i packed = load(codes + v % 2 * 32);  // vectors 0 and 1 are in the low nibbles, 2 and 3 in the high ones
  const __m256i index = _mm256_and_si256(v < 2 ? packed : _mm256_srli_epi16(packed, 4), _mm256_set1_epi8(0x0F));
  const __m256i integers = _mm256_shuffle_epi8(table, index);
  return b.shifts == nullptr ? integers
                             : shifted(integers, b.shifts[panel * (b.stride / 32) + k / 2 + v / 2], v % 2 != 0);
}

void store_row(std::uint8_t* out, __m256i integers, std::int32_t bias) {
  store(out, _mm256_add_epi8(integers, _mm256_set1_epi8(static_cast<char>(bias))));
}
void store_row(std::int16_t* out, __m256i integers, std::int32_t) {
  store(out, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(integers)));
  store(out + 16, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(integers, 1)));
}

// A group's vector. Returns what it adds to the sum that a block starts from, in 32-bit lanes.
__m256i store_panel(std::int8_t* out, int v, __m256i integers, std::int32_t bias) {
  store(out + v * 32, integers);
  return pair_sums(_mm256_maddubs_epi16(_mm256_set1_epi8(static_cast<char>(bias)), integers));
}
__m256i store_panel(std::int16_t* out, int v, __m256i integers, std::int32_t) {
  const __m256 low = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(integers)));        // columns 0..3
  const __m256 high = _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(integers, 1)));  // columns 4..7
  // The first or second pair of each column; 64-bit parts come out as columns 01 45 23 67.
  const __m256i first = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88));
  const __m256i second = _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xDD));
  store(out + v * 16, _mm256_permute4x64_epi64(first, 0xD8));
  store(out + 64 + v * 16, _mm256_permute4x64_epi64(second, 0xD8));
  return _mm256_setzero_si256();
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

template <class Width>
void unpack_rows(const IntegerOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk<Width>*>(out);
  const __m256i table = decode_table(a);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t i = 0; i < count; i += 32)
      store_row(chunks[r].codes + i, row_integers(a, table, row + r, k + i), a.bias);
    if (a.summed != 0) row_factors(a, row + r, k, count, chunks[r].factors);
  }
}

template <class Width>
void unpack_panel(const IntegerOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk<Width>*>(out);
  const __m256i table = decode_table(b);
  const std::int64_t summed = b.summed == 0 ? Width::kUnscaledSum : b.summed;
  for (std::int64_t block = 0; block < count / summed; ++block) {
    const std::uint8_t* scales =
        b.scales == nullptr ? nullptr : b.scales + (panel * b.blocks + (k + block * summed) / b.block) * kPanelCols;
    for (int v = 0; v < 4; ++v) {
      __m256i sum = _mm256_setzero_si256();
      for (std::int64_t i = block * summed; i < (block + 1) * summed; i += 4)
        sum = _mm256_add_epi32(
            sum, store_panel(chunk.codes + i * kPanelCols, v, panel_integers(b, table, panel, k + i, v), b.bias));
      store(chunk.start[block][v], _mm256_sub_epi32(_mm256_setzero_si256(), sum));
      if (b.summed == 0) continue;
      for (int c = 0; c < 8; ++c) chunk.factors[block][v][c] = b.factors[scales == nullptr ? 0 : scales[v * 8 + c]];
    }
  }
}

// ------ multiplying

__m256i broadcast4(const void* bytes) {
  std::int32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return _mm256_set1_epi32(word);
}

template <int kRows>
using Dots = __m256i[kRows][2];

// dot = the block sums of columns [16 half, 16 half + 16). Narrow lanes overflow after kNarrowSum elements.
template <int kRows, int kSummed>
[[gnu::always_inline]] inline void block_sums(const RowChunk<Narrow>* a, const PanelChunk<Narrow>& b,
                                              std::int64_t block, int half, Dots<kRows>& dot) {
  constexpr int kPiece = kSummed < kNarrowSum ? kSummed : kNarrowSum;
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) dot[r][v] = load(b.start[block][half * 2 + v]);
  for (std::int64_t piece = block * kSummed; piece < (block + 1) * kSummed; piece += kPiece) {
    Dots<kRows> words;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < 2; ++v) words[r][v] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (std::int64_t i = piece; i < piece + kPiece; i += 4) {
      const __m256i b0 = load(b.codes + i * kPanelCols + half * 64);
      const __m256i b1 = load(b.codes + i * kPanelCols + half * 64 + 32);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256i a4 = broadcast4(a[r].codes + i);
        words[r][0] = _mm256_add_epi16(words[r][0], _mm256_maddubs_epi16(a4, b0));
        words[r][1] = _mm256_add_epi16(words[r][1], _mm256_maddubs_epi16(a4, b1));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < 2; ++v) dot[r][v] = _mm256_add_epi32(dot[r][v], pair_sums(words[r][v]));
  }
}

template <int kRows, int kSummed>
[[gnu::always_inline]] inline void block_sums(const RowChunk<Wide>* a, const PanelChunk<Wide>& b, std::int64_t block,
                                              int half, Dots<kRows>& dot) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) dot[r][v] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (std::int64_t i = block * kSummed; i < (block + 1) * kSummed; i += 2) {
    const __m256i b0 = load(b.codes + i * kPanelCols + half * 32);
    const __m256i b1 = load(b.codes + i * kPanelCols + half * 32 + 16);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m256i a2 = broadcast4(a[r].codes + i);
      dot[r][0] = _mm256_add_epi32(dot[r][0], _mm256_madd_epi16(a2, b0));
      dot[r][1] = _mm256_add_epi32(dot[r][1], _mm256_madd_epi16(a2, b1));
    }
  }
}

template <Scaling kScaling>
__m256 factor_product(std::uint32_t a, const std::uint32_t* b) {
  const __m256i row = _mm256_set1_epi32(static_cast<int>(a));
  if constexpr (kScaling == Scaling::powers) return _mm256_castsi256_ps(_mm256_add_epi32(load(b), row));
  return _mm256_mul_ps(_mm256_castsi256_ps(load(b)), _mm256_castsi256_ps(row));
}

// Columns [16 half, 16 half + 16).
template <class Width, int kRows, int kSummed, Scaling kScaling>
void tile(std::int64_t count, const RowChunk<Width>* a, const PanelChunk<Width>& b, int half, float* acc) {
  for (std::int64_t block = 0; block < count / kSummed; ++block) {
    Dots<kRows> dot;
    block_sums<kRows, kSummed>(a, b, block, half, dot);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < 2; ++v) {
        float* out = acc + r * kPanelCols + half * 16 + v * 8;
        if constexpr (kScaling == Scaling::none) {
          store(out, _mm256_add_epi32(load(out), dot[r][v]));
        } else {
          const __m256 factor = factor_product<kScaling>(a[r].factors[block], b.factors[block][half * 2 + v]);
          _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][v]), factor, _mm256_loadu_ps(out)));
        }
      }
    }
  }
}

template <class Width>
using Tile = void (*)(std::int64_t, const RowChunk<Width>*, const PanelChunk<Width>&, int, float*);

template <class Width, int kSummed, Scaling kScaling>
void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  static constexpr Tile<Width> kTiles[kMaxRows] = {tile<Width, 1, kSummed, kScaling>, tile<Width, 2, kSummed, kScaling>,
                                                   tile<Width, 3, kSummed, kScaling>,
                                                   tile<Width, 4, kSummed, kScaling>};
  const auto* chunks = reinterpret_cast<const RowChunk<Width>*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk<Width>*>(b);
  for (std::int64_t r = 0; r < rows; r += kMaxRows) {
    const std::int64_t step = rows - r < kMaxRows ? rows - r : kMaxRows;
    for (int half = 0; half < 2; ++half) kTiles[step - 1](count, chunks + r, panel, half, acc + r * kPanelCols);
  }
}

template <class Width, Scaling kScaling>
decltype(IntegerKernel::multiply) scaled(std::int64_t summed) {
  if (summed == 16) return multiply<Width, 16, kScaling>;
  if (summed == 32) return multiply<Width, 32, kScaling>;
  return multiply<Width, 64, kScaling>;
}

template <class Width>
IntegerKernel kernel_of(const IntegerTask& task) {
  IntegerKernel kernel{Width::kChunk,      sizeof(RowChunk<Width>), sizeof(PanelChunk<Width>),
                       unpack_rows<Width>, unpack_panel<Width>,     nullptr};
  switch (task.scaling) {
    case Scaling::none:
      kernel.multiply = multiply<Width, Width::kUnscaledSum, Scaling::none>;
      break;
    case Scaling::powers:
      kernel.multiply = scaled<Width, Scaling::powers>(task.summed);
      break;
    case Scaling::floats:
      kernel.multiply = scaled<Width, Scaling::floats>(task.summed);
      break;
  }
  return kernel;
}

}  // namespace

IntegerKernel avx2::integer_kernel(const IntegerTask& task) {
  const std::int32_t products = task.summed == 16 ? kLaneProducts / 2 : kLaneProducts;
  const bool narrow = products * (task.a.largest - task.a.smallest) * -task.b.smallest <= INT16_MAX;
  return narrow ? kernel_of<Narrow>(task) : kernel_of<Wide>(task);
}

}  // namespace oscsim::numerics::kernels
