// SPDX-License-Identifier: Apache-2.0
// Packing is a copy (rows) or a transposition of small units (panels); for block formats also a look at every block:
// is it zero, is it NaN, and which shift makes it fit int16.
#include "models/numerics/kernels/pack.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <numeric>

#include "models/numerics/element.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr std::size_t kAlignment = 64;

bool has_blocks(Element element) {
  return element == Element::e2m1 || element == Element::e4m3;
}

int bits_of(Element element) {
  switch (element) {
    case Element::e2m1:
      return 4;
    case Element::e4m3:
    case Element::int8:
      return 8;
    case Element::bf16:
    case Element::fp16:
      return 16;
    case Element::fp32:
      return 32;
  }
  ensure(false, "unknown element {}", static_cast<int>(element));
  return 0;
}

// Bytes of `k` packed elements of one row.
std::int64_t packed_row_bytes(Element element, std::int64_t k) {
  const int bits = bits_of(element);
  return (bits < 16 ? round_up(k, kBlock) : k) * bits / 8;
}

template <class Body>
void parallel_rows(std::int64_t rows, std::int64_t grain, const Body& body) {
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, rows, static_cast<std::size_t>(grain)),
                    [&](const tbb::blocked_range<std::int64_t>& range) {
                      for (std::int64_t row = range.begin(); row < range.end(); ++row) body(row);
                    });
}

// ------ blocks

struct BlockFacts {
  bool zero = true;
  bool nan = false;
  std::uint8_t shift = 0;
};

constexpr std::int32_t kNanMagnitude = 480 * 512;  // code 1111.111 read as a number: the largest

// Elements in units of 2^-9. Sums of squares are rounded: the limit is lowered by more than their error of 2^-20.
BlockFacts e4m3_facts(const std::uint8_t* codes, std::int64_t count, std::int64_t norm_limit) {
  constexpr int kLanes = 8;  // independent sums, so that the compiler may vectorise them
  alignas(kAlignment) std::array<std::uint8_t, kBlock> magnitudes{};
  for (std::int64_t i = 0; i < count; ++i) magnitudes[static_cast<std::size_t>(i)] = codes[i] & 0x7FU;
  std::array<float, kLanes> squares{};
  std::array<std::int32_t, kLanes> bits{};
  std::array<std::int32_t, kLanes> largest{};
  for (std::size_t i = 0; i < magnitudes.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      // The code in the place of an FP32 number's exponent and mantissa; 2^120 moves the bias.
      const float value = std::bit_cast<float>(magnitudes[i + lane] << 20) * 0x1p120F * 0x1p9F;
      const auto element = static_cast<std::int32_t>(value);
      squares[lane] += value * value;
      bits[lane] |= element;
      largest[lane] = std::max(largest[lane], element);
    }
  }
  const float sum = std::accumulate(squares.begin(), squares.end(), 0.0F);
  const std::int32_t all_bits = std::accumulate(bits.begin(), bits.end(), 0, std::bit_or<>());
  const std::int32_t top = *std::max_element(largest.begin(), largest.end());
  const float limit = static_cast<float>(norm_limit * norm_limit) * (1 - 0x1p-12F);
  int shift = 0;
  while (std::ldexp(sum, -2 * shift) >= limit || top >> shift > INT16_MAX) ++shift;
  const bool low = (all_bits & ((1 << shift) - 1)) != 0;
  return {
      .zero = top == 0, .nan = top == kNanMagnitude, .shift = static_cast<std::uint8_t>(shift | (low ? kHasLow : 0))};
}

BlockFacts e2m1_facts(const std::uint8_t* codes, std::int64_t count) {
  const bool zero = std::all_of(codes, codes + (count + 1) / 2, [](std::uint8_t pair) { return (pair & 0x77) == 0; });
  return {.zero = zero, .nan = false, .shift = 0};
}

// ------ codes

// Transposes `units` units of every row of a panel; missing rows are zero.
template <class Unit>
void transpose_units(const std::uint8_t* rows, std::int64_t row_bytes, std::int64_t units, std::byte* out) {
  for (std::int64_t u = 0; u < units; ++u)
    for (std::int64_t col = 0; col < kPanelCols; ++col)
      std::memcpy(out + (u * kPanelCols + col) * static_cast<std::int64_t>(sizeof(Unit)),
                  rows + col * row_bytes + u * static_cast<std::int64_t>(sizeof(Unit)), sizeof(Unit));
}

