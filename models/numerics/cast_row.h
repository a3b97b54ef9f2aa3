// SPDX-License-Identifier: Apache-2.0
// One row of the fast cast, as branch-free integer loops that compilers vectorise. Everything is forced inline: each
// instruction set of quantise.cpp compiles its own copy. The reasons why the bits equal reference::quantise stand at
// each step.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "models/numerics/element.h"
#include "models/numerics/quantise.h"

namespace oscsim::numerics {

struct CastJob {
  MatrixView matrix;
  CastOptions options;
  QuantisedMatrix* out;  // of the matrix's shape, all zero
};

namespace cast {

constexpr std::int64_t kChunk = 512;  // elements converted to FP32 at a time: stays in L1; a multiple of every block
constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;  // FP32 without its sign
constexpr std::uint32_t kInfinity = 0x7F800000;

// `count` elements of a row from `first` as FP32 bits; up to the next multiple of 32 they are padded with zeros.
[[gnu::always_inline]] inline void load(const MatrixView& matrix, std::int64_t row, std::int64_t first,
                                        std::int64_t count, std::uint32_t* out) {
  const std::byte* source = matrix.row_data(row) + static_cast<std::size_t>(first) * size_of(matrix.dtype());
  if (matrix.dtype() == Dtype::fp32) {
    std::memcpy(out, source, static_cast<std::size_t>(count) * 4);
  } else {
    std::uint16_t codes[kChunk];
    std::memcpy(codes, source, static_cast<std::size_t>(count) * 2);
    if (matrix.dtype() == Dtype::bf16)
      for (std::int64_t i = 0; i < count; ++i) out[i] = std::bit_cast<std::uint32_t>(bf16_to_float(codes[i]));
    else
      for (std::int64_t i = 0; i < count; ++i) out[i] = std::bit_cast<std::uint32_t>(fp16_to_float(codes[i]));
  }
  for (std::int64_t i = count; i < round_up(count, 32); ++i) out[i] = 0;
}

// Magnitude bits of FP32 order like the numbers; any NaN or Inf gives at least kInfinity.
[[gnu::always_inline]] inline std::uint32_t largest_magnitude(const std::uint32_t* bits, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t magnitude = bits[i] & kMagnitude;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

// The magnitude code of a finite FP32 magnitude.
template <const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline std::uint32_t magnitude_code(std::uint32_t magnitude) {
  // Normal results: round the mantissa in the integer; a carry runs into the exponent as it should.
  constexpr int kShift = 23 - kLayout.mantissa_bits;
  constexpr std::uint32_t kHalf = 1U << (kShift - 1);
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - kLayout.bias) << kLayout.mantissa_bits;
  const std::uint32_t nudge = kRounding == ElementRounding::half_away ? kHalf : kHalf - 1 + (magnitude >> kShift & 1);
  std::uint32_t code = ((magnitude + nudge) >> kShift) - kRebias;
  // Subnormal results (BF16 shares FP32's exponent range: the same step serves). Ties to even by adding the power of
  // two whose last place is the step of the grid; ties away by truncating to half steps.
  if constexpr (kLayout.bias != 127) {
    constexpr std::uint32_t kMinNormal = static_cast<std::uint32_t>(128 - kLayout.bias) << 23;
    constexpr int kStep = 1 - kLayout.bias - kLayout.mantissa_bits;  // exponent of the grid's step
    // A mask by shifting: GCC turns a comparison into a branch around the floating-point step, and then does not
    // vectorise the loop for SSE and AVX2. Both sides are below 2^31.
    const auto is_small = static_cast<std::uint32_t>(static_cast<std::int32_t>(magnitude - kMinNormal) >> 31);
    const float small = std::bit_cast<float>(magnitude & is_small);
    std::uint32_t subnormal = 0;
    if constexpr (kRounding == ElementRounding::half_away) {
      constexpr float kHalfSteps = std::bit_cast<float>(static_cast<std::uint32_t>(127 + 1 - kStep) << 23);
      subnormal = (static_cast<std::uint32_t>(static_cast<std::int32_t>(small * kHalfSteps)) + 1) >> 1;
    } else {
      constexpr std::uint32_t kMagic = static_cast<std::uint32_t>(127 + 23 + kStep) << 23;
      subnormal = std::bit_cast<std::uint32_t>(small + std::bit_cast<float>(kMagic)) - kMagic;
    }
    code ^= (code ^ subnormal) & is_small;
  }
  return code < kLayout.max_code ? code : kLayout.max_code;
}

template <const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline std::uint32_t element_code(std::uint32_t bits) {
  const std::uint32_t sign = bits >> 31 << kLayout.sign_shift();
  return magnitude_code<kLayout, kRounding>(bits & kMagnitude) | sign;
}

// ------ MX: block scales

// What to add to the bits of amax so that its exponent field becomes that of the scale rule before subtracting emax.
template <const FloatLayout& kLayout>
constexpr std::uint32_t scale_rule_carry(ScaleRule rule) {
  constexpr std::uint32_t kMantissa = 0x7FFFFF;
  switch (rule) {
    case ScaleRule::floor:
      return 0;
    case ScaleRule::even:
      return 1U << (22 - kLayout.mantissa_bits);
    case ScaleRule::ceil:
      return kMantissa;
    case ScaleRule::rceil:
      return kMantissa - (kLayout.max_code << (23 - kLayout.mantissa_bits) & kMantissa);
  }
  return 0;
}

// E8M0 code of a block. Zero and subnormal maxima end at or below code 0 by every rule, as they do in the reference.
template <const FloatLayout& kLayout>
[[gnu::always_inline]] inline std::uint32_t scale_code(std::uint32_t amax, std::uint32_t carry) {
  const std::uint32_t exponent = (amax + carry) >> 23;
  constexpr std::uint32_t kEmax = static_cast<std::uint32_t>(kLayout.max_exponent());
  const std::uint32_t code = exponent > kEmax ? exponent - kEmax : 0;
  return amax >= kInfinity ? kE8m0Nan : code;
}

// Codes of one block of 32 into `codes`; returns the scale.
template <const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline std::uint32_t cast_block(const std::uint32_t* bits, std::uint32_t carry,
                                                       std::uint8_t* codes) {
  const std::uint32_t amax = largest_magnitude(bits, 32);
  const std::uint32_t scale = scale_code<kLayout>(amax, carry);
  // 2^(127 - scale) is a normal FP32 number, as scale <= 255 - emax here (253 at most). Multiplying by it is exact
  // unless the result is subnormal in FP32, which is far below the smallest tie of the element (0.25, 2^-10).
  const bool finite = amax < kInfinity;
  const float inverse = std::bit_cast<float>((finite ? 254 - scale : 0) << 23);
  const std::uint32_t keep = finite ? 0xFF : 0;
  for (int i = 0; i < 32; ++i) {
    const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(bits[i]) * inverse);
    codes[i] = static_cast<std::uint8_t>(element_code<kLayout, kRounding>(scaled) & keep);
  }
  return scale;
}

template <const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_block_row(const CastJob& job, std::int64_t row) {
  constexpr bool kPacked = kLayout.sign_shift() == 3;  // 4 bits: two elements in a byte
  const std::uint32_t carry = scale_rule_carry<kLayout>(job.options.scale_rule);
  std::uint8_t* codes = job.out->codes.data() + row * job.out->row_bytes;
  std::uint8_t* scales = job.out->block_scale.data() + row * job.out->blocks();
  alignas(64) std::uint32_t bits[kChunk];
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, bits);
    for (std::int64_t block = 0; block < tiles_of(count, 32); ++block) {
      alignas(64) std::uint8_t unpacked[32];
      *scales++ = static_cast<std::uint8_t>(cast_block<kLayout, kRounding>(bits + block * 32, carry, unpacked));
      if constexpr (kPacked) {
        std::uint16_t pairs[16];
        std::memcpy(pairs, unpacked, 32);
        std::uint8_t packed[16];
        for (int i = 0; i < 16; ++i) packed[i] = static_cast<std::uint8_t>(pairs[i] | pairs[i] >> 4);
        std::memcpy(codes, packed, 16);
        codes += 16;
      } else {
        std::memcpy(codes, unpacked, 32);
        codes += 32;
      }
    }
  }
}

