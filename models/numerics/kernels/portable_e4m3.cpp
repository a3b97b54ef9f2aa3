// SPDX-License-Identifier: Apache-2.0
// FP8 and MXFP8 of E4M3 for any CPU: plain loops over 32 columns in double.
#include <array>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/kernels/kernel.h"
#include "models/numerics/kernels/portable.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 64;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kCols = static_cast<int>(kPanelCols);

// Element values, and the power-of-two scales of their blocks.
struct alignas(64) RowChunk {
  double values[kChunk];
  double scale[kBlocks];
};
struct alignas(64) PanelChunk {
  double values[kChunk][kCols];
  double scale[kBlocks][kCols];
};

const std::array<double, 256> kE4m3Values = [] {
  std::array<double, 256> values{};
  for (std::uint32_t code = 0; code < 256; ++code) values[code] = static_cast<double>(decode(kE4m3, code));
  return values;
}();

double block_scale(std::uint8_t exponent) {
  return power_of_two(exponent - kE8m0Bias);
}

void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride + k;
    for (std::int64_t i = 0; i < count; ++i) chunks[r].values[i] = kE4m3Values[codes[i]];
    for (std::int64_t block = 0; block < count / kBlock; ++block)
      chunks[r].scale[block] = block_scale(a.exponents[(row + r) * a.blocks + k / kBlock + block]);
  }
}

void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride + k * kCols;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t col = 0; col < kCols; ++col)
      chunk.values[i][col] = kE4m3Values[codes[(i / 2 * kCols + col) * 2 + i % 2]];
  const std::uint8_t* exponents = b.exponents + (panel * b.blocks + k / kBlock) * kCols;
  for (std::int64_t block = 0; block < count / kBlock; ++block)
    for (std::int64_t col = 0; col < kCols; ++col)
      chunk.scale[block][col] = block_scale(exponents[block * kCols + col]);
}

void multiply(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = acc + r * kCols;
    for (std::int64_t block = 0; block < count / kBlock; ++block) {
      double sums[kCols] = {};  // exact: multiples of 2^-18 below 2^23
      portable::add_products(chunks[r].values, panel.values, block * kBlock, kBlock, sums);
      for (int c = 0; c < kCols; ++c)
        out[c] = add_rounded_once(out[c], sums[c] * (chunks[r].scale[block] * panel.scale[block][c]));
    }
  }
}

}  // namespace

const TileKernel portable::kE4m3{kChunk, sizeof(RowChunk), sizeof(PanelChunk), unpack_rows, unpack_panel, multiply};

}  // namespace oscsim::numerics::kernels
