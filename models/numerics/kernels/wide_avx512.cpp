// SPDX-License-Identifier: Apache-2.0
// Any two formats with AVX-512: sums of a step in FP32 where they are exact there, else in FP64, and one rounding of
// each step into the FP32 accumulator. Chains for 16-bit operands.
#include <immintrin.h>

#include "models/numerics/kernels/wide.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kCols = static_cast<int>(kPanelCols);
constexpr int kFloatRows = 12;
constexpr int kDoubleRows = 6;
constexpr int kMicroBias = 127;  // of FP32's exponent

__m512 widen_bf16(__m256i codes) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(codes), 16));
}
__m512 load_bf16(const std::uint16_t* codes) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
}
__m512 broadcast_bf16(std::uint16_t code) {
  return _mm512_castsi512_ps(_mm512_set1_epi32(code << 16));
}

// The codes of OFP8 in 32-bit lanes, as if Inf and NaN were numbers.
template <int kShift>
__m512 decode_fp8(__m512i codes, float bias) {
  const __m512i magnitude = _mm512_slli_epi32(_mm512_and_si512(codes, _mm512_set1_epi32(0x7F)), kShift);
  const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(codes, _mm512_set1_epi32(0x80)), 24);
  return _mm512_mul_ps(_mm512_castsi512_ps(_mm512_or_si512(magnitude, sign)), _mm512_set1_ps(bias));
}

// Sixteen codes of 8 or 16 bits.
__m512 decode16(WideCodec codec, const std::uint8_t* codes) {
  if (codec == WideCodec::bf16) return load_bf16(reinterpret_cast<const std::uint16_t*>(codes));
  if (codec == WideCodec::fp16) return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  if (codec == WideCodec::int8) return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  const __m512i lanes = _mm512_cvtepu8_epi32(bytes);
  return codec == WideCodec::e4m3 ? decode_fp8<20>(lanes, 0x1p120F) : decode_fp8<21>(lanes, 0x1p112F);
}

// Permutations read the low four bits of a lane.
__m512 decode_nibbles(__m512 table, __m512i lanes) {
  return _mm512_permutexvar_ps(lanes, table);
}

// Metadata of 16 elements: element = (t * positive or t * negative - zero) * scale.
struct Group {
  __m512 positive;
  __m512 negative;
  __m512 zero;
  __m512 scale;
};

__m512 adjusted(__m512 t, const Group& group) {
  const __mmask16 below = _mm512_cmp_ps_mask(t, _mm512_setzero_ps(), _CMP_LT_OQ);
  const __m512 element = _mm512_fmsub_ps(t, _mm512_mask_mov_ps(group.positive, below, group.negative), group.zero);
  return _mm512_fmadd_ps(element, group.scale, _mm512_setzero_ps());  // -0 becomes +0
}

// 2^m of the group's two bits of each lane's word.
__m512 micro_scale(__m512i words, __m512i shift) {
  const __m512i exponent = _mm512_and_si512(_mm512_srlv_epi32(words, shift), _mm512_set1_epi32(3));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(exponent, _mm512_set1_epi32(kMicroBias)), 23));
}

// Elements [k, k + 16) of a row.
Group row_group(const WideOperand& a, std::int64_t row, std::int64_t k) {
  const __m512 one = _mm512_set1_ps(1);
  Group group{one, one, _mm512_setzero_ps(), one};
  const std::int64_t at = row * a.blocks + k / a.block;
  if (a.adjust == Adjust::micro) {
    const auto first = static_cast<int>(k % a.block / 4 * 2);
    const __m512i shifts =
        _mm512_add_epi32(_mm512_set1_epi32(first), _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6));
    group.positive = group.negative = micro_scale(_mm512_set1_epi32(static_cast<int>(a.micro[at])), shifts);
  } else if (a.adjust != Adjust::none) {
    group.positive = group.negative = broadcast_bf16(a.first[at]);
    (a.adjust == Adjust::by_sign ? group.negative : group.zero) = broadcast_bf16(a.second[at]);
  }
  if (a.scaled && a.factors != nullptr) group.scale = broadcast_bf16(a.factors[at]);
  return group;
}