// Four codes of two bytes, one in each byte of the result.
std::uint32_t spread_nibbles(const std::uint8_t* bytes) {
  std::uint32_t x = static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 16;
  x |= x << 4;
  return x & 0x0F0F0F0FU;
}

void transpose_e2m1(const std::uint8_t* rows, std::int64_t row_bytes, std::int64_t groups, std::byte* out) {
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t col = 0; col < kPanelCols / 2; ++col) {
      const std::uint32_t low = spread_nibbles(rows + col * row_bytes + g * 2);
      const std::uint32_t high = spread_nibbles(rows + (col + kPanelCols / 2) * row_bytes + g * 2);
      const std::uint32_t both = low | high << 4;
      std::memcpy(out + g * 64 + col * 4, &both, sizeof both);
    }
  }
}

void transpose(Element element, const std::uint8_t* rows, std::int64_t row_bytes, std::int64_t bytes, std::byte* out) {
  switch (element) {
    case Element::e2m1:
      return transpose_e2m1(rows, row_bytes, bytes / 2, out);
    case Element::e4m3:
    case Element::bf16:
    case Element::fp16:
      return transpose_units<std::uint16_t>(rows, row_bytes, bytes / 2, out);
    case Element::int8:
    case Element::fp32:
      return transpose_units<std::uint32_t>(rows, row_bytes, bytes / 4, out);
  }
}

// One panel: its rows are staged a piece at a time, padded with zeros on both sides of the matrix's edge.
void pack_panel(const PlainOperand& source, std::int64_t panel, std::int64_t packed_bytes, std::byte* out) {
  constexpr std::int64_t kPiece = 256;  // bytes of a row
  alignas(kAlignment) std::array<std::uint8_t, kPanelCols * kPiece> staged;
  const std::int64_t first = panel * kPanelCols;
  const std::int64_t cols = std::min(kPanelCols, source.rows - first);
  for (std::int64_t at = 0; at < packed_bytes; at += kPiece) {
    const std::int64_t bytes = std::min(kPiece, packed_bytes - at);
    const std::int64_t present = std::clamp<std::int64_t>(source.row_bytes - at, 0, bytes);
    if (cols < kPanelCols || present < bytes) staged.fill(0);
    for (std::int64_t col = 0; col < cols; ++col)
      std::memcpy(staged.data() + col * kPiece, source.codes + (first + col) * source.row_bytes + at,
                  static_cast<std::size_t>(present));
    transpose(source.element, staged.data(), kPiece, bytes, out + at * kPanelCols);
  }
}

Element element_of(ElementType element) {
  switch (element) {
    case ElementType::e2m1:
      return Element::e2m1;
    case ElementType::e4m3:
      return Element::e4m3;
    case ElementType::int8:
      return Element::int8;
    case ElementType::bf16:
      return Element::bf16;
    case ElementType::fp16:
      return Element::fp16;
    default:
      break;
  }
  ensure(false, "element {} has no packed form", name_of(element));
  return Element::fp32;
}

}  // namespace

AlignedBytes::AlignedBytes(std::int64_t size)
    : data_(static_cast<std::byte*>(::operator new (static_cast<std::size_t>(size), std::align_val_t{kAlignment}))),
      size_(size) {}

void AlignedBytes::Free::operator()(std::byte* pointer) const {
  ::operator delete (pointer, std::align_val_t{kAlignment});
}

PlainOperand plain(const QuantisedMatrix& matrix) {
  return {.element = element_of(format(matrix.format).element),
          .codes = matrix.codes.data(),
          .row_bytes = matrix.row_bytes,
          .block_scale = matrix.block_scale.empty() ? nullptr : matrix.block_scale.data(),
          .rows = matrix.rows,
          .k = matrix.k};
}

PlainOperand plain(MatrixView matrix) {
  const Element element = matrix.dtype() == Dtype::fp32   ? Element::fp32
                          : matrix.dtype() == Dtype::fp16 ? Element::fp16
                                                          : Element::bf16;
  return {.element = element,
          .codes = reinterpret_cast<const std::uint8_t*>(matrix.data()),
          .row_bytes = matrix.cols() * static_cast<std::int64_t>(size_of(matrix.dtype())),
          .block_scale = nullptr,
          .rows = matrix.rows(),
          .k = matrix.cols()};
}

