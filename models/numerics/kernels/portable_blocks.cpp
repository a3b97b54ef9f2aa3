// SPDX-License-Identifier: Apache-2.0
// MXFP4, FP8, MXFP8 and INT8 for any CPU: plain loops over 32 columns that the compiler vectorises.
#include <array>
#include <cstring>

#include "models/numerics/accumulate.h"
#include "models/numerics/element.h"
#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kChunk = 64;
constexpr int kBlocks = kChunk / kBlock;
constexpr int kCols = static_cast<int>(kPanelCols);

// Element values as `Value`, and the power-of-two scales of their blocks.
template <class Value>
struct alignas(64) RowChunk {
  Value values[kChunk];
  double scale[kBlocks];
};
template <class Value>
struct alignas(64) PanelChunk {
  Value values[kChunk][kCols];
  double scale[kBlocks][kCols];
};

const std::array<double, 256> kE4m3Values = [] {
  std::array<double, 256> values{};
  for (std::uint32_t code = 0; code < 256; ++code) values[code] = static_cast<double>(decode(kE4m3, code));
  return values;
}();

constexpr std::array<float, 16> kE2m1HalfUnits{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

double block_scale(std::uint8_t exponent) {
  return power_of_two(exponent - kE8m0Bias);
}

// Element k of a row, or (k, col) of a panel: the layouts of PackedOperand. Small integers are held as FP32, which SSE2
// multiplies and adds faster than any of its integers; sums of a chunk stay below 2^24 and are exact.
struct E2m1 {
  using Value = float;
  static Value in_row(const std::uint8_t* codes, std::int64_t k) {
    return kE2m1HalfUnits[codes[k / 2] >> k % 2 * 4 & 15];
  }
  static Value in_panel(const std::uint8_t* codes, std::int64_t k, std::int64_t col) {
    return kE2m1HalfUnits[codes[k / 4 * 64 + col % 16 * 4 + k % 4] >> col / 16 * 4 & 15];
  }
};
struct E4m3 {
  using Value = double;
  static Value in_row(const std::uint8_t* codes, std::int64_t k) { return kE4m3Values[codes[k]]; }
  static Value in_panel(const std::uint8_t* codes, std::int64_t k, std::int64_t col) {
    return kE4m3Values[codes[k / 2 * 64 + col * 2 + k % 2]];
  }
};
struct Int8 {
  using Value = float;
  static Value in_row(const std::uint8_t* codes, std::int64_t k) { return static_cast<std::int8_t>(codes[k]); }
  static Value in_panel(const std::uint8_t* codes, std::int64_t k, std::int64_t col) {
    return static_cast<std::int8_t>(codes[k / 4 * 128 + col * 4 + k % 4]);
  }
};

template <class Codec>
void unpack_rows(const PackedOperand& a, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t count,
                 std::byte* out) {
  auto* chunks = reinterpret_cast<RowChunk<typename Codec::Value>*>(out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::uint8_t* codes = a.codes + (row + r) * a.stride;
    for (std::int64_t i = 0; i < count; ++i) chunks[r].values[i] = Codec::in_row(codes, k + i);
    if (a.exponents == nullptr) continue;
    for (std::int64_t block = 0; block < count / kBlock; ++block)
      chunks[r].scale[block] = block_scale(a.exponents[(row + r) * a.blocks + k / kBlock + block]);
  }
}

template <class Codec>
void unpack_panel(const PackedOperand& b, std::int64_t panel, std::int64_t k, std::int64_t count, std::byte* out) {
  auto& chunk = *reinterpret_cast<PanelChunk<typename Codec::Value>*>(out);
  const std::uint8_t* codes = b.codes + panel * b.stride;
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t col = 0; col < kCols; ++col) chunk.values[i][col] = Codec::in_panel(codes, k + i, col);
  if (b.exponents == nullptr) return;
  const std::uint8_t* exponents = b.exponents + (panel * b.blocks + k / kBlock) * kCols;
  for (std::int64_t block = 0; block < count / kBlock; ++block)
    for (std::int64_t col = 0; col < kCols; ++col)
      chunk.scale[block][col] = block_scale(exponents[block * kCols + col]);
}

