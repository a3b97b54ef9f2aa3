// SPDX-License-Identifier: Apache-2.0
// Any two formats with AVX2 and FMA: sums of a step in FP32 where they are exact there, else in FP64, and one rounding
// of each step into the FP32 accumulator. Chains for 16-bit operands.
#include <immintrin.h>

#include "models/numerics/kernels/wide.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kCols = static_cast<int>(kPanelCols);
constexpr int kFloatRows = 6;    // times 16 columns
constexpr int kDoubleRows = 3;   // times 16 columns
constexpr int kMicroBias = 127;  // of FP32's exponent

__m256 load_bf16(const std::uint16_t* codes) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}
__m256 broadcast_bf16(std::uint16_t code) {
  return _mm256_castsi256_ps(_mm256_set1_epi32(code << 16));
}

// The codes of OFP8 in 32-bit lanes, as if Inf and NaN were numbers.
template <int kShift>
__m256 decode_fp8(__m256i codes, float bias) {
  const __m256i magnitude = _mm256_slli_epi32(_mm256_and_si256(codes, _mm256_set1_epi32(0x7F)), kShift);
  const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(codes, _mm256_set1_epi32(0x80)), 24);
  return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_or_si256(magnitude, sign)), _mm256_set1_ps(bias));
}

// Eight codes of 8 or 16 bits.
__m256 decode8(WideCodec codec, const std::uint8_t* codes) {
  if (codec == WideCodec::bf16) return load_bf16(reinterpret_cast<const std::uint16_t*>(codes));
  if (codec == WideCodec::fp16) return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes));
  if (codec == WideCodec::int8) return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  const __m256i lanes = _mm256_cvtepu8_epi32(bytes);
  return codec == WideCodec::e4m3 ? decode_fp8<20>(lanes, 0x1p120F) : decode_fp8<21>(lanes, 0x1p112F);
}

// Values of 16 codes. Permutations read the low three bits of a lane.
struct Table {
  __m256 low;
  __m256 high;
};
__m256 decode_nibbles(const Table& table, __m256i lanes) {
  const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28));
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, lanes), _mm256_permutevar8x32_ps(table.high, lanes),
                          bit3);
}

// Metadata of 8 elements: element = (t * positive or t * negative - zero) * scale.
struct Group {
  __m256 positive;
  __m256 negative;
  __m256 zero;
  __m256 scale;
};

__m256 adjusted(__m256 t, const Group& group) {
  const __m256 factor = _mm256_blendv_ps(group.positive, group.negative, t);  // by the sign bit; of -0 too
  const __m256 element = _mm256_fmsub_ps(t, factor, group.zero);
  return _mm256_fmadd_ps(element, group.scale, _mm256_setzero_ps());  // -0 becomes +0
}

// 2^m of the group's two bits of each lane's word.
__m256 micro_scale(__m256i words, __m256i shift) {
  const __m256i exponent = _mm256_and_si256(_mm256_srlv_epi32(words, shift), _mm256_set1_epi32(3));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(kMicroBias)), 23));
}

// Elements [k, k + 8) of a row.
Group row_group(const WideOperand& a, std::int64_t row, std::int64_t k) {
  const __m256 one = _mm256_set1_ps(1);
  Group group{one, one, _mm256_setzero_ps(), one};
  const std::int64_t at = row * a.blocks + k / a.block;
  if (a.adjust == Adjust::micro) {
    const auto first = static_cast<int>(k % a.block / 4 * 2);
    const __m256i shifts = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2));
    group.positive = group.negative = micro_scale(_mm256_set1_epi32(static_cast<int>(a.micro[at])), shifts);
  } else if (a.adjust != Adjust::none) {
    group.positive = group.negative = broadcast_bf16(a.first[at]);
    (a.adjust == Adjust::by_sign ? group.negative : group.zero) = broadcast_bf16(a.second[at]);
  }
  if (a.scaled && a.factors != nullptr) group.scale = broadcast_bf16(a.factors[at]);
  return group;
}

