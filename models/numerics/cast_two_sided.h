// SPDX-License-Identifier: Apache-2.0
// Fast casts whose scales come from the largest and the smallest element of a block: AMXFP4 (arXiv 2411.09909) and
// asymmetric INT4. Divisions are those of the reference: no multiplication gives their bits.
#pragma once

#include "models/numerics/cast_element.h"

namespace oscsim::numerics::cast {

template <ElementRounding kRounding>
struct Amxfp4Cast {
  static constexpr std::int64_t kBlock = 32;
  static constexpr std::int64_t kScaleBytes = 2;
  static constexpr int kBits = 4;

  template <int kLanes>
  [[gnu::always_inline]] void run(const std::uint32_t* bits, std::int64_t blocks, std::uint32_t* codes,
                                  std::uint8_t* scales) const {
    using Words = WordsOf<kLanes>;
    constexpr std::int64_t kBlocks = kChunk / kBlock;
    constexpr std::uint32_t kNan = *kE5m2.nan_code;
    std::uint32_t highest[kBlocks] = {};
    std::uint32_t lowest[kBlocks] = {};
    for (std::int64_t i = 0; i < blocks; ++i) {
      highest[i] = largest_positive<kLanes>(bits + i * kBlock, kBlock, 0);
      lowest[i] = largest_positive<kLanes>(bits + i * kBlock, kBlock, kSign);
    }
    std::uint32_t amax[kBlocks];
    std::uint32_t scale[kBlocks];  // both bytes
    std::uint32_t positive[kBlocks];
    std::uint32_t negative[kBlocks];
    for (std::int64_t i = 0; i < blocks; i += kLanes) {
      const auto above = load_lanes<Words>(highest + i);
      const auto below = load_lanes<Words>(lowest + i);
      const Words largest = larger(above, below);
      store_lanes(largest, amax + i);
      const Words above_code = scale_code(above);
      const Words below_code = scale_code(below);
      store_lanes(as_bits(decoded<kE5m2>(above_code)), positive + i);
      store_lanes(as_bits(decoded<kE5m2>(below_code)), negative + i);
      store_lanes(
          select(top_bit_mask(largest - kInfinity), above_code | below_code << 8, splat<Words>(kNan | kNan << 8)),
          scale + i);
    }
    for (std::int64_t i = 0; i < blocks; ++i) std::memcpy(scales + i * kScaleBytes, &scale[i], kScaleBytes);
    for (std::int64_t i = 0; i < blocks; ++i)
      for (std::int64_t j = i * kBlock; j < (i + 1) * kBlock; j += kLanes) {
        const auto values = load_lanes<Words>(bits + j);
        // By the sign bit: -0, which the reference divides by the other scale, gives the same code by either.
        const Words divisor = select(top_bit_mask(values), splat<Words>(negative[i]), splat<Words>(positive[i]));
        store_lanes(element_code<kE2m1, kRounding>(as_bits(as_float(values) / as_float(divisor))), codes + j);
      }
    clear_marked<kBlock>(amax, blocks, codes);
  }

 private:
  template <class Words>
  [[gnu::always_inline]] static Words scale_code(Words largest) {
    constexpr std::uint32_t kOne = static_cast<std::uint32_t>(kE5m2.bias) << kE5m2.mantissa_bits;
    const Words code = magnitude_code<kE5m2, ElementRounding::nearest_even>(as_bits(as_float(largest) / 6.0F));
    return code | (top_bit_mask(code - 1U) & kOne);
  }
};

template <ElementRounding kRounding>
struct AsymmetricCast {
  static constexpr std::int64_t kBlock = 128;
  static constexpr std::int64_t kScaleBytes = 3;
  static constexpr int kBits = 4;

  template <int kLanes>
  [[gnu::always_inline]] void run(const std::uint32_t* bits, std::int64_t blocks, std::uint32_t* codes,
                                  std::uint8_t* scales) const {
    for (std::int64_t i = 0; i < blocks; ++i)
      cast_block<kLanes>(bits + i * kBlock, codes + i * kBlock, scales + i * kScaleBytes);
  }

 private:
  template <int kLanes>
  [[gnu::always_inline]] static void cast_block(const std::uint32_t* bits, std::uint32_t* codes, std::uint8_t* scale) {
    using Words = WordsOf<kLanes>;
    const std::uint32_t highest = largest_positive<kLanes>(bits, kBlock, 0);
    const std::uint32_t lowest = largest_positive<kLanes>(bits, kBlock, kSign);
    if (larger(highest, lowest) >= kInfinity) {
      std::memcpy(scale, &*kBf16.nan_code, 2);
      std::memset(codes, 0, kBlock * sizeof *codes);
      return;
    }
    const float step = asymmetric_step(-as_float(lowest), as_float(highest));
    const std::uint32_t code = magnitude_code<kBf16, ElementRounding::nearest_even>(as_bits(step));
    std::memcpy(scale, &code, 2);
    const float stored_step = as_float(code << 16);
    const std::uint32_t zero = smaller(round_steps<ElementRounding::nearest_even>(as_float(lowest) / stored_step), 15U);
    scale[2] = static_cast<std::uint8_t>(zero);
    // The row is padded with zeros, whose code is the zero point, as that of the padding has to be.
    for (std::int64_t i = 0; i < kBlock; i += kLanes) {
      const auto steps = integer_code<15, kRounding>(as_float(load_lanes<Words>(bits + i)) / stored_step);
      store_lanes(smaller(larger(steps + zero, Words{}), splat<Words>(15)), codes + i);
    }
  }
};

}  // namespace oscsim::numerics::cast