// ------ FP8 and INT8: row scales

// |scaled| is finite and at most 128: the scale is at least amax / 127 rounded down once.
template <ElementRounding kRounding>
[[gnu::always_inline]] inline std::uint32_t int8_code(float scaled) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(scaled);
  const float magnitude = std::bit_cast<float>(bits & kMagnitude);
  std::int32_t code = 0;
  if constexpr (kRounding == ElementRounding::half_away) {
    code = (static_cast<std::int32_t>(magnitude * 2) + 1) >> 1;
  } else {
    constexpr float kMagic = 0x1p23F;  // its last place is 1
    code = std::bit_cast<std::int32_t>(magnitude + kMagic) - std::bit_cast<std::int32_t>(kMagic);
  }
  code = code < 127 ? code : 127;
  return static_cast<std::uint32_t>(bits >> 31 != 0 ? -code : code);
}

template <ElementType kElement, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_scaled_row(const CastJob& job, std::int64_t row) {
  alignas(64) std::uint32_t bits[kChunk];
  std::uint32_t amax = 0;
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, bits);
    amax = std::max(amax, largest_magnitude(bits, round_up(count, 32)));
  }
  const float scale = amax < kInfinity ? outer_scale(kElement, std::bit_cast<float>(amax)) : kCanonicalNan;
  job.out->outer_scale[static_cast<std::size_t>(row)] = scale;
  if (amax >= kInfinity) return;  // the codes stay zero

  std::uint8_t* codes = job.out->codes.data() + row * job.out->row_bytes;
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, bits);
    alignas(64) std::uint8_t chunk[kChunk];
    for (std::int64_t i = 0; i < round_up(count, 32); ++i) {
      const float scaled = std::bit_cast<float>(bits[i]) / scale;
      if constexpr (kElement == ElementType::int8)
        chunk[i] = static_cast<std::uint8_t>(int8_code<kRounding>(scaled));
      else
        chunk[i] = static_cast<std::uint8_t>(element_code<kE4m3, kRounding>(std::bit_cast<std::uint32_t>(scaled)));
    }
    std::memcpy(codes + first, chunk, static_cast<std::size_t>(count));
  }
}

