// SPDX-License-Identifier: Apache-2.0
// Fast casts without block scales: one FP32 scale for a row or the tensor (INT8, INT4, FP8), or none (BF16, FP16).
#pragma once

#include "models/numerics/cast_element.h"

namespace oscsim::numerics::cast {

constexpr std::int64_t kPadding = 16;  // elements of the widest vector

// Codes order like magnitudes in every dtype.
[[gnu::always_inline]] inline std::uint32_t largest_magnitude(const MatrixView& matrix, std::int64_t row) {
  const std::byte* source = matrix.row_data(row);
  if (matrix.dtype() == Dtype::fp32) {
    std::uint32_t largest = 0;
    for (std::int64_t i = 0; i < matrix.cols(); ++i)
      largest = larger(largest, stored<std::uint32_t>(source, i) & kMagnitude);
    return largest;
  }
  std::int16_t largest = 0;  // SSE2 has signed comparisons
  for (std::int64_t i = 0; i < matrix.cols(); ++i) {
    const auto magnitude = static_cast<std::int16_t>(stored<std::uint16_t>(source, i) & 0x7FFF);
    largest = magnitude > largest ? magnitude : largest;
  }
  const auto code = static_cast<std::uint16_t>(largest);
  return as_bits(matrix.dtype() == Dtype::bf16 ? bf16_to_float(code) : fp16_to_float(code));
}

template <ElementType kElement, ElementRounding kRounding, class Floats>
[[gnu::always_inline]] inline auto scaled_code(Floats scaled) {
  // |scaled| is at most a rounding above the limit: the scale is amax / limit rounded once, or larger.
  if constexpr (kElement == ElementType::int8) return integer_code<127, kRounding>(scaled);
  if constexpr (kElement == ElementType::int4) return integer_code<7, kRounding>(scaled) & 0xFU;
  // With the scale of a whole tensor a quotient may overflow, and the row may have NaN and Inf that its amax has not.
  if constexpr (kElement == ElementType::e4m3) return special_element_code<kE4m3, kRounding>(as_bits(scaled));
  if constexpr (kElement == ElementType::e5m2) return special_element_code<kE5m2, kRounding>(as_bits(scaled));
}

template <int kLanes, ElementType kElement, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_scaled_row(const CastJob& job, std::int64_t row, float scale) {
  constexpr int kBits = kElement == ElementType::int4 ? 4 : 8;
  std::uint8_t* out = job.out->codes.data() + row * job.out->row_bytes;
  alignas(64) std::uint32_t bits[kChunk];
  alignas(64) std::uint32_t codes[kChunk];
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, kPadding, bits);
    for (std::int64_t i = 0; i < count; i += kLanes) {
      const auto scaled = as_float(load_lanes<WordsOf<kLanes>>(bits + i)) / scale;
      store_lanes(scaled_code<kElement, kRounding>(scaled), codes + i);
    }
    store<kBits>(codes, count, out + first * kBits / 8);
  }
}

template <int kLanes, ElementType kElement, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_row_scaled_row(const CastJob& job, std::int64_t row) {
  const std::uint32_t amax = largest_magnitude(job.matrix, row);
  const float scale = amax < kInfinity ? outer_scale(kElement, as_float(amax)) : kCanonicalNan;
  job.out->outer_scale[static_cast<std::size_t>(row)] = scale;
  if (amax < kInfinity) cast_scaled_row<kLanes, kElement, kRounding>(job, row, scale);  // else the codes stay zero
}

template <int kLanes, ElementType kElement, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_tensor_scaled_row(const CastJob& job, std::int64_t row) {
  cast_scaled_row<kLanes, kElement, kRounding>(job, row, job.out->outer_scale[0]);
}

template <int kLanes, const FloatLayout& kLayout, ElementRounding kRounding, Overflow kOverflow>
[[gnu::always_inline]] inline void cast_plain_row_to(const CastJob& job, std::int64_t row) {
  std::uint8_t* out = job.out->codes.data() + row * job.out->row_bytes;
  alignas(64) std::uint32_t bits[kChunk];
  alignas(64) std::uint32_t codes[kChunk];
  alignas(64) std::uint16_t narrow[kChunk];
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, kPadding, bits);
    for (std::int64_t i = 0; i < count; i += kLanes)
      store_lanes(special_element_code<kLayout, kRounding, kOverflow>(load_lanes<WordsOf<kLanes>>(bits + i)),
                  codes + i);
    for (std::int64_t i = 0; i < count; ++i) narrow[i] = static_cast<std::uint16_t>(codes[i]);
    std::memcpy(out + 2 * first, narrow, static_cast<std::size_t>(count) * 2);
  }
}

template <int kLanes, const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_plain_row(const CastJob& job, std::int64_t row) {
  if (job.options.overflow == Overflow::infinity)
    cast_plain_row_to<kLanes, kLayout, kRounding, Overflow::infinity>(job, row);
  else
    cast_plain_row_to<kLanes, kLayout, kRounding, Overflow::saturate>(job, row);
}

}  // namespace oscsim::numerics::cast
