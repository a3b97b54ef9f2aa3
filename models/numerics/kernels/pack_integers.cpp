// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/pack_integers.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/numerics/element.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr std::int64_t kStep = 64;        // K is padded to a multiple of it
constexpr std::uint8_t kNeutral = 0xFF;   // scale code of blocks that are zero or NaN: NaN in E8M0, E4M3 and E6M2
constexpr std::int64_t kHif4Groups = 16;  // of four elements, in a block

double unit_of(const FormatInfo& info) {
  if (info.element == ElementType::int8 && info.block_scale == BlockScale::e8m0) return 0x1p-6;  // MXINT8
  return is_integer(info.element) ? 1.0 : static_cast<double>(decode(layout_of(info.element), 1));
}

double decode_scale(BlockScale scale, std::uint8_t code) {
  switch (scale) {
    case BlockScale::e8m0:
      return decode_e8m0(code);
    case BlockScale::e4m3:
      return static_cast<double>(decode(kE4m3, code));
    case BlockScale::hif4:
      return decode_e6m2(code);
    default:
      return 1;
  }
}

// Codes of at most 8 bits: zero in all of them, either sign?
bool all_zero(const std::uint8_t* codes, std::int64_t bytes, std::uint64_t magnitude_bits) {
  std::uint64_t any = 0;
  for (std::int64_t i = 0; i < bytes; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, codes + i, sizeof word);
    any |= word;
  }
  return (any & magnitude_bits) == 0;
}

// Four codes of two bytes, one in each byte of the result.
std::uint32_t spread_nibbles(const std::uint8_t* bytes) {
  std::uint32_t x = static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 16;
  x |= x << 4;
  return x & 0x0F0F0F0FU;
}

// 32 rows with `stride` bytes between them to the layouts of a panel.
void transpose_nibbles(const std::uint8_t* rows, std::int64_t stride, std::int64_t groups, std::byte* out) {
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t col = 0; col < kPanelCols / 2; ++col) {
      const std::uint32_t low = spread_nibbles(rows + col * stride + g * 2);
      const std::uint32_t high = spread_nibbles(rows + (col + kPanelCols / 2) * stride + g * 2);
      const std::uint32_t both = low | high << 4;
      std::memcpy(out + g * 64 + col * 4, &both, sizeof both);
    }
  }
}

void transpose_bytes(const std::uint8_t* rows, std::int64_t stride, std::int64_t groups, std::byte* out) {
  for (std::int64_t g = 0; g < groups; ++g)
    for (std::int64_t col = 0; col < kPanelCols; ++col)
      std::memcpy(out + (g * kPanelCols + col) * 4, rows + col * stride + g * 4, 4);
}

// A row's codes, padded with zeros; what a file holds beyond k is not looked at.
void copy_codes(const QuantisedMatrix& source, std::int64_t row, int bits, std::int64_t row_bytes, std::uint8_t* out) {
  const std::int64_t present = tiles_of(source.k * bits, 8);
  std::copy_n(source.codes.data() + row * source.row_bytes, present, out);
  std::memset(out + present, 0, static_cast<std::size_t>(row_bytes - present));
  if (source.k * bits % 8 != 0) out[present - 1] &= 0x0F;
}

}  // namespace

bool has_small_integers(const FormatInfo& info) {
  switch (info.block_scale) {
    case BlockScale::none:
    case BlockScale::e8m0:
    case BlockScale::e4m3:
    case BlockScale::hif4:
      return is_integer(info.element) || info.element == ElementType::e2m1 || info.element == ElementType::e1m2;
    case BlockScale::signed_e5m2:
    case BlockScale::bf16_zero:
      break;
  }
  return false;
}

// The scale codes of a row's blocks with the smallest and the largest factor; E4M3's sign is dropped.
struct PackedIntegers::ScaleRange {
  std::uint8_t smallest = kNeutral;
  std::uint8_t largest = 0;
};

PackedIntegers::PackedIntegers(const QuantisedMatrix& source, Side side)
    : side_(side), rows_(source.rows), padded_k_(round_up(source.k, kStep)) {
  const FormatInfo& info = format(source.format);
  code_bits_ = info.element_bits;
  row_bytes_ = padded_k_ * code_bits_ / 8;
  set_tables(info);
  const std::int64_t padded_rows = side == Side::rows ? rows_ : round_up(rows_, kPanelCols);
  codes_ = AlignedBytes(padded_rows * row_bytes_);
  nan_rows_.assign(static_cast<std::size_t>(rows_), 0);
  if (info.block_scale != BlockScale::none) {
    block_ = info.block;
    blocks_ = padded_k_ / block_;
    scales_.assign(static_cast<std::size_t>(padded_rows * blocks_), kNeutral);
  }
  // A shift of 2 bits for 4 elements: 32 to a word.
  if (info.block_scale == BlockScale::hif4)
    shifts_.assign(static_cast<std::size_t>(padded_rows * padded_k_ / kStep), 0);
  std::vector<ScaleRange> ranges(static_cast<std::size_t>(rows_));
  if (side == Side::rows) {
    tbb::parallel_for(std::int64_t{0}, rows_, [&](std::int64_t row) {
      pack_row(source, row, reinterpret_cast<std::uint8_t*>(codes_.data()) + row * row_bytes_,
               ranges[static_cast<std::size_t>(row)]);
    });
  } else {
    tbb::parallel_for(std::int64_t{0}, tiles_of(rows_, kPanelCols),
                      [&](std::int64_t panel) { pack_panel(source, panel, ranges.data() + panel * kPanelCols); });
  }
  set_factor_range(ranges);
}