PackedMatrix::PackedMatrix(const PlainOperand& source, Side side)
    : element_(source.element), rows_(source.rows), k_(source.k) {
  pack_codes(source, side);
  nan_rows_.assign(static_cast<std::size_t>(rows_), 0);
  if (has_blocks(element_)) pack_blocks(source, side);
}

void PackedMatrix::pack_codes(const PlainOperand& source, Side side) {
  const std::int64_t row_bytes = packed_row_bytes(element_, k_);
  if (side == Side::rows) {
    stride_ = row_bytes;
    codes_ = AlignedBytes(rows_ * stride_);
    parallel_rows(rows_, 16, [&](std::int64_t row) {
      std::byte* out = codes_.data() + row * stride_;
      std::memcpy(out, source.codes + row * source.row_bytes, static_cast<std::size_t>(source.row_bytes));
      std::memset(out + source.row_bytes, 0, static_cast<std::size_t>(row_bytes - source.row_bytes));
    });
  } else {
    const std::int64_t panels = tiles_of(rows_, kPanelCols);
    stride_ = row_bytes * kPanelCols;
    codes_ = AlignedBytes(panels * stride_);
    parallel_rows(panels, 1,
                  [&](std::int64_t panel) { pack_panel(source, panel, row_bytes, codes_.data() + panel * stride_); });
  }
}

void PackedMatrix::pack_blocks(const PlainOperand& source, Side side) {
  blocks_ = tiles_of(k_, kBlock);
  const std::int64_t padded_rows = side == Side::rows ? rows_ : round_up(rows_, kPanelCols);
  const std::int64_t norm_limit = side == Side::rows ? kRowNorm : kPanelNorm;
  exponents_.assign(static_cast<std::size_t>(padded_rows * blocks_), kE8m0Nan);
  if (element_ == Element::e4m3) shifts_.assign(exponents_.size(), 0);
  std::vector<std::array<int, 2>> ranges(static_cast<std::size_t>(rows_), {kE8m0Nan, -1});
  parallel_rows(rows_, 16, [&](std::int64_t row) {
    const std::uint8_t* codes = source.codes + row * source.row_bytes;
    auto& [smallest, largest] = ranges[static_cast<std::size_t>(row)];
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::int64_t count = std::min(kBlock, k_ - block * kBlock);
      const BlockFacts facts = element_ == Element::e4m3 ? e4m3_facts(codes + block * kBlock, count, norm_limit)
                                                         : e2m1_facts(codes + block * kBlock / 2, count);
      const std::uint8_t exponent = source.block_scale == nullptr ? 127 : source.block_scale[row * blocks_ + block];
      const bool nan = facts.nan || exponent == kE8m0Nan;
      if (nan) nan_rows_[static_cast<std::size_t>(row)] = 1;
      const std::int64_t slot = side == Side::rows
                                    ? row * blocks_ + block
                                    : (row / kPanelCols * blocks_ + block) * kPanelCols + row % kPanelCols;
      if (element_ == Element::e4m3) shifts_[static_cast<std::size_t>(slot)] = facts.shift;
      if (facts.zero || nan) continue;
      exponents_[static_cast<std::size_t>(slot)] = exponent;
      smallest = std::min<int>(smallest, exponent);
      largest = std::max<int>(largest, exponent);
    }
  });
  int smallest = kE8m0Nan;
  int largest = -1;
  for (const auto& [low, high] : ranges) {
    smallest = std::min(smallest, low);
    largest = std::max(largest, high);
  }
  if (largest >= 0) {
    smallest_exponent_ = smallest;
    largest_exponent_ = largest;
  }
  std::replace(exponents_.begin(), exponents_.end(), kE8m0Nan, static_cast<std::uint8_t>(smallest_exponent_));
}

PackedOperand PackedMatrix::operand() const {
  return {.element = element_,
          .codes = reinterpret_cast<const std::uint8_t*>(codes_.data()),
          .stride = stride_,
          .blocks = blocks_,
          .exponents = exponents_.empty() ? nullptr : exponents_.data(),
          .shifts = shifts_.empty() ? nullptr : shifts_.data()};
}

}  // namespace oscsim::numerics::kernels