// Elements [k, k + 4) of 8 columns.
Group panel_group(const WideOperand& b, std::int64_t panel, std::int64_t k, int quarter) {
  const __m256 one = _mm256_set1_ps(1);
  Group group{one, one, _mm256_setzero_ps(), one};
  const std::int64_t at = (panel * b.blocks + k / b.block) * kCols + quarter * 8;
  if (b.adjust == Adjust::micro) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.micro + at));
    group.positive = group.negative = micro_scale(words, _mm256_set1_epi32(static_cast<int>(k % b.block / 4 * 2)));
  } else if (b.adjust != Adjust::none) {
    group.positive = group.negative = load_bf16(b.first + at);
    (b.adjust == Adjust::by_sign ? group.negative : group.zero) = load_bf16(b.second + at);
  }
  if (b.scaled && b.factors != nullptr) group.scale = load_bf16(b.factors + at);
  return group;
}

bool has_16_bits(WideCodec codec) {
  return codec == WideCodec::bf16 || codec == WideCodec::fp16;
}

void unpack_rows(const WideOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 WideRows* out) {
  const Table table{_mm256_loadu_ps(a.table), _mm256_loadu_ps(a.table + 8)};
  const __m256i nibble_shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const std::int64_t bytes = has_16_bits(a.codec) ? 2 : 1;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    for (std::int64_t i = k; i < k + count; i += 8) {
      __m256 t;
      if (a.codec == WideCodec::nibble) {
        std::int32_t word;
        __builtin_memcpy(&word, codes + i / 2, sizeof word);
        t = decode_nibbles(table, _mm256_srlv_epi32(_mm256_set1_epi32(word), nibble_shifts));
      } else {
        t = decode8(a.codec, codes + i * bytes);
      }
      if (!has_16_bits(a.codec)) t = adjusted(t, row_group(a, row + r, i));
      _mm256_store_ps(out[r].values + (i - k), t);
    }
    for (std::int64_t i = a.k - k; i < count; ++i) out[r].values[i] = 0;
  }
}

void unpack_panel(const WideOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, WidePanel& out) {
  const Table table{_mm256_loadu_ps(b.table), _mm256_loadu_ps(b.table + 8)};
  const std::uint8_t* codes = b.codes + panel * b.stride;
  if (has_16_bits(b.codec)) {
    for (std::int64_t i = 0; i < count; ++i)
      for (int q = 0; q < 4; ++q)
        _mm256_store_ps(out.values[i] + q * 8, decode8(b.codec, codes + ((k + i) * kCols + q * 8) * 2));
    return;
  }
  for (std::int64_t i = 0; i < count; i += 4) {
    for (int q = 0; q < 4; ++q) {
      const Group group = panel_group(b, panel, k + i, q);
      for (std::int64_t j = i; j < i + 4; ++j) {
        __m256 t;
        if (b.codec == WideCodec::nibble) {
          const std::uint8_t* pairs = codes + (k + j) * kCols / 2 + q % 2 * 8;
          const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(pairs)));
          t = decode_nibbles(table, q < 2 ? lanes : _mm256_srli_epi32(lanes, 4));
        } else {
          t = decode8(b.codec, codes + (k + j) * kCols + q * 8);
        }
        _mm256_store_ps(out.values[j] + q * 8, adjusted(t, group));
      }
    }
  }
}

