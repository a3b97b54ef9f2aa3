// SPDX-License-Identifier: Apache-2.0
// Any two formats on any CPU: plain loops over 32 columns that the compiler vectorises.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/kernels/wide.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kCols = static_cast<int>(kPanelCols);

// The codes of OFP8, as if Inf and NaN were numbers.
float decode_fp8(std::uint32_t code, int shift, float bias) {
  return std::bit_cast<float>((code & 0x7F) << shift | (code & 0x80) << 24) * bias;
}

float decode(const WideOperand& operand, const std::uint8_t* codes, std::int64_t i) {
  std::uint16_t code16 = 0;
  switch (operand.codec) {
    case WideCodec::e4m3:
      return decode_fp8(codes[i], 20, 0x1p120F);
    case WideCodec::e5m2:
      return decode_fp8(codes[i], 21, 0x1p112F);
    case WideCodec::int8:
      return static_cast<std::int8_t>(codes[i]);
    case WideCodec::nibble:
    case WideCodec::bf16:
    case WideCodec::fp16:
      break;
  }
  std::memcpy(&code16, codes + 2 * i, sizeof code16);
  return operand.codec == WideCodec::fp16 ? fp16_to_float(code16) : bf16_to_float(code16);
}

// Element of a code whose block has metadata at `index`; `k` counts from the start of the row.
float adjusted(const WideOperand& operand, float t, std::int64_t index, std::int64_t k) {
  switch (operand.adjust) {
    case Adjust::none:
      break;
    case Adjust::micro:
      t *= static_cast<float>(1U << (operand.micro[index] >> k % operand.block / 4 * 2 & 3));
      break;
    case Adjust::by_sign:
      t *= bf16_to_float(t < 0 ? operand.second[index] : operand.first[index]);
      break;
    case Adjust::affine:
      t = t * bf16_to_float(operand.first[index]) - bf16_to_float(operand.second[index]);
      break;
  }
  if (!operand.scaled || operand.blocks == 0) return t;
  return t * (operand.factors == nullptr ? 1.0F : bf16_to_float(operand.factors[index])) + 0.0F;  // -0 becomes +0
}

void unpack_rows(const WideOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 WideRows* out) {
  const std::int64_t present = std::min(count, a.k - k);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    for (std::int64_t i = k; i < k + present; ++i) {
      const float t = a.codec == WideCodec::nibble ? a.table[codes[i / 2] >> i % 2 * 4 & 15] : decode(a, codes, i);
      out[r].values[i - k] = adjusted(a, t, (row + r) * a.blocks + i / a.block, i);
    }
    std::fill(out[r].values + present, out[r].values + count, 0.0F);
  }
}

void unpack_panel(const WideOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, WidePanel& out) {
  const std::uint8_t* codes = b.codes + panel * b.stride;
  for (std::int64_t i = k; i < k + count; ++i) {
    const std::int64_t index = (panel * b.blocks + i / b.block) * kPanelCols;
    for (std::int64_t c = 0; c < kCols; ++c) {
      const float t = b.codec == WideCodec::nibble ? b.table[codes[i * kCols / 2 + c % 16] >> c / 16 * 4 & 15]
                                                   : decode(b, codes, i * kCols + c);
      out.values[i - k][c] = adjusted(b, t, index + c, i);
    }
  }
}

// sums[c] = sum over a step of a[i] * b[i][c]. Eight 16-byte vectors of columns at a time stay in registers; spelt out,
// because GCC 12 otherwise vectorises along k and shuffles.
template <class Value>
void add_products(std::int64_t first, std::int64_t count, const float* a, const Value (*b)[kCols], Value* sums) {
  using Vector [[gnu::vector_size(16)]] = Value;
  constexpr int kVectors = 8;
  constexpr int kWidth = kVectors * static_cast<int>(sizeof(Vector) / sizeof(Value));
  for (int c0 = 0; c0 < kCols; c0 += kWidth) {
    Vector part[kVectors] = {};
    for (std::int64_t i = first; i < first + count; ++i) {
      Vector columns[kVectors];
      std::memcpy(columns, b[i] + c0, sizeof columns);
      for (int v = 0; v < kVectors; ++v) part[v] += static_cast<Value>(a[i]) * columns[v];
    }
    std::memcpy(sums + c0, part, sizeof part);
  }
}

