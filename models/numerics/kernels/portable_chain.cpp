// SPDX-License-Identifier: Apache-2.0
// FP32 chains acc = RNE(acc + a * b) in ascending k for any CPU, with or without FMA.
#include <bit>
#include <cmath>
#include <cstring>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 64;
constexpr int kCols = static_cast<int>(kPanelCols);

struct alignas(64) RowChunk {
  double values[kChunk];
};
struct alignas(64) PanelChunk {
  double values[kChunk][kCols];
};

float load(Element element, const std::uint8_t* codes, std::int64_t i) {
  if (element == Element::fp32) {
    float value;
    std::memcpy(&value, codes + 4 * i, sizeof value);
    return value;
  }
  std::uint16_t code;
  std::memcpy(&code, codes + 2 * i, sizeof code);
  return element == Element::fp16 ? fp16_to_float(code) : bf16_to_float(code);
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < count; ++i)
      chunks[r].values[i] = static_cast<double>(load(a.element, a.codes + (row + r) * a.stride, k + i));
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t c = 0; c < kCols; ++c)
      chunk.values[i][c] = static_cast<double>(load(b.element, codes, (k + i) * kCols + c));
}

constexpr int kWidth = 16;  // columns that stay in registers

// Whether rounding the double to FP32 may differ from rounding the sum that it was rounded from: midway between two
// FP32 numbers, and among FP32's subnormals, whose midpoints are others.
bool may_round_twice(double sum) {
  const auto discarded = std::bit_cast<std::uint64_t>(sum) & ((std::uint64_t{1} << 29) - 1);
  return (discarded == std::uint64_t{1} << 28) | (std::fabs(sum) < 0x1p-126);
}

// acc[c] = RNE_FP32(acc[c] + a * b[c]), one rounding; products are exact in double (48 bits at most).
//
// Products of 16-bit elements have at most 22 bits. For these, rounding the sum to double first changes nothing:
// 53 >= 2 * 24 + 2 bits (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995). Where FP32 has
// subnormals it rounds to multiples of 2^-149; a double that were wrongly midway between two of them would need a
// product of more than 29 bits. With kWide the products may be longer.
template <bool kWide>
void step(float* acc, double a, const double* b) {
  double sums[kWidth];
  for (int c = 0; c < kWidth; ++c) sums[c] = static_cast<double>(acc[c]) + a * b[c];
  if constexpr (kWide) {
    bool doubtful = false;
    for (int c = 0; c < kWidth; ++c) doubtful |= may_round_twice(sums[c]);
    if (doubtful) [[unlikely]] {
      for (int c = 0; c < kWidth; ++c) acc[c] = add_rounded_once(acc[c], a * b[c]);
      return;
    }
  }
  for (int c = 0; c < kWidth; ++c) acc[c] = static_cast<float>(sums[c]);
}

template <bool kWide>
void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int c0 = 0; c0 < kCols; c0 += kWidth) {
      float part[kWidth];
      std::memcpy(part, acc + r * kCols + c0, sizeof part);
      for (std::int64_t i = 0; i < count; ++i) step<kWide>(part, chunks[r].values[i], panel.values[i] + c0);
      std::memcpy(acc + r * kCols + c0, part, sizeof part);
    }
  }
}

}  // namespace

const TileKernel portable::kChain{kChunk,      sizeof(RowChunk), sizeof(PanelChunk),
                                  unpack_rows, unpack_panel,     multiply<false>};
const TileKernel portable::kWideChain{kChunk,      sizeof(RowChunk), sizeof(PanelChunk),
                                      unpack_rows, unpack_panel,     multiply<true>};

}  // namespace oscsim::numerics::kernels
