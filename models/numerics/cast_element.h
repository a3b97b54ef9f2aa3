// SPDX-License-Identifier: Apache-2.0
// What the fast casts of all formats share: rows as FP32 bits, largest magnitudes, element codes. The reasons why the
// bits equal reference::quantise stand at each step, here and in the header of each family.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "models/numerics/cast_lanes.h"
#include "models/numerics/element.h"
#include "models/numerics/quantise.h"

namespace oscsim::numerics {

struct CastJob {
  MatrixView matrix;
  CastOptions options;
  ElementRounding rounding;  // of options, or the format's
  float tensor_amax;         // finite; of formats with a scale for the tensor
  QuantisedMatrix* out;      // of the matrix's shape, all zero but for the scale of a tensor
};

namespace cast {

// Elements converted to FP32 at a time: stays in L1; a multiple of every block, and 16 blocks of HiFloat4.
constexpr std::int64_t kChunk = 1024;
constexpr std::uint32_t kSign = 0x80000000;
constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;  // FP32 without its sign
constexpr std::uint32_t kInfinity = 0x7F800000;   // also the mask of the exponent field

template <class Code>
[[gnu::always_inline]] inline Code stored(const std::byte* source, std::int64_t index) {
  Code code;
  std::memcpy(&code, source + index * static_cast<std::int64_t>(sizeof code), sizeof code);  // mapped files: unaligned
  return code;
}

// `count` elements of a row from `first` as FP32 bits; up to the next multiple of `block` they are padded with zeros.
[[gnu::always_inline]] inline void load(const MatrixView& matrix, std::int64_t row, std::int64_t first,
                                        std::int64_t count, std::int64_t block, std::uint32_t* out) {
  const std::byte* source = matrix.row_data(row) + static_cast<std::size_t>(first) * size_of(matrix.dtype());
  switch (matrix.dtype()) {
    case Dtype::bf16:
      for (std::int64_t i = 0; i < count; ++i) out[i] = std::uint32_t{stored<std::uint16_t>(source, i)} << 16;
      break;
    case Dtype::fp16:
      for (std::int64_t i = 0; i < count; ++i) out[i] = as_bits(fp16_to_float(stored<std::uint16_t>(source, i)));
      break;
    case Dtype::fp32:
      std::memcpy(out, source, static_cast<std::size_t>(count) * 4);
      break;
  }
  for (std::int64_t i = count; i < round_up(count, block); ++i) out[i] = 0;
}

// ------ largest magnitudes: those of FP32 order like their bits; any NaN or Inf gives at least kInfinity

template <int kLanes>
[[gnu::always_inline]] inline std::uint32_t largest_magnitude(const std::uint32_t* bits, std::int64_t count) {
  WordsOf<kLanes> largest{};
  for (std::int64_t i = 0; i < count; i += kLanes)
    largest = larger(largest, load_lanes<WordsOf<kLanes>>(bits + i) & kMagnitude);
  return largest_lane(largest);
}

// The largest number without a sign bit (0 without any): of bits with `flip` = 0 the largest positive element, with
// `flip` = kSign the magnitude of the most negative one.
template <int kLanes>
[[gnu::always_inline]] inline std::uint32_t largest_positive(const std::uint32_t* bits, std::int64_t count,
                                                             std::uint32_t flip) {
  WordsOf<kLanes> largest{};
  for (std::int64_t i = 0; i < count; i += kLanes)
    largest = larger(largest, load_lanes<WordsOf<kLanes>>(bits + i) ^ flip);
  return largest_lane(largest);
}

// ------ codes

// Steps of a grid: non-negative finite numbers below 2^22 rounded to integers. To even by adding 2^23, whose last place
// is 1; ties away by truncating to half steps.
template <ElementRounding kRounding, class Floats>
[[gnu::always_inline]] inline auto round_steps(Floats steps) {
  if constexpr (kRounding == ElementRounding::half_away)
    return (truncated(steps * 2.0F) + 1U) >> 1;
  else
    return as_bits(steps + 0x1p23F) - as_bits(0x1p23F);
}

// The magnitude code of FP32 magnitudes; Inf and NaN end where large finite numbers do.
template <const FloatLayout& kLayout, ElementRounding kRounding, Overflow kOverflow = Overflow::saturate, class Words>
[[gnu::always_inline]] inline Words magnitude_code(Words magnitude) {
  constexpr std::uint32_t kLast = kLayout.last_code(kOverflow);
  constexpr int kMantissa = kLayout.mantissa_bits;
  constexpr int kShift = 23 - kMantissa;
  if constexpr (kLayout.bias == 127) {
    // BF16 has FP32's exponents: round the mantissa in the integer; a carry runs into the exponent as it should.
    constexpr std::uint32_t kHalf = 1U << (kShift - 1);
    Words rounded = magnitude + (kRounding == ElementRounding::half_away ? kHalf : kHalf - 1);
    if constexpr (kRounding == ElementRounding::nearest_even) rounded += magnitude >> kShift & 1U;
    return smaller(rounded >> kShift, splat<Words>(kLast));
  } else {
    // The grid's steps at a magnitude have its exponent, never below the smallest normal's, less the mantissa's width.
    // Limiting before rounding is the same as after it: the largest value, or 2^16 of FP16, which has Inf's code, is on
    // the grid.
    constexpr std::uint32_t kMinNormal = static_cast<std::uint32_t>(128 - kLayout.bias) << 23;
    constexpr std::uint32_t kLargest = (kLast << kShift) + (kMinNormal - (1U << 23));
    const Words saturated = smaller(magnitude, splat<Words>(kLargest));
    Words exponent = splat<Words>(kMinNormal);  // E1M2 has the same step everywhere
    if constexpr (kLayout.exponent_bits > 1) exponent = larger(saturated & kInfinity, exponent);
    Words steps{};
    if constexpr (kRounding == ElementRounding::half_away) {
      constexpr std::uint32_t kInverse = static_cast<std::uint32_t>(2 * 127 + kMantissa) << 23;
      steps = round_steps<kRounding>(as_float(saturated) * as_float(kInverse - exponent));  // a power of two: exact
    } else {
      // As round_steps, with the power of two whose last place is the step. Steps that round up to the next binade
      // carry into the code's exponent as they should.
      const Words magic = exponent + (static_cast<std::uint32_t>(kShift) << 23);
      steps = as_bits(as_float(saturated) + as_float(magic)) - magic;
    }
    return steps + ((exponent - kMinNormal) >> kShift);
  }
}

// Codes of numbers; Inf saturates, NaN gives some code.
template <const FloatLayout& kLayout, ElementRounding kRounding, class Words>
[[gnu::always_inline]] inline Words element_code(Words bits) {
  return magnitude_code<kLayout, kRounding>(bits & kMagnitude) | bits >> 31 << kLayout.sign_shift();
}

// With Inf and NaN as encode() has them, for formats where they stay in their elements.
template <const FloatLayout& kLayout, ElementRounding kRounding, Overflow kOverflow = Overflow::saturate, class Words>
[[gnu::always_inline]] inline Words special_element_code(Words bits) {
  const Words magnitude = bits & kMagnitude;
  Words code = magnitude_code<kLayout, kRounding, kOverflow>(magnitude);
  if constexpr (kLayout.inf_code) {
    constexpr std::uint32_t kInf = *kLayout.inf_code;
    code = select(top_bit_mask(magnitude - kInfinity), code, splat<Words>(kInf));
  }
  code |= bits >> 31 << kLayout.sign_shift();
  constexpr std::uint32_t kNan = *kLayout.nan_code;
  return select(top_bit_mask(kInfinity - magnitude), splat<Words>(kNan), code);
}

// Two's complement of symmetric integers; |steps| < 2^22.
template <std::uint32_t kLimit, ElementRounding kRounding, class Floats>
[[gnu::always_inline]] inline auto integer_code(Floats steps) {
  const auto bits = as_bits(steps);
  const auto rounded = round_steps<kRounding>(as_float(bits & kMagnitude));
  const auto magnitude = smaller(rounded, splat<std::remove_const_t<decltype(bits)>>(kLimit));
  const auto negative = top_bit_mask(bits);
  return (magnitude ^ negative) - negative;
}

// The values of codes without sign, finite. Their bits where FP32 has them, times the quotient of the biases: exact,
// also for the codes of subnormals, which become normal.
template <const FloatLayout& kLayout, class Words>
[[gnu::always_inline]] inline auto decoded(Words codes) {
  return as_float(codes << (23 - kLayout.mantissa_bits)) *
         as_float(static_cast<std::uint32_t>(2 * 127 - kLayout.bias) << 23);
}

// ------ rows

// `count` codes of 8 bits, or of 4 bits two in a byte (an odd last one with what follows it).
template <int kBits>
[[gnu::always_inline]] inline void store(const std::uint32_t* codes, std::int64_t count, std::uint8_t* out) {
  static_assert(kBits == 4 || kBits == 8);
  std::uint8_t bytes[kChunk];
  if constexpr (kBits == 8) {
    for (std::int64_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(codes[i]);
    std::memcpy(out, bytes, static_cast<std::size_t>(count));
  } else {
    const std::int64_t pairs = (count + 1) / 2;
    for (std::int64_t i = 0; i < pairs; ++i) bytes[i] = static_cast<std::uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
    std::memcpy(out, bytes, static_cast<std::size_t>(pairs));
  }
}

// A row of a format with block scales. `cast` is of a family:
//   kBlock, kScaleBytes, kBits   of the format
//   run<kLanes>(bits, blocks, codes, scales)   gives the codes and the scales of blocks; 4-bit codes have no other bits
template <int kLanes, class Cast>
[[gnu::always_inline]] inline void cast_block_row(const CastJob& job, std::int64_t row, const Cast& cast) {
  const std::int64_t row_blocks = tiles_of(job.matrix.cols(), Cast::kBlock);
  std::uint8_t* out = job.out->codes.data() + row * job.out->row_bytes;
  std::uint8_t* scales = job.out->block_scale.data() + row * row_blocks * Cast::kScaleBytes;
  alignas(64) std::uint32_t bits[kChunk];
  alignas(64) std::uint32_t codes[kChunk];
  for (std::int64_t first = 0; first < job.matrix.cols(); first += kChunk) {
    const std::int64_t count = std::min(kChunk, job.matrix.cols() - first);
    const std::int64_t blocks = tiles_of(count, Cast::kBlock);
    load(job.matrix, row, first, count, Cast::kBlock, bits);
    cast.template run<kLanes>(bits, blocks, codes, scales);
    store<Cast::kBits>(codes, blocks * Cast::kBlock, out);
    out += blocks * Cast::kBlock * Cast::kBits / 8;
    scales += blocks * Cast::kScaleBytes;
  }
}

// The codes of blocks with NaN or Inf are zero.
template <std::int64_t kBlock>
[[gnu::always_inline]] inline void clear_marked(const std::uint32_t* amax, std::int64_t blocks, std::uint32_t* codes) {
  for (std::int64_t block = 0; block < blocks; ++block)
    if (amax[block] >= kInfinity) std::memset(codes + block * kBlock, 0, kBlock * sizeof *codes);
}

}  // namespace cast
}  // namespace oscsim::numerics