// Elements [k, k + 4) of 16 columns.
Group panel_group(const WideOperand& b, std::int64_t panel, std::int64_t k, int half) {
  const __m512 one = _mm512_set1_ps(1);
  Group group{one, one, _mm512_setzero_ps(), one};
  const std::int64_t at = (panel * b.blocks + k / b.block) * kCols + half * 16;
  if (b.adjust == Adjust::micro) {
    const __m512i shifts = _mm512_set1_epi32(static_cast<int>(k % b.block / 4 * 2));
    group.positive = group.negative = micro_scale(_mm512_loadu_si512(b.micro + at), shifts);
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
  const __m512 table = _mm512_loadu_ps(a.table);
  const __m512i nibble_shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512i words = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const std::int64_t bytes = has_16_bits(a.codec) ? 2 : 1;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    for (std::int64_t i = k; i < k + count; i += 16) {
      __m512 t;
      if (a.codec == WideCodec::nibble) {
        const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i / 2));
        const __m512i spread = _mm512_permutexvar_epi32(words, _mm512_castsi128_si512(eight));
        t = decode_nibbles(table, _mm512_srlv_epi32(spread, nibble_shifts));
      } else {
        t = decode16(a.codec, codes + i * bytes);
      }
      if (!has_16_bits(a.codec)) t = adjusted(t, row_group(a, row + r, i));
      const std::int64_t left = a.k - i;
      const auto present = static_cast<__mmask16>(left >= 16 ? 0xFFFF : left <= 0 ? 0 : (1 << left) - 1);
      _mm512_store_ps(out[r].values + (i - k), _mm512_maskz_mov_ps(present, t));
    }
  }
}

void unpack_panel(const WideOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, WidePanel& out) {
  const __m512 table = _mm512_loadu_ps(b.table);
  const std::uint8_t* codes = b.codes + panel * b.stride;
  if (has_16_bits(b.codec)) {
    for (std::int64_t i = 0; i < count; ++i)
      for (int h = 0; h < 2; ++h)
        _mm512_store_ps(out.values[i] + h * 16, decode16(b.codec, codes + ((k + i) * kCols + h * 16) * 2));
    return;
  }
  for (std::int64_t i = 0; i < count; i += 4) {
    const Group groups[2] = {panel_group(b, panel, k + i, 0), panel_group(b, panel, k + i, 1)};
    for (std::int64_t j = i; j < i + 4; ++j) {
      __m512 t[2];
      if (b.codec == WideCodec::nibble) {
        const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + (k + j) * kCols / 2));
        const __m512i lanes = _mm512_cvtepu8_epi32(pairs);
        t[0] = decode_nibbles(table, lanes);
        t[1] = decode_nibbles(table, _mm512_srli_epi32(lanes, 4));
      } else {
        for (int h = 0; h < 2; ++h) t[h] = decode16(b.codec, codes + (k + j) * kCols + h * 16);
      }
      for (int h = 0; h < 2; ++h) _mm512_store_ps(out.values[j] + h * 16, adjusted(t[h], groups[h]));
    }
  }
}

// An FMA is the one rounding: the sum and the product of the factors are FP32 numbers.
template <int kRows>
void add_float_step(const WideSteps& steps, std::int64_t s, const WideRows* a, const WidePanel& b, float* acc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (std::int64_t i = s * steps.step; i < (s + 1) * steps.step; ++i) {
    const __m512 b0 = _mm512_load_ps(b.values[i]);
    const __m512 b1 = _mm512_load_ps(b.values[i] + 16);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512 a1 = _mm512_set1_ps(a[r].values[i]);
      sum[r][0] = _mm512_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const __m512 row_factor = _mm512_set1_ps(a[r].factor[s]);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      float* out = acc + r * kCols + h * 16;
      const __m512 factor = _mm512_mul_ps(row_factor, _mm512_load_ps(b.factor[s] + h * 16));
      _mm512_storeu_ps(out, _mm512_fmadd_ps(sum[r][h], factor, _mm512_loadu_ps(out)));
    }
  }
}

