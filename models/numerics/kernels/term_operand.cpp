// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/term_operand.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "models/numerics/element.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kDoubleBits = 53;

// As element_at gives them for a matrix of one element, for every code of a format of at most 8 bits.
std::array<Factor, 256> element_table(const QuantisedMatrix& matrix) {
  const FormatInfo& info = format(matrix.format);
  std::array<Factor, 256> table;
  if (info.element_bits == 16) return table;
  QuantisedMatrix one = empty_quantised(matrix.format, 1, 1);
  // Neutral metadata: no micro-exponents, no zero point, the scales of both signs 1.
  if (info.block_scale == BlockScale::signed_e5m2)
    std::ranges::fill(one.block_scale, static_cast<std::uint8_t>(encode(kE5m2, 1, ElementRounding::nearest_even)));
  for (std::uint32_t code = 0; code < 1U << info.element_bits; ++code) {
    one.codes[0] = static_cast<std::uint8_t>(code);
    table[code] = element_at(one, 0, 0);
  }
  return table;
}

Factor float_factor(float value, int field, int bias) {
  return {static_cast<double>(value), value == 0 ? kZeroExponent : std::max(field, 1) - bias};
}

}  // namespace

void ValueRange::include(double value) {
  if (value == 0) return;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int exponent = static_cast<int>(bits >> 52 & 0x7FF) - 1023;
  const int zeros = std::countr_zero(bits | std::uint64_t{1} << 52);
  const int own_width = kDoubleBits - zeros;
  include(ValueRange{exponent + 1 - own_width, exponent + 1, own_width});
}

void ValueRange::include(const ValueRange& other) {
  if (other.width == 0) return;
  if (width == 0) {
    *this = other;
    return;
  }
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  width = std::max(width, other.width);
}

TermOperand::TermOperand(const QuantisedMatrix& matrix, int sub_block, ZeroTerms zeros)
    : matrix_(matrix),
      info_(&format(matrix.format)),
      sub_block_(sub_block),
      zeros_(zeros),
      elements_(element_table(matrix)),
      ranges_(static_cast<std::size_t>(matrix.rows)),
      special_(static_cast<std::size_t>(matrix.rows)) {
  constexpr std::int64_t kTaskElements = 1 << 15;
  matrix_.outer_scale.clear();  // they belong to the epilogue
  const std::int64_t grain = tiles_of(kTaskElements, std::max<std::int64_t>(1, matrix.k));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, matrix.rows, static_cast<std::size_t>(grain)),
                    [&](const tbb::blocked_range<std::int64_t>& rows) {
                      for (std::int64_t row = rows.begin(); row < rows.end(); ++row) find_range(row);
                    });
  for (const ValueRange& range : ranges_) range_.include(range);
}

bool TermOperand::any_special() const {
  return std::ranges::find(special_, std::uint8_t{1}) != special_.end();
}

int TermOperand::headroom() const {
  switch (info_->block_scale) {
    case BlockScale::none:
    case BlockScale::e8m0:
      return 1;
    case BlockScale::e4m3:
    case BlockScale::hif4:
    case BlockScale::signed_e5m2:
    case BlockScale::bf16_zero:
      return 2;
  }
  return 2;
}

Factor TermOperand::wide_element(std::int64_t row, std::int64_t col) const {
  const std::uint8_t* bytes = matrix_.codes.data() + row * matrix_.row_bytes + 2 * col;
  const auto code = static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8);
  if (info_->element == ElementType::bf16) return float_factor(bf16_to_float(code), code >> 7 & 0xFF, kBf16.bias);
  return float_factor(fp16_to_float(code), code >> 10 & 0x1F, kFp16.bias);
}