// ------ 16 bit

template <const FloatLayout& kLayout, ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_plain_row(const CastJob& job, std::int64_t row) {
  std::uint8_t* codes = job.out->codes.data() + row * job.out->row_bytes;
  alignas(64) std::uint32_t bits[kChunk];
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    load(job.matrix, row, first, count, bits);
    alignas(64) std::uint16_t chunk[kChunk];
    for (std::int64_t i = 0; i < round_up(count, 32); ++i) {
      const std::uint32_t magnitude = bits[i] & kMagnitude;
      const std::uint32_t sign = bits[i] >> 31 << kLayout.sign_shift();
      std::uint32_t code = magnitude_code<kLayout, kRounding>(magnitude);
      code = magnitude == kInfinity ? *kLayout.inf_code : code;
      code |= sign;
      chunk[i] = static_cast<std::uint16_t>(magnitude > kInfinity ? *kLayout.nan_code : code);
    }
    std::memcpy(codes + 2 * first, chunk, static_cast<std::size_t>(count) * 2);
  }
}

constexpr bool has_fast_cast(FormatId format) {
  return format == FormatId::mxfp4 || format == FormatId::mxfp8 || format == FormatId::fp8 ||
         format == FormatId::int8 || format == FormatId::bf16 || format == FormatId::fp16;
}

template <ElementRounding kRounding>
[[gnu::always_inline]] inline void cast_row(const CastJob& job, std::int64_t row) {
  switch (job.out->format) {
    case FormatId::mxfp4:
      return cast_block_row<kE2m1, kRounding>(job, row);
    case FormatId::mxfp8:
      return cast_block_row<kE4m3, kRounding>(job, row);
    case FormatId::fp8:
      return cast_scaled_row<ElementType::e4m3, kRounding>(job, row);
    case FormatId::int8:
      return cast_scaled_row<ElementType::int8, kRounding>(job, row);
    case FormatId::bf16:
      return cast_plain_row<kBf16, kRounding>(job, row);
    case FormatId::fp16:
      return cast_plain_row<kFp16, kRounding>(job, row);
    default:
      return;
  }
}

}  // namespace cast
}  // namespace oscsim::numerics
