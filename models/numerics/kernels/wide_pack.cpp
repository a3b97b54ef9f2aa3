// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/wide_pack.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "models/numerics/element.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::uint16_t kOne = 0x3F80;  // 1 as BF16

WideCodec codec_of(const FormatInfo& info) {
  switch (info.element) {
    case ElementType::e4m3:
      return WideCodec::e4m3;
    case ElementType::e5m2:
      return WideCodec::e5m2;
    case ElementType::int8:
      return WideCodec::int8;
    case ElementType::bf16:
      return WideCodec::bf16;
    case ElementType::fp16:
      return WideCodec::fp16;
    case ElementType::e2m1:
    case ElementType::e1m2:
    case ElementType::int4:
      break;
  }
  return WideCodec::nibble;
}

Adjust adjust_of(BlockScale scale) {
  switch (scale) {
    case BlockScale::hif4:
      return Adjust::micro;
    case BlockScale::signed_e5m2:
      return Adjust::by_sign;
    case BlockScale::bf16_zero:
      return Adjust::affine;
    case BlockScale::none:
    case BlockScale::e8m0:
    case BlockScale::e4m3:
      break;
  }
  return Adjust::none;
}

bool has_factors(BlockScale scale) {
  return scale != BlockScale::none && scale != BlockScale::signed_e5m2;
}

int factor_bits_of(BlockScale scale) {
  switch (scale) {
    case BlockScale::e4m3:
      return kE4m3.mantissa_bits + 1;
    case BlockScale::hif4:
      return 3;
    case BlockScale::bf16_zero:
      return kBf16.mantissa_bits + 1;
    case BlockScale::none:
    case BlockScale::e8m0:
    case BlockScale::signed_e5m2:
      break;
  }
  return 0;
}

// Of an element's significand, its sign's scale or zero point included.
int element_bits_of(const FormatInfo& info) {
  if (is_integer(info.element)) return 8;
  const int bits = layout_of(info.element).mantissa_bits + 1;
  return info.block_scale == BlockScale::signed_e5m2 ? bits + kE5m2.mantissa_bits + 1 : bits;
}

// Of a number that BF16 holds.
std::uint16_t bf16_code(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}

std::uint16_t little_endian16(const std::uint8_t* bytes) {
  return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
}

// The two micro-exponents of each group of four, added.
std::uint32_t micro_exponents(const std::uint8_t* scale) {
  std::uint32_t both = 0;
  for (int group = 0; group < 16; ++group)
    both |= static_cast<std::uint32_t>((scale[1] >> group / 2 & 1) + (little_endian16(scale + 2) >> group & 1))
            << 2 * group;
  return both;
}

// Exponent of the lowest set bit of a number that BF16 holds.
int lowest_bit(float value) {
  const int exponent = std::ilogb(value);
  const auto significand = static_cast<std::uint32_t>(std::ldexp(std::fabs(value), kBf16.mantissa_bits - exponent));
  return exponent - kBf16.mantissa_bits + std::countr_zero(significand);
}

struct BlockFacts {
  float largest = 0;
  float squares = 0;
  int lowest_bit = 0;
};

constexpr std::int64_t kLanes = 4;
using Floats [[gnu::vector_size(16)]] = float;
using Integers [[gnu::vector_size(16)]] = std::int32_t;

// Of numbers that BF16 holds, in a whole number of lanes. Spelt out in vectors, which GCC 12 does not make of it.
BlockFacts facts_of(std::span<const float> values) {
  constexpr std::int32_t kExponent = 0x7F800000;
  constexpr std::int32_t kNone = 0x7F7FFFFF;  // FP32's largest number; as integers, positive ones have the same order
  Floats squares{};
  Integers largest{};
  Integers lowest = Integers{} + kNone;
  for (std::size_t i = 0; i < values.size(); i += kLanes) {
    Floats value;
    std::memcpy(&value, values.data() + i, sizeof value);
    const Integers magnitude = std::bit_cast<Integers>(value) & INT32_MAX;
    const Integers significand = (magnitude >> 16 & 0x7F) | 0x80;
    const Floats bit =
        std::bit_cast<Floats>(magnitude & kExponent) * __builtin_convertvector(significand & -significand, Floats);
    const Integers present = magnitude == 0 ? Integers{} + kNone : std::bit_cast<Integers>(bit);
    squares += value * value;
    largest = magnitude > largest ? magnitude : largest;
    lowest = present < lowest ? present : lowest;
  }
  BlockFacts facts;
  std::int32_t least = kNone;
  for (int lane = 0; lane < kLanes; ++lane) {
    facts.largest = std::max(facts.largest, std::bit_cast<float>(static_cast<std::int32_t>(largest[lane])));
    facts.squares += squares[lane];
    least = std::min<std::int32_t>(least, lowest[lane]);
  }
  facts.lowest_bit = std::ilogb(std::bit_cast<float>(least)) - kBf16.mantissa_bits;
  return facts;
}

