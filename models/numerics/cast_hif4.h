// SPDX-License-Identifier: Apache-2.0
// Fast cast to HiFloat4 (arXiv 2602.11287): 64 elements S1P2, an E6M2 scale, micro-exponents for every 8 and every 4.
#pragma once

#include <array>

#include "models/numerics/cast_element.h"

namespace oscsim::numerics::cast {

// Non-negative FP32 numbers far from the largest, rounded to BF16 (nearest even).
template <class Words>
[[gnu::always_inline]] constexpr Words rounded_to_bf16(Words bits) {
  return (bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U;
}

template <ElementRounding kRounding>
struct Hif4Cast {
  static constexpr std::int64_t kBlock = 64;
  static constexpr std::int64_t kScaleBytes = 4;
  static constexpr int kBits = 4;

  template <int kLanes>
  [[gnu::always_inline]] void run(const std::uint32_t* bits, std::int64_t blocks, std::uint32_t* codes,
                                  std::uint8_t* scales) const {
    using Words = WordsOf<kLanes>;
    constexpr std::int64_t kBlocks = kChunk / kBlock;
    std::uint32_t amax[kBlocks] = {};
    std::uint32_t scale[kBlocks];
    std::uint32_t inverse[kBlocks];
    for (std::int64_t i = 0; i < blocks; ++i) amax[i] = largest_magnitude<kLanes>(bits + i * kBlock, kBlock);
    for (std::int64_t i = 0; i < blocks; i += kLanes) {
      const Words code = scale_code(load_lanes<Words>(amax + i));
      store_lanes(code, scale + i);
      store_lanes(inverse_of(code), inverse + i);
    }
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::uint32_t micro = cast_block<kLanes>(bits + i * kBlock, inverse[i], codes + i * kBlock);
      const std::uint32_t metadata = amax[i] < kInfinity ? scale[i] | micro : kE6m2Nan;
      std::memcpy(scales + i * kScaleBytes, &metadata, kScaleBytes);
    }
    clear_marked<kBlock>(amax, blocks, codes);
  }

 private:
  static constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - kE6m2Bias) << 23;

  // E6M2 of BF16(amax * BF16(1 / 7)), clamped to its range, where the mantissa rounds as an integer.
  template <class Words>
  [[gnu::always_inline]] static Words scale_code(Words amax) {
    constexpr float kSeventh = as_float(rounded_to_bf16(as_bits(1.0F / 7.0F)));
    const Words wanted = rounded_to_bf16(as_bits(as_float(amax) * kSeventh));
    const Words clamped = smaller(larger(wanted, splat<Words>(kRebias)), splat<Words>(as_bits(49152.0F)));
    return (clamped - kRebias + 0xFFFFFU + (clamped >> 21 & 1U)) >> 21;
  }

  // BF16(1 / scale). The reference divides in double and rounds to FP32 before BF16: the four quotients 1, 0.8, 2/3 and
  // 4/7 of the mantissas are far from ties of BF16.
  template <class Words>
  [[gnu::always_inline]] static Words inverse_of(Words scale) {
    return rounded_to_bf16(as_bits(1.0F / as_float((scale << 21) + kRebias)));
  }

  // Bits of the metadata that the lane of an element sets: each micro-exponent by the first lane of its elements. Those
  // of 8 elements stand from bit 8 on, those of 4 from bit 16 on.
  static constexpr std::array<std::uint32_t, kBlock> kBitsOf8 = [] {
    std::array<std::uint32_t, kBlock> bits{};
    for (std::size_t i = 0; i < kBlock; i += 8) bits[i] = 1U << (8 + i / 8);
    return bits;
  }();
  static constexpr std::array<std::uint32_t, kBlock> kBitsOf4 = [] {
    std::array<std::uint32_t, kBlock> bits{};
    for (std::size_t i = 0; i < kBlock; i += 4) bits[i] = 1U << (16 + i / 4);
    return bits;
  }();

  // All bits of lanes where the product is `kThreshold` or more.
  template <std::uint32_t kThreshold, class Words>
  [[gnu::always_inline]] static Words reaches(Words largest, Words inverse) {
    return top_bit_mask(kThreshold - 1 - as_bits(as_float(largest) * as_float(inverse)));
  }

  // Returns the micro-exponents at their places in the metadata.
  template <int kLanes>
  [[gnu::always_inline]] static std::uint32_t cast_block(const std::uint32_t* bits, std::uint32_t inverse,
                                                         std::uint32_t* codes) {
    using Words = WordsOf<kLanes>;
    constexpr std::int64_t kVectors = kBlock / kLanes;
    Words largest_of_4[kVectors];  // of each lane's four, in every lane
    for (std::int64_t v = 0; v < kVectors; ++v) {
      const Words magnitude = load_lanes<Words>(bits + v * kLanes) & kMagnitude;
      const Words of_2 = larger(magnitude, neighbours<1>(magnitude));
      largest_of_4[v] = larger(of_2, neighbours<2>(of_2));
    }
    Words micro{};
    for (std::int64_t v = 0; v < kVectors; ++v) {
      Words largest_of_8 = largest_of_4[v];
      if constexpr (kLanes == 4)
        largest_of_8 = larger(largest_of_8, largest_of_4[v ^ 1]);
      else
        largest_of_8 = larger(largest_of_8, neighbours<4>(largest_of_8));
      // Halving the inverse (2^-16 at least) instead of a product gives the same bits: both are exact, but for products
      // down in FP32's subnormals, which are zero here.
      Words factor = splat<Words>(inverse);
      const Words eight = reaches<as_bits(4.0F)>(largest_of_8, factor);
      factor -= eight & 1U << 23;
      const Words four = reaches<as_bits(2.0F)>(largest_of_4[v], factor);
      factor -= four & 1U << 23;
      micro |= (eight & load_lanes<Words>(kBitsOf8.data() + v * kLanes)) |
               (four & load_lanes<Words>(kBitsOf4.data() + v * kLanes));
      const auto scaled = as_float(load_lanes<Words>(bits + v * kLanes)) * as_float(factor);
      store_lanes(element_code<kE1m2, kRounding>(as_bits(scaled)), codes + v * kLanes);
    }
    return joined_lanes(micro);
  }
};

}  // namespace oscsim::numerics::cast