// Columns [16 half, 16 half + 16). An FMA is the one rounding: the sum and the product of the factors are FP32 numbers.
template <int kRows>
void add_float_step(const WideSteps& steps, std::int64_t s, const WideRows* a, const WidePanel& b, int half,
                    float* acc) {
  __m256 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
  for (std::int64_t i = s * steps.step; i < (s + 1) * steps.step; ++i) {
    const __m256 b0 = _mm256_load_ps(b.values[i] + half * 16);
    const __m256 b1 = _mm256_load_ps(b.values[i] + half * 16 + 8);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m256 a1 = _mm256_broadcast_ss(a[r].values + i);
      sum[r][0] = _mm256_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m256 row_factor = _mm256_broadcast_ss(a[r].factor + s);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const int col = half * 16 + v * 8;
      const __m256 factor = _mm256_mul_ps(row_factor, _mm256_load_ps(b.factor[s] + col));
      float* out = acc + r * kCols + col;
      _mm256_storeu_ps(out, _mm256_fmadd_ps(sum[r][v], factor, _mm256_loadu_ps(out)));
    }
  }
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

// acc[0..4) = RNE_FP32(acc + sum * factor), one rounding; sum * factor is exact. The nearest double rounds to FP32 as
// the exact value does unless it lies midway between two FP32 numbers, or among FP32's subnormals, where the midpoints
// are others: there it is rounded to odd (Boldo and Melquiond, IEEE Trans. Computers 57(4), 2008).
void round_step(__m256d sum, __m256d factor, float* acc) {
  const __m256d old = _mm256_cvtps_pd(_mm_loadu_ps(acc));
  __m256d result = _mm256_fmadd_pd(sum, factor, old);
  const __m256i discarded = _mm256_and_si256(_mm256_castpd_si256(result), _mm256_set1_epi64x((1LL << 29) - 1));
  const __m256i midpoint = _mm256_cmpeq_epi64(discarded, _mm256_set1_epi64x(1LL << 28));
  const __m256d magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), result);
  const __m256d subnormal = _mm256_cmp_pd(magnitude, _mm256_set1_pd(0x1p-126), _CMP_LT_OQ);
  if (_mm256_movemask_pd(_mm256_or_pd(subnormal, _mm256_castsi256_pd(midpoint))) != 0) [[unlikely]]
    result = rounded_to_odd(result, old, _mm256_mul_pd(sum, factor));
  _mm_storeu_ps(acc, _mm256_cvtpd_ps(result));
}

__m256d load_wide(const float* values) {
  return _mm256_cvtps_pd(_mm_load_ps(values));
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void add_double_step(const WideSteps& steps, std::int64_t s, const WideRows* a, const WidePanel& b, int half,
                     float* acc) {
  alignas(32) double a_values[kRows][kWideChunk];
  const std::int64_t first = s * steps.step;
  for (int r = 0; r < kRows; ++r)
    for (std::int64_t i = 0; i < steps.step; i += 4)
      _mm256_store_pd(a_values[r] + i, load_wide(a[r].values + first + i));
  __m256d sum[kRows][4];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 4; ++v) sum[r][v] = _mm256_setzero_pd();
  for (std::int64_t i = 0; i < steps.step; ++i) {
    __m256d a1[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) a1[r] = _mm256_broadcast_sd(a_values[r] + i);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m256d b4 = load_wide(b.values[first + i] + half * 16 + v * 4);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][v] = _mm256_fmadd_pd(a1[r], b4, sum[r][v]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const __m256d row_factor = _mm256_set1_pd(static_cast<double>(a[r].factor[s]));
    for (int v = 0; v < 4; ++v) {
      const int col = half * 16 + v * 4;
      round_step(sum[r][v], _mm256_mul_pd(row_factor, load_wide(b.factor[s] + col)), acc + r * kCols + col);
    }
  }
}

using Step = void (*)(const WideSteps&, std::int64_t, const WideRows*, const WidePanel&, int, float*);
constexpr Step kFloatSteps[kFloatRows] = {add_float_step<1>, add_float_step<2>, add_float_step<3>,
                                          add_float_step<4>, add_float_step<5>, add_float_step<6>};
constexpr Step kDoubleSteps[kDoubleRows] = {add_double_step<1>, add_double_step<2>, add_double_step<3>};