void PackedIntegers::set_tables(const FormatInfo& info) {
  const double unit = unit_of(info);
  range_ = {-128, 127};
  if (info.element_bits == 4) {
    range_ = {0, 0};
    for (std::uint32_t code = 0; code < integers_.size(); ++code) {
      const int integer = info.element == ElementType::int4
                              ? static_cast<int>(code ^ 8U) - 8
                              : static_cast<int>(static_cast<double>(decode(layout_of(info.element), code)) / unit);
      integers_[code] = static_cast<std::int8_t>(integer);
      range_ = {std::min(range_.smallest, integer), std::max(range_.largest, integer)};
    }
    if (info.block_scale == BlockScale::hif4) range_ = {4 * range_.smallest, 4 * range_.largest};
  }
  for (std::uint32_t code = 0; code < factors_.size(); ++code)
    factors_[code] = decode_scale(info.block_scale, static_cast<std::uint8_t>(code)) * unit;
}

std::uint8_t PackedIntegers::block_code(const FormatInfo& info, const std::uint8_t* scale, bool zero,
                                        ScaleRange& range) const {
  if (zero) return kNeutral;
  const bool has_sign = info.block_scale == BlockScale::e4m3;
  const auto magnitude = static_cast<std::uint8_t>(has_sign ? *scale & 0x7F : *scale);
  if (factors_[magnitude] != 0) {
    range.smallest = std::min(range.smallest, magnitude);
    range.largest = std::max(range.largest, magnitude);
  }
  return *scale;
}

void PackedIntegers::pack_shifts(std::int64_t row, std::int64_t block, const std::uint8_t* scale) {
  const std::uint32_t fours = scale[2] | static_cast<std::uint32_t>(scale[3]) << 8;
  for (std::int64_t group = 0; group < kHif4Groups; ++group) {
    const std::uint32_t shift = (scale[1] >> group / 2 & 1U) + (fours >> group & 1U);
    if (side_ == Side::rows) {
      shifts_[static_cast<std::size_t>(row * blocks_ + block)] |= shift << 2 * group;
    } else {
      const std::int64_t word = row / kPanelCols * padded_k_ / 2 + (block * kHif4Groups + group) * 2 + row % 32 / 16;
      shifts_[static_cast<std::size_t>(word)] |= shift << row % 16 * 2;
    }
  }
}

void PackedIntegers::pack_row(const QuantisedMatrix& source, std::int64_t row, std::uint8_t* codes, ScaleRange& range) {
  copy_codes(source, row, code_bits_, row_bytes_, codes);
  if (blocks_ == 0) return;
  const FormatInfo& info = format(source.format);
  const std::int64_t block_bytes = block_ * code_bits_ / 8;
  const std::uint64_t magnitude_bits = code_bits_ == 4 ? 0x7777777777777777U : ~std::uint64_t{0};
  for (std::int64_t block = 0; block < source.blocks(); ++block) {
    const std::uint8_t* scale = source.scale_of(row, block);
    const bool nan = std::isnan(factors_[*scale]);
    if (nan) nan_rows_[static_cast<std::size_t>(row)] = 1;
    const bool zero = nan || all_zero(codes + block * block_bytes, block_bytes, magnitude_bits);
    const std::int64_t slot = side_ == Side::rows
                                  ? row * blocks_ + block
                                  : (row / kPanelCols * blocks_ + block) * kPanelCols + row % kPanelCols;
    scales_[static_cast<std::size_t>(slot)] = block_code(info, scale, zero, range);
    if (!shifts_.empty()) pack_shifts(row, block, scale);
  }
}

void PackedIntegers::pack_panel(const QuantisedMatrix& source, std::int64_t panel, ScaleRange* ranges) {
  const std::int64_t stride = row_bytes_ + 64;  // rows start in different sets of the cache
  AlignedBytes staged(kPanelCols * stride);
  auto* rows = reinterpret_cast<std::uint8_t*>(staged.data());
  const std::int64_t first = panel * kPanelCols;
  const std::int64_t cols = std::min(kPanelCols, rows_ - first);
  for (std::int64_t col = 0; col < cols; ++col) pack_row(source, first + col, rows + col * stride, ranges[col]);
  std::memset(rows + cols * stride, 0, static_cast<std::size_t>((kPanelCols - cols) * stride));
  std::byte* out = codes_.data() + panel * kPanelCols * row_bytes_;
  if (code_bits_ == 4)
    transpose_nibbles(rows, stride, padded_k_ / 4, out);
  else
    transpose_bytes(rows, stride, padded_k_ / 4, out);
}

void PackedIntegers::set_factor_range(const std::vector<ScaleRange>& ranges) {
  if (blocks_ == 0) {
    smallest_factor_ = factors_[0];
    largest_factor_ = factors_[0];
    return;
  }
  ScaleRange all;
  for (const ScaleRange& range : ranges) {
    all.smallest = std::min(all.smallest, range.smallest);
    all.largest = std::max(all.largest, range.largest);
  }
  if (all.smallest <= all.largest) {
    smallest_factor_ = factors_[all.smallest];
    largest_factor_ = factors_[all.largest];
  }
  // NaN codes of blocks that are zero or NaN.
  for (double& factor : factors_)
    if (std::isnan(factor)) factor = smallest_factor_;
}

IntegerOperand PackedIntegers::operand() const {
  IntegerOperand operand{};
  operand.code_bits = code_bits_;
  operand.integers = integers_.data();
  operand.codes = reinterpret_cast<const std::uint8_t*>(codes_.data());
  operand.stride = side_ == Side::rows ? row_bytes_ : row_bytes_ * kPanelCols;
  operand.shifts = shifts_.empty() ? nullptr : shifts_.data();
  operand.scales = scales_.empty() ? nullptr : scales_.data();
  operand.block = block_;
  operand.blocks = blocks_;
  return operand;
}

}  // namespace oscsim::numerics::kernels