// Elements of one block, at most 8 bits.
template <class Visit>
void TermOperand::visit_block(std::int64_t row, std::int64_t k, std::int64_t count, const Visit& each) const {
  const std::uint8_t* codes = matrix_.codes.data() + row * matrix_.row_bytes;
  const BlockScale kind = info_->block_scale;
  const std::uint8_t* scale = kind == BlockScale::none ? nullptr : matrix_.scale_of(row, k / info_->block);
  const Factor block_scale = scale_at(matrix_, row, k);
  const Factor factor = sub_block_ == 1 ? block_scale : Factor{};
  const bool is_nibble = info_->element_bits == 4;
  std::array<Factor, 2> by_sign;
  if (kind == BlockScale::signed_e5m2)
    for (std::size_t sign = 0; sign < 2; ++sign) {
      const double value = static_cast<double>(decode(kE5m2, scale[sign]));
      by_sign[sign] = {value, value == 0 || !std::isfinite(value) ? 0 : exponent_of(value, 1 - kE5m2.bias)};
    }
  const bool bad = !std::isfinite(block_scale.value) || !std::isfinite(by_sign[0].value + by_sign[1].value);
  for (std::int64_t at = k; at < k + count; ++at) {
    const std::uint32_t code = is_nibble ? codes[at / 2] >> at % 2 * 4 & 0xFU : codes[at];
    Factor element = elements_[code];
    if (kind == BlockScale::bf16_zero) {
      const int integer = static_cast<int>(code) - scale[2];
      const auto magnitude = static_cast<unsigned>(std::abs(integer));
      element = {static_cast<double>(integer), static_cast<int>(std::bit_width(magnitude)) - 1};
    } else if (kind == BlockScale::hif4) {
      const std::int64_t index = at % info_->block;
      const int micro = (scale[1] >> index / 8 & 1) + ((scale[2] | scale[3] << 8) >> index / 4 & 1);
      element.value *= 1 << micro;
      element.exponent += micro;
    } else if (kind == BlockScale::signed_e5m2) {
      const Factor& own = by_sign[element.value < 0 ? 1 : 0];
      element.value *= own.value;
      element.exponent += own.exponent;
    }
    if (element.value == 0) element.exponent = kZeroExponent;
    element.value *= factor.value;
    element.exponent += factor.exponent;
    if (bad) element.value = std::nan("");
    each(at - k, element);
  }
}

template <class Visit>
void TermOperand::visit(std::int64_t row, std::int64_t k, std::int64_t count, const Visit& each) const {
  const std::int64_t last = std::min(k + count, matrix_.k);
  if (info_->element_bits == 16) {
    for (std::int64_t at = k; at < last; ++at) each(at - k, wide_element(row, at));
    return;
  }
  const std::int64_t block = info_->block_scale == BlockScale::none ? std::max<std::int64_t>(1, last) : info_->block;
  for (std::int64_t at = k; at < last;) {
    const std::int64_t end = std::min((at / block + 1) * block, last);
    visit_block(row, at, end - at, [&](std::int64_t i, const Factor& element) { each(at - k + i, element); });
    at = end;
  }
}

void TermOperand::find_range(std::int64_t row) {
  ValueRange& range = ranges_[static_cast<std::size_t>(row)];
  visit(row, 0, matrix_.k, [&](std::int64_t, const Factor& element) {
    if (std::isfinite(element.value))
      range.include(element.value);
    else
      special_[static_cast<std::size_t>(row)] = 1;
  });
}

std::int16_t TermOperand::alignment_of(const Factor& factor) const {
  if (!std::isfinite(factor.value) || (factor.value == 0 && zeros_ == ZeroTerms::skip)) return kNoAlignment;
  return static_cast<std::int16_t>(factor.exponent);
}

template <class T>
void TermOperand::unpack(std::int64_t row, std::int64_t k, std::int64_t count, T* values, std::int16_t* alignments,
                         std::int64_t stride) const {
  visit(row, k, count, [&](std::int64_t i, const Factor& element) {
    const bool none = element.value == 0 || !std::isfinite(element.value);  // no -0
    values[i * stride] = none ? T{0} : static_cast<T>(element.value);
    alignments[i * stride] = alignment_of(element);
  });
  for (std::int64_t i = std::clamp<std::int64_t>(matrix_.k - k, 0, count); i < count; ++i) {
    values[i * stride] = 0;
    alignments[i * stride] = kNoAlignment;
  }
}

template void TermOperand::unpack(std::int64_t, std::int64_t, std::int64_t, float*, std::int16_t*, std::int64_t) const;
template void TermOperand::unpack(std::int64_t, std::int64_t, std::int64_t, double*, std::int16_t*, std::int64_t) const;

void TermOperand::unpack_scales(std::int64_t row, std::int64_t k, std::int64_t count, double* scales,
                                std::int16_t* alignments, std::int64_t stride) const {
  for (std::int64_t i = 0; i < count / sub_block_; ++i) {
    const std::int64_t at = k + i * sub_block_;
    const bool is_padding = at >= matrix_.k;
    const Factor scale = is_padding ? Factor{} : scale_at(matrix_, row, at);
    scales[i * stride] = is_padding || !std::isfinite(scale.value) ? 0 : scale.value;
    alignments[i * stride] = is_padding ? kNoAlignment : alignment_of(scale);
  }
}

}  // namespace oscsim::numerics::kernels