void add_double_rows(const WideSteps& steps, std::int64_t s, std::int64_t rows, const WideRows* a, const WidePanel& b,
                     float* acc) {
  for (int half = 0; half < 2; ++half) kDoubleSteps[rows - 1](steps, s, a, b, half, acc);
}

// Rows whose sums FP64 may not hold either: those columns are computed again.
[[gnu::noinline]] void add_longest_step(const WideSteps& steps, std::int64_t s, std::int64_t rows, const WideRows* a,
                                        const WidePanel& b, float* acc) {
  float before[kDoubleRows][kCols];
  __builtin_memcpy(before, acc, static_cast<std::size_t>(rows) * sizeof before[0]);
  add_double_rows(steps, s, rows, a, b, acc);
  for (std::int64_t r = 0; r < rows; ++r)
    if (a[r].span[s] + b.widest[s] > steps.double_limit) add_exact_steps(steps, s, a[r], b, before[r], acc + r * kCols);
}

std::int32_t widest(const WideRows* a, std::int64_t rows, std::int64_t s) {
  std::int32_t span = 0;
  for (std::int64_t r = 0; r < rows; ++r) span = a[r].span[s] > span ? a[r].span[s] : span;
  return span;
}

void add_step(const WideSteps& steps, std::int64_t s, std::int64_t rows, const WideRows* a, const WidePanel& b,
              float* acc) {
  if (widest(a, rows, s) + b.widest[s] <= steps.float_limit) {
    for (int half = 0; half < 2; ++half) kFloatSteps[rows - 1](steps, s, a, b, half, acc);
    return;
  }
  for (std::int64_t r = 0; r < rows; r += kDoubleRows) {
    const std::int64_t count = rows - r < kDoubleRows ? rows - r : kDoubleRows;
    if (widest(a + r, count, s) + b.widest[s] <= steps.double_limit)
      add_double_rows(steps, s, count, a + r, b, acc + r * kCols);
    else
      add_longest_step(steps, s, count, a + r, b, acc + r * kCols);
  }
}

void multiply(const WideSteps& steps, std::int64_t rows, const WideRows* a, const WidePanel& b, float* acc) {
  for (std::int64_t r = 0; r < rows; r += kFloatRows) {
    const std::int64_t count = rows - r < kFloatRows ? rows - r : kFloatRows;
    for (std::int64_t s = 0; s * steps.step < steps.count; ++s) add_step(steps, s, count, a + r, b, acc + r * kCols);
  }
}

// Columns [16 half, 16 half + 16).
template <int kRows>
void chain_rows(std::int64_t count, const WideRows* a, const WidePanel& b, int half, float* acc) {
  __m256 sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) sum[r][v] = _mm256_loadu_ps(acc + r * kCols + half * 16 + v * 8);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m256 b0 = _mm256_load_ps(b.values[i] + half * 16);
    const __m256 b1 = _mm256_load_ps(b.values[i] + half * 16 + 8);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m256 a1 = _mm256_broadcast_ss(a[r].values + i);
      sum[r][0] = _mm256_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 2; ++v) _mm256_storeu_ps(acc + r * kCols + half * 16 + v * 8, sum[r][v]);
}

using Chain = void (*)(std::int64_t, const WideRows*, const WidePanel&, int, float*);
constexpr Chain kChains[kFloatRows] = {chain_rows<1>, chain_rows<2>, chain_rows<3>,
                                       chain_rows<4>, chain_rows<5>, chain_rows<6>};

void chain(std::int64_t rows, std::int64_t count, const WideRows* a, const WidePanel& b, float* acc) {
  for (std::int64_t r = 0; r < rows; r += kFloatRows) {
    const std::int64_t step = rows - r < kFloatRows ? rows - r : kFloatRows;
    for (int half = 0; half < 2; ++half) kChains[step - 1](count, a + r, b, half, acc + r * kCols);
  }
}

}  // namespace

const WideKernel avx2::kWide{unpack_rows, unpack_panel, multiply, chain, chain};

}  // namespace oscsim::numerics::kernels
