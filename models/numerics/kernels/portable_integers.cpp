// SPDX-License-Identifier: Apache-2.0
// Small integers for any CPU: plain loops over 32 columns. They are held as FP32, which SSE2 multiplies and adds faster
// than any of its integers; sums of a chunk stay below 2^24 and are exact.
#include <bit>
#include <cstring>

#include "models/numerics/kernels/integer_kernel.h"
#include "models/numerics/kernels/portable.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 64;
constexpr int kMaxBlocks = kChunk / 16;
constexpr int kCols = static_cast<int>(kPanelCols);

struct alignas(64) RowChunk {
  float values[kChunk];
  float factors[kMaxBlocks];
};
struct alignas(64) PanelChunk {
  float values[kChunk][kCols];
  float factors[kMaxBlocks][kCols];
};

float integer_of(const IntegerOperand& operand, std::uint32_t code, std::uint32_t shift) {
  if (operand.code_bits == 8) return static_cast<std::int8_t>(code);
  return static_cast<float>(operand.integers[code] * (1 << shift));
}

// Shift `index` of the 16 in a word.
std::uint32_t shift_of(std::uint32_t word, std::int64_t index) {
  return word >> 2 * index & 3;
}

void unpack_rows(const IntegerOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k * a.code_bits / 8;
    const std::uint32_t word = a.shifts == nullptr ? 0 : a.shifts[(row + r) * (a.stride / 32) + k / 64];
    for (std::int64_t i = 0; i < count; ++i) {
      const std::uint32_t code = a.code_bits == 8 ? codes[i] : codes[i / 2] >> i % 2 * 4 & 15;
      chunks[r].values[i] = integer_of(a, code, shift_of(word, i / 4));
    }
    if (a.summed == 0) continue;
    for (std::int64_t i = 0; i < count; i += a.summed) {
      const std::uint8_t scale = a.scales == nullptr ? 0 : a.scales[(row + r) * a.blocks + (k + i) / a.block];
      chunks[r].factors[i / a.summed] = std::bit_cast<float>(a.factors[scale]);
    }
  }
}

void unpack_panel(const IntegerOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kPanelCols * b.code_bits / 8;
  const std::uint32_t* shifts = b.shifts == nullptr ? nullptr : b.shifts + panel * (b.stride / 32) + k / 2;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t col = 0; col < kCols; ++col) {
      const std::uint32_t code = b.code_bits == 8 ? codes[(i / 4 * kCols + col) * 4 + i % 4]
                                                  : codes[i / 4 * 64 + col % 16 * 4 + i % 4] >> col / 16 * 4 & 15;
      const std::uint32_t shift = shifts == nullptr ? 0 : shift_of(shifts[i / 4 * 2 + col / 16], col % 16);
      chunk.values[i][col] = integer_of(b, code, shift);
    }
  }
  if (b.summed == 0) return;
  for (std::int64_t i = 0; i < count; i += b.summed) {
    const std::uint8_t* scales =
        b.scales == nullptr ? nullptr : b.scales + (panel * b.blocks + (k + i) / b.block) * kPanelCols;
    for (int col = 0; col < kCols; ++col)
      chunk.factors[i / b.summed][col] = std::bit_cast<float>(b.factors[scales == nullptr ? 0 : scales[col]]);
  }
}

// acc + dot * factor is rounded to double and then to FP32, which is one rounding: a block value has at most 24 bits
// and no bit below FP32's lowest, and a sum of two numbers of at most 24 bits, rounded to 53 >= 2 * 24 + 2 bits first,
// rounds as the exact sum does (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995).
template <int kSummed>
void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = acc + r * kCols;
    for (std::int64_t block = 0; block < count / kSummed; ++block) {
      float dots[kCols] = {};
      portable::add_products(chunks[r].values, panel.values, block * kSummed, kSummed, dots);
      const auto row_factor = static_cast<double>(chunks[r].factors[block]);
      for (int c = 0; c < kCols; ++c)
        out[c] = static_cast<float>(static_cast<double>(out[c]) +
                                    static_cast<double>(dots[c]) *
                                        (row_factor * static_cast<double>(panel.factors[block][c])));
    }
  }
}

void multiply_unscaled(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float dots[kCols] = {};
    portable::add_products(chunks[r].values, panel.values, 0, count, dots);
    std::int32_t sums[kCols];
    std::memcpy(sums, acc + r * kCols, sizeof sums);
    for (int c = 0; c < kCols; ++c) sums[c] += static_cast<std::int32_t>(dots[c]);
    std::memcpy(acc + r * kCols, sums, sizeof sums);
  }
}

}  // namespace

IntegerKernel portable::integer_kernel(const IntegerTask& task) {
  IntegerKernel kernel{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply_unscaled};
  if (task.summed == 16) kernel.multiply = multiply<16>;
  if (task.summed == 32) kernel.multiply = multiply<32>;
  if (task.summed == 64) kernel.multiply = multiply<64>;
  return kernel;
}

}  // namespace oscsim::numerics::kernels