// Sums of squares are rounded: raised by more than their error of 2^-20.
std::uint8_t span_of(const BlockFacts& facts) {
  int exponent = 0;
  std::frexp(facts.squares * (1 + 0x1p-16F), &exponent);
  return static_cast<std::uint8_t>(exponent - 2 * facts.lowest_bit);
}

// `rows`: 32 rows of `bytes` bytes at a distance of `stride`.
template <class Unit>
void transpose_units(const std::uint8_t* rows, std::int64_t stride, std::int64_t bytes, std::uint8_t* out) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(Unit));
  for (std::int64_t at = 0; at < bytes; at += kSize)
    for (std::int64_t col = 0; col < kPanelCols; ++col)
      std::memcpy(out + at * kPanelCols + col * kSize, rows + col * stride + at, sizeof(Unit));
}

void transpose_nibbles(const std::uint8_t* rows, std::int64_t stride, std::int64_t bytes, std::uint8_t* out) {
  constexpr std::int64_t kHalf = kPanelCols / 2;
  for (std::int64_t at = 0; at < bytes; ++at) {
    std::uint8_t* even = out + at * kPanelCols;
    for (std::int64_t col = 0; col < kHalf; ++col) {
      const unsigned low = rows[col * stride + at];
      const unsigned high = rows[(col + kHalf) * stride + at];
      even[col] = static_cast<std::uint8_t>((low & 0xF) | (high & 0xF) << 4);
      even[kHalf + col] = static_cast<std::uint8_t>(low >> 4 | (high & 0xF0));
    }
  }
}

}  // namespace

// Of one block, all in the form that kernels use: a factor above zero, its sign moved into the elements.
struct WideMatrix::Metadata {
  float factor = 1;
  float first = 1;
  float second = 0;
  std::uint32_t micro = 0;
  bool nan = false;
  bool negate_codes = false;
  bool clear_codes = false;
};

WideMatrix::WideMatrix(const QuantisedMatrix& source, Side side, std::int64_t step, bool scaled)
    : codec_(codec_of(format(source.format))),
      block_scale_(format(source.format).block_scale),
      adjust_(adjust_of(block_scale_)),
      side_(side),
      scaled_(scaled),
      factor_bits_(factor_bits_of(block_scale_)),
      element_bits_(element_bits_of(format(source.format))),
      rows_(source.rows),
      k_(source.k) {
  const FormatInfo& info = format(source.format);
  fill_tables(info);
  block_ = info.element_bits == 16 ? kWideChunk : info.block == 0 ? step : info.block;
  blocks_ = info.element_bits == 16 ? 0 : tiles_of(k_, block_);
  row_bytes_ = round_up(k_, kWideChunk) * info.element_bits / 8;
  const std::int64_t padded_rows = side == Side::rows ? rows_ : round_up(rows_, kPanelCols);
  const auto entries = static_cast<std::size_t>(padded_rows * blocks_);
  if (has_factors(block_scale_)) factors_.assign(entries, kOne);
  if (adjust_ == Adjust::by_sign || adjust_ == Adjust::affine) {
    first_.assign(entries, 0);
    second_.assign(entries, 0);
  }
  if (adjust_ == Adjust::micro) micro_.assign(entries, 0);
  spans_.assign(entries, 0);
  nan_rows_.assign(static_cast<std::size_t>(rows_), 0);
  codes_ = AlignedBytes(padded_rows * row_bytes_);
  std::vector<Facts> facts(static_cast<std::size_t>(rows_));
  const std::int64_t tasks = side == Side::rows ? rows_ : padded_rows / kPanelCols;
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, tasks), [&](const tbb::blocked_range<std::int64_t>& range) {
    for (std::int64_t task = range.begin(); task < range.end(); ++task) {
      if (side == Side::panels)
        pack_panel(source, task, facts.data());
      else
        pack_row(source, task, reinterpret_cast<std::uint8_t*>(codes_.data()) + task * row_bytes_,
                 facts[static_cast<std::size_t>(task)]);
    }
  });
  for (const Facts& row : facts)
    facts_ = {std::min(facts_.factor_low, row.factor_low), std::max(facts_.factor_high, row.factor_high),
              facts_.fp32 && row.fp32};
}