// sums[col] += sum over [first, first + count) of a[i] * b[i][col]. Eight 16-byte vectors of columns at a time stay in
// registers; spelt out, because GCC 12 otherwise vectorises along k and shuffles.
template <class Value>
void add_products(const Value* a, const Value (*b)[kCols], std::int64_t first, std::int64_t count, Value* sums) {
  using Vector [[gnu::vector_size(16)]] = Value;
  constexpr int kVectors = 8;
  constexpr int kWidth = kVectors * static_cast<int>(sizeof(Vector) / sizeof(Value));
  for (int c0 = 0; c0 < kCols; c0 += kWidth) {
    Vector part[kVectors];
    std::memcpy(part, sums + c0, sizeof part);
    for (std::int64_t i = first; i < first + count; ++i) {
      Vector columns[kVectors];
      std::memcpy(columns, b[i] + c0, sizeof columns);
      for (int v = 0; v < kVectors; ++v) part[v] += a[i] * columns[v];
    }
    std::memcpy(sums + c0, part, sizeof part);
  }
}

// Dots in quarter units are at most 32 * 12 * 12 = 4608. acc + dot * scale is rounded to double and then to FP32, which
// is one rounding: a sum of two numbers of at most 24 bits, rounded to 53 >= 2 * 24 + 2 bits first, rounds as the exact
// sum does (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995).
void multiply_mxfp4(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk<float>*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk<float>*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = acc + r * kCols;
    for (std::int64_t block = 0; block < count / kBlock; ++block) {
      float dots[kCols] = {};
      add_products(chunks[r].values, panel.values, block * kBlock, kBlock, dots);
      const double row_scale = 0.25 * chunks[r].scale[block];
      for (int c = 0; c < kCols; ++c)
        out[c] = static_cast<float>(static_cast<double>(out[c]) +
                                    static_cast<double>(dots[c]) * (row_scale * panel.scale[block][c]));
    }
  }
}

void multiply_e4m3(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk<double>*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk<double>*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = acc + r * kCols;
    for (std::int64_t block = 0; block < count / kBlock; ++block) {
      double sums[kCols] = {};  // exact: multiples of 2^-18 below 2^23
      add_products(chunks[r].values, panel.values, block * kBlock, kBlock, sums);
      for (int c = 0; c < kCols; ++c)
        out[c] = add_rounded_once(out[c], sums[c] * (chunks[r].scale[block] * panel.scale[block][c]));
    }
  }
}

void multiply_int8(std::int64_t rows, std::int64_t count, const std::byte* a, const std::byte* b, float* acc) {
  const auto* chunks = reinterpret_cast<const RowChunk<float>*>(a);
  const auto& panel = *reinterpret_cast<const PanelChunk<float>*>(b);
  for (std::int64_t r = 0; r < rows; ++r) {
    float dots[kCols] = {};
    add_products(chunks[r].values, panel.values, 0, count, dots);
    std::int32_t sums[kCols];
    std::memcpy(sums, acc + r * kCols, sizeof sums);
    for (int c = 0; c < kCols; ++c) sums[c] += static_cast<std::int32_t>(dots[c]);
    std::memcpy(acc + r * kCols, sums, sizeof sums);
  }
}

template <class Codec>
constexpr TileKernel kernel_of(decltype(TileKernel::multiply) multiply) {
  return {kChunk,
          sizeof(RowChunk<typename Codec::Value>),
          sizeof(PanelChunk<typename Codec::Value>),
          unpack_rows<Codec>,
          unpack_panel<Codec>,
          multiply};
}

}  // namespace

const TileKernel portable::kMxfp4 = kernel_of<E2m1>(multiply_mxfp4);
const TileKernel portable::kE4m3 = kernel_of<E4m3>(multiply_e4m3);
const TileKernel portable::kInt8 = kernel_of<Int8>(multiply_int8);

}  // namespace oscsim::numerics::kernels