// acc[0..8) = RNE_FP32(acc + sum * factor), one rounding: of the two doubles around the exact value the one with the
// odd last bit rounds to FP32 as the exact value does (Boldo and Melquiond, IEEE Trans. Computers 57(4), 2008).
void round_step(__m512d sum, __m512d factor, float* acc) {
  const __m512d old = _mm512_cvtps_pd(_mm256_loadu_ps(acc));
  const __m512d below = _mm512_fmadd_round_pd(sum, factor, old, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  const __m512d above = _mm512_fmadd_round_pd(sum, factor, old, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
  const __mmask8 even = _mm512_testn_epi64_mask(_mm512_castpd_si512(below), _mm512_set1_epi64(1));
  _mm256_storeu_ps(acc, _mm512_cvtpd_ps(_mm512_mask_mov_pd(below, even, above)));
}

__m512d load_wide(const float* values) {
  return _mm512_cvtps_pd(_mm256_load_ps(values));
}

template <int kRows>
void add_double_step(const WideSteps& steps, std::int64_t s, const WideRows* a, const WidePanel& b, float* acc) {
  alignas(64) double a_values[kRows][kWideChunk];
  const std::int64_t first = s * steps.step;
  for (int r = 0; r < kRows; ++r)
    for (std::int64_t i = 0; i < steps.step; i += 8)
      _mm512_store_pd(a_values[r] + i, load_wide(a[r].values + first + i));
  __m512d sum[kRows][4];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
    for (int q = 0; q < 4; ++q) sum[r][q] = _mm512_setzero_pd();
  for (std::int64_t i = 0; i < steps.step; ++i) {
    const float* columns = b.values[first + i];
    const __m512d b4[4] = {load_wide(columns), load_wide(columns + 8), load_wide(columns + 16),
                           load_wide(columns + 24)};
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512d a1 = _mm512_set1_pd(a_values[r][i]);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) sum[r][q] = _mm512_fmadd_pd(a1, b4[q], sum[r][q]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m512d row_factor = _mm512_set1_pd(static_cast<double>(a[r].factor[s]));
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
      round_step(sum[r][q], _mm512_mul_pd(row_factor, load_wide(b.factor[s] + q * 8)), acc + r * kCols + q * 8);
  }
}

using Step = void (*)(const WideSteps&, std::int64_t, const WideRows*, const WidePanel&, float*);
constexpr Step kFloatSteps[kFloatRows] = {add_float_step<1>,  add_float_step<2>,  add_float_step<3>,
                                          add_float_step<4>,  add_float_step<5>,  add_float_step<6>,
                                          add_float_step<7>,  add_float_step<8>,  add_float_step<9>,
                                          add_float_step<10>, add_float_step<11>, add_float_step<12>};
constexpr Step kDoubleSteps[kDoubleRows] = {add_double_step<1>, add_double_step<2>, add_double_step<3>,
                                            add_double_step<4>, add_double_step<5>, add_double_step<6>};

// Rows whose sums FP64 may not hold either: those columns are computed again.
[[gnu::noinline]] void add_longest_step(const WideSteps& steps, std::int64_t s, std::int64_t rows, const WideRows* a,
                                        const WidePanel& b, float* acc) {
  float before[kDoubleRows][kCols];
  __builtin_memcpy(before, acc, static_cast<std::size_t>(rows) * sizeof before[0]);
  kDoubleSteps[rows - 1](steps, s, a, b, acc);
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
  if (widest(a, rows, s) + b.widest[s] <= steps.float_limit) return kFloatSteps[rows - 1](steps, s, a, b, acc);
  for (std::int64_t r = 0; r < rows; r += kDoubleRows) {
    const std::int64_t count = rows - r < kDoubleRows ? rows - r : kDoubleRows;
    const bool fits = widest(a + r, count, s) + b.widest[s] <= steps.double_limit;
    if (fits)
      kDoubleSteps[count - 1](steps, s, a + r, b, acc + r * kCols);
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

template <int kRows>
void chain_rows(std::int64_t count, const WideRows* a, const WidePanel& b, float* acc) {
  __m512 sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) sum[r][h] = _mm512_loadu_ps(acc + r * kCols + h * 16);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m512 b0 = _mm512_load_ps(b.values[i]);
    const __m512 b1 = _mm512_load_ps(b.values[i] + 16);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const __m512 a1 = _mm512_set1_ps(a[r].values[i]);
      sum[r][0] = _mm512_fmadd_ps(a1, b0, sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(a1, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(acc + r * kCols + h * 16, sum[r][h]);
}

using Chain = void (*)(std::int64_t, const WideRows*, const WidePanel&, float*);
constexpr Chain kChains[kFloatRows] = {chain_rows<1>, chain_rows<2>,  chain_rows<3>,  chain_rows<4>,
                                       chain_rows<5>, chain_rows<6>,  chain_rows<7>,  chain_rows<8>,
                                       chain_rows<9>, chain_rows<10>, chain_rows<11>, chain_rows<12>};

void chain(std::int64_t rows, std::int64_t count, const WideRows* a, const WidePanel& b, float* acc) {
  for (std::int64_t r = 0; r < rows; r += kFloatRows) {
    const std::int64_t step = rows - r < kFloatRows ? rows - r : kFloatRows;
    kChains[step - 1](count, a + r, b, acc + r * kCols);
  }
}

}  // namespace

const WideKernel avx512::kWide{unpack_rows, unpack_panel, multiply, chain, chain};

}  // namespace oscsim::numerics::kernels