WideOperand WideMatrix::operand() const {
  const auto data = [](const auto& vector) { return vector.empty() ? nullptr : vector.data(); };
  return {.codec = codec_,
          .adjust = adjust_,
          .scaled = scaled_,
          .table = values_.data(),
          .codes = reinterpret_cast<const std::uint8_t*>(codes_.data()),
          .stride = side_ == Side::rows ? row_bytes_ : row_bytes_ * kPanelCols,
          .k = k_,
          .block = block_,
          .blocks = blocks_,
          .factors = data(factors_),
          .first = data(first_),
          .second = data(second_),
          .micro = data(micro_),
          .spans = data(spans_)};
}

void WideMatrix::fill_tables(const FormatInfo& info) {
  if (info.element_bits == 16) return;
  const bool unsigned_codes = adjust_ == Adjust::affine;
  for (std::uint32_t code = 0; code < 1U << info.element_bits; ++code) {
    float value = 0;
    if (info.element == ElementType::int8)
      value = static_cast<std::int8_t>(code);
    else if (info.element == ElementType::int4)
      value = static_cast<float>(unsigned_codes ? static_cast<int>(code) : static_cast<int>(code ^ 8) - 8);
    else
      value = decode(layout_of(info.element), code);
    special_[code] = std::isfinite(value) ? 0 : 1;
    values_[code] = std::isfinite(value) ? value : 0;
  }
  const double unit = info.element == ElementType::int8 ? 0x1p-6 : 1;  // MXINT8
  for (std::uint32_t code = 0; code < scales_.size(); ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    if (block_scale_ == BlockScale::e8m0) scales_[code] = static_cast<float>(decode_e8m0(byte) * unit);
    if (block_scale_ == BlockScale::e4m3) scales_[code] = decode(kE4m3, code);
    if (block_scale_ == BlockScale::hif4) scales_[code] = static_cast<float>(decode_e6m2(byte));
    if (block_scale_ == BlockScale::signed_e5m2) scales_[code] = decode(kE5m2, code);
  }
}

WideMatrix::Metadata WideMatrix::read_metadata(const std::uint8_t* scale) const {
  Metadata data;
  switch (block_scale_) {
    case BlockScale::none:
      return data;
    case BlockScale::signed_e5m2:
      data.first = scales_[scale[0]];
      data.second = scales_[scale[1]];
      data.nan = !std::isfinite(data.first) || !std::isfinite(data.second);
      if (data.nan) data.first = data.second = 0;
      return data;
    case BlockScale::bf16_zero:
      data.factor = bf16_to_float(little_endian16(scale));
      data.second = scale[2];
      break;
    case BlockScale::hif4:
      data.factor = scales_[*scale];
      data.micro = micro_exponents(scale);
      break;
    case BlockScale::e8m0:
    case BlockScale::e4m3:
      data.factor = scales_[*scale];
      break;
  }
  data.nan = !std::isfinite(data.factor);
  const float sign = data.nan || data.factor == 0 ? 0.0F : data.factor < 0 ? -1.0F : 1.0F;
  data.factor = sign == 0 ? 1.0F : std::fabs(data.factor);
  data.first = sign;
  data.second *= sign;
  data.negate_codes = block_scale_ == BlockScale::e4m3 && sign < 0;
  data.clear_codes = block_scale_ == BlockScale::e4m3 && sign == 0;
  return data;
}

// Elements [first, first + count) of a row of packed codes; whether one of them is Inf or NaN.
bool WideMatrix::read_elements(const std::uint8_t* codes, std::int64_t first, std::int64_t count,
                               const Metadata& metadata, float* out) const {
  unsigned special = 0;
  if (codec_ == WideCodec::nibble) {
    for (std::int64_t i = 0; i < count; i += 2) {
      const std::uint8_t pair = codes[(first + i) / 2];
      out[i] = values_[pair & 0xF];
      out[i + 1] = values_[pair >> 4];
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] = values_[codes[first + i]];
      special |= special_[codes[first + i]];
    }
  }
  if (adjust_ == Adjust::affine)
    for (std::int64_t i = 0; i < count; ++i) out[i] = out[i] * metadata.first - metadata.second;
  if (adjust_ == Adjust::by_sign)
    for (std::int64_t i = 0; i < count; ++i) out[i] *= out[i] < 0 ? metadata.second : metadata.first;
  if (adjust_ == Adjust::micro)
    for (std::int64_t i = 0; i < count; ++i) out[i] *= static_cast<float>(1U << (metadata.micro >> i / 4 * 2 & 3));
  std::fill(out + count, out + round_up(count, kLanes), 0.0F);
  return special != 0;
}