struct WideValues {
  double values[kWideChunk][kCols];
};

void widen(const WideSteps& steps, std::int64_t s, const WidePanel& b, WideValues& out) {
  for (std::int64_t i = s * steps.step; i < (s + 1) * steps.step; ++i)
    for (int c = 0; c < kCols; ++c) out.values[i][c] = static_cast<double>(b.values[i][c]);
}

void add_step(const WideSteps& steps, std::int64_t s, const WideRows& a, const WidePanel& b, const WideValues& wide,
              float* acc) {
  const std::int64_t first = s * steps.step;
  double sums[kCols];
  if (a.span[s] + b.widest[s] <= steps.float_limit) {
    float narrow[kCols];
    add_products(first, steps.step, a.values, b.values, narrow);
    std::copy_n(narrow, kCols, sums);
  } else {
    add_products(first, steps.step, a.values, wide.values, sums);
  }
  const auto row_factor = static_cast<double>(a.factor[s]);
  for (int c = 0; c < kCols; ++c)
    acc[c] = add_rounded_once(acc[c], sums[c] * (row_factor * static_cast<double>(b.factor[s][c])));
}

void multiply(const WideSteps& steps, std::int64_t rows, const WideRows* a, const WidePanel& b, float* acc) {
  WideValues wide;
  for (std::int64_t s = 0; s * steps.step < steps.count; ++s) {
    bool is_wide = false;
    for (std::int64_t r = 0; r < rows; ++r) {
      const int span = a[r].span[s] + b.widest[s];
      if (span > steps.float_limit && !is_wide) {
        widen(steps, s, b, wide);
        is_wide = true;
      }
      float* out = acc + r * kCols;
      float before[kCols];
      std::copy_n(out, kCols, before);
      add_step(steps, s, a[r], b, wide, out);
      if (span > steps.double_limit) add_exact_steps(steps, s, a[r], b, before, out);
    }
  }
}

// Whether rounding the double to FP32 may differ from rounding the sum that it was rounded from: midway between two
// FP32 numbers, and among FP32's subnormals, whose midpoints are others.
bool may_round_twice(double sum) {
  const auto discarded = std::bit_cast<std::uint64_t>(sum) & ((std::uint64_t{1} << 29) - 1);
  return (discarded == std::uint64_t{1} << 28) | (std::fabs(sum) < 0x1p-126);
}

constexpr int kWidth = 16;  // columns that stay in registers

// acc[c] = RNE_FP32(acc[c] + a * b[c]), one rounding; products are exact in double. Where they have at most 24 bits, as
// acc has, rounding the sum to double first changes nothing: 53 >= 2 * 24 + 2 bits (Figueroa, "When is double rounding
// innocuous?", SIGNUM Newsletter 30(3), 1995).
template <bool kLong>
void chain_step(float* acc, double a, const float* b) {
  double sums[kWidth];
  for (int c = 0; c < kWidth; ++c) sums[c] = static_cast<double>(acc[c]) + a * static_cast<double>(b[c]);
  if constexpr (kLong) {
    bool doubtful = false;
    for (int c = 0; c < kWidth; ++c) doubtful |= may_round_twice(sums[c]);
    if (doubtful) {
      for (int c = 0; c < kWidth; ++c) acc[c] = add_rounded_once(acc[c], a * static_cast<double>(b[c]));
      return;
    }
  }
  for (int c = 0; c < kWidth; ++c) acc[c] = static_cast<float>(sums[c]);
}

template <bool kLong>
void chain(std::int64_t rows, std::int64_t count, const WideRows* a, const WidePanel& b, float* acc) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int c0 = 0; c0 < kCols; c0 += kWidth) {
      float part[kWidth];
      std::memcpy(part, acc + r * kCols + c0, sizeof part);
      for (std::int64_t i = 0; i < count; ++i)
        chain_step<kLong>(part, static_cast<double>(a[r].values[i]), b.values[i] + c0);
      std::memcpy(acc + r * kCols + c0, part, sizeof part);
    }
  }
}

}  // namespace

const WideKernel portable::kWide{unpack_rows, unpack_panel, multiply, chain<false>, chain<true>};

}  // namespace oscsim::numerics::kernels
