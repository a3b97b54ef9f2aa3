// SPDX-License-Identifier: Apache-2.0
// Packing is a copy (rows) or a transposition of small units (panels); for E4M3 also a look at every block: is it
// zero, is it NaN, and which shift makes it fit int16.
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

std::int64_t bytes_of(Element element) {
  switch (element) {
    case Element::e4m3:
      return 1;
    case Element::bf16:
    case Element::fp16:
      return 2;
    case Element::fp32:
      return 4;
  }
  ensure(false, "unknown element {}", static_cast<int>(element));
  return 0;
}

// Bytes of `k` packed elements of one row.
std::int64_t packed_row_bytes(Element element, std::int64_t k) {
  return (element == Element::e4m3 ? round_up(k, kBlock) : k) * bytes_of(element);
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

// ------ codes

// Transposes `units` units of every row of a panel; missing rows are zero.
template <class Unit>
void transpose_units(const std::uint8_t* rows, std::int64_t row_bytes, std::int64_t units, std::byte* out) {
  for (std::int64_t u = 0; u < units; ++u)
    for (std::int64_t col = 0; col < kPanelCols; ++col)
      std::memcpy(out + (u * kPanelCols + col) * static_cast<std::int64_t>(sizeof(Unit)),
                  rows + col * row_bytes + u * static_cast<std::int64_t>(sizeof(Unit)), sizeof(Unit));
}

void transpose(Element element, const std::uint8_t* rows, std::int64_t row_bytes, std::int64_t bytes, std::byte* out) {
  switch (element) {
    case Element::e4m3:
    case Element::bf16:
    case Element::fp16:
      return transpose_units<std::uint16_t>(rows, row_bytes, bytes / 2, out);
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
    const std::int64_t present = std::clamp<std::int64_t>(source.k * bytes_of(source.element) - at, 0, bytes);
    if (cols < kPanelCols || present < bytes) staged.fill(0);
    for (std::int64_t col = 0; col < cols; ++col)
      std::memcpy(staged.data() + col * kPiece, source.codes + (first + col) * source.row_bytes + at,
                  static_cast<std::size_t>(present));
    transpose(source.element, staged.data(), kPiece, bytes, out + at * kPanelCols);
  }
}

Element element_of(ElementType element) {
  switch (element) {
    case ElementType::e4m3:
      return Element::e4m3;
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
  if (element_ == Element::e4m3) pack_blocks(source, side);
}

void PackedMatrix::pack_codes(const PlainOperand& source, Side side) {
  const std::int64_t row_bytes = packed_row_bytes(element_, k_);
  if (side == Side::rows) {
    stride_ = row_bytes;
    codes_ = AlignedBytes(rows_ * stride_);
    const std::int64_t present = k_ * bytes_of(element_);
    parallel_rows(rows_, 16, [&](std::int64_t row) {
      std::byte* out = codes_.data() + row * stride_;
      if (present > 0) std::memcpy(out, source.codes + row * source.row_bytes, static_cast<std::size_t>(present));
      std::memset(out + present, 0, static_cast<std::size_t>(row_bytes - present));
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
  shifts_.assign(exponents_.size(), 0);
  parallel_rows(rows_, 16, [&](std::int64_t row) {
    const std::uint8_t* codes = source.codes + row * source.row_bytes;
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const std::int64_t count = std::min(kBlock, k_ - block * kBlock);
      const BlockFacts facts = e4m3_facts(codes + block * kBlock, count, norm_limit);
      const std::uint8_t exponent = source.block_scale == nullptr ? 127 : source.block_scale[row * blocks_ + block];
      const bool nan = facts.nan || exponent == kE8m0Nan;
      if (nan) nan_rows_[static_cast<std::size_t>(row)] = 1;
      const std::int64_t slot = side == Side::rows
                                    ? row * blocks_ + block
                                    : (row / kPanelCols * blocks_ + block) * kPanelCols + row % kPanelCols;
      shifts_[static_cast<std::size_t>(slot)] = facts.shift;
      if (facts.zero || nan) continue;
      exponents_[static_cast<std::size_t>(slot)] = exponent;
    }
  });
  const auto found = std::ranges::min_element(exponents_);
  const std::uint8_t smallest = found == exponents_.end() || *found == kE8m0Nan ? kE8m0Bias : *found;
  std::ranges::replace(exponents_, kE8m0Nan, smallest);
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