std::size_t WideMatrix::metadata_index(std::int64_t row, std::int64_t block) const {
  if (side_ == Side::rows) return static_cast<std::size_t>(row * blocks_ + block);
  return static_cast<std::size_t>((row / kPanelCols * blocks_ + block) * kPanelCols + row % kPanelCols);
}

void WideMatrix::pack_block(const std::uint8_t* scale, std::int64_t block, std::int64_t row, std::uint8_t* codes,
                            Facts& facts) {
  const Metadata metadata = read_metadata(scale);
  const std::int64_t first = block * block_;
  const std::int64_t count = std::min(block_, k_ - first);
  if (metadata.negate_codes || metadata.clear_codes)  // two E2M1 codes in a byte
    for (std::int64_t at = first / 2; at < (first + count + 1) / 2; ++at)
      codes[at] = metadata.clear_codes ? 0 : codes[at] ^ 0x88;
  alignas(kAlignment) std::array<float, kWideChunk> values;
  const bool special = read_elements(codes, first, count, metadata, values.data());
  if (special || metadata.nan) nan_rows_[static_cast<std::size_t>(row)] = 1;
  const std::size_t index = metadata_index(row, block);
  if (!first_.empty()) {
    first_[index] = bf16_code(metadata.first);
    second_[index] = bf16_code(metadata.second);
  }
  if (!micro_.empty()) micro_[index] = metadata.micro;
  const BlockFacts block_facts = facts_of(std::span(values).first(static_cast<std::size_t>(round_up(count, kLanes))));
  if (block_facts.largest == 0) return;
  spans_[index] = span_of(block_facts);
  if (factors_.empty()) return;
  factors_[index] = bf16_code(metadata.factor);
  const int low = lowest_bit(metadata.factor);
  facts.factor_low = std::min(facts.factor_low, low);
  facts.factor_high = std::max(facts.factor_high, std::ilogb(metadata.factor) + 1);
  constexpr int kLeastExponent = -149;  // of FP32's smallest subnormal
  if (block_facts.lowest_bit + low < kLeastExponent ||
      static_cast<double>(block_facts.largest) * static_cast<double>(metadata.factor) >= 0x1p128)
    facts.fp32 = false;
}

void WideMatrix::pack_row(const QuantisedMatrix& source, std::int64_t row, std::uint8_t* codes, Facts& facts) {
  const std::int64_t bytes = bytes_of(Bits(k_ * format(source.format).element_bits)).count();
  std::copy_n(source.codes.data() + row * source.row_bytes, bytes, codes);
  std::memset(codes + bytes, 0, static_cast<std::size_t>(row_bytes_ - bytes));
  if (codec_ == WideCodec::nibble && k_ % 2 != 0) codes[bytes - 1] &= 0xF;
  for (std::int64_t block = 0; block < blocks_; ++block)
    pack_block(block_scale_ == BlockScale::none ? nullptr : source.scale_of(row, block), block, row, codes, facts);
}

// Rows are staged at a distance that does not fall on the same set of the cache.
void WideMatrix::pack_panel(const QuantisedMatrix& source, std::int64_t panel, Facts* facts) {
  const std::int64_t stride = row_bytes_ + 64;
  std::vector<std::uint8_t> staged(static_cast<std::size_t>(stride * kPanelCols));
  const std::int64_t first = panel * kPanelCols;
  for (std::int64_t row = first; row < std::min(first + kPanelCols, rows_); ++row)
    pack_row(source, row, staged.data() + (row - first) * stride, facts[row]);
  auto* out = reinterpret_cast<std::uint8_t*>(codes_.data()) + panel * row_bytes_ * kPanelCols;
  if (codec_ == WideCodec::nibble)
    transpose_nibbles(staged.data(), stride, row_bytes_, out);
  else if (codec_ == WideCodec::bf16 || codec_ == WideCodec::fp16)
    transpose_units<std::uint16_t>(staged.data(), stride, row_bytes_, out);
  else
    transpose_units<std::uint8_t>(staged.data(), stride, row_bytes_, out);
}

}  // namespace oscsim::numerics::kernels
