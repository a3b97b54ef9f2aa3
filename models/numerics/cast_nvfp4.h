// SPDX-License-Identifier: Apache-2.0
// Fast casts to NVFP4: 16 elements E2M1 and an E4M3 scale. The operations are those of the reference in its order; each
// rounds once, so the bits are equal.
#pragma once

#include <limits>

#include "models/numerics/cast_element.h"

namespace oscsim::numerics::cast {

template <ElementRounding kRounding>
struct Nvfp4Cast {
  static constexpr std::int64_t kBlock = 16;
  static constexpr std::int64_t kScaleBytes = 1;
  static constexpr int kBits = 4;

  float encode_scale;
  Nvfp4Scale rule;

  template <int kLanes>
  [[gnu::always_inline]] void run(const std::uint32_t* bits, std::int64_t blocks, std::uint32_t* codes,
                                  std::uint8_t* scales) const {
    using Words = WordsOf<kLanes>;
    constexpr std::int64_t kBlocks = kChunk / kBlock;
    constexpr std::uint32_t kNan = *kE4m3.nan_code;
    std::uint32_t amax[kBlocks] = {};
    std::uint32_t wanted[kBlocks] = {};
    std::uint32_t scale[kBlocks];
    std::uint32_t factor[kBlocks];
    const float decode_scale = 1.0F / encode_scale;
    for (std::int64_t i = 0; i < blocks; ++i) amax[i] = largest_magnitude<kLanes>(bits + i * kBlock, kBlock);
    wanted_scales(amax, blocks, wanted);
    for (std::int64_t i = 0; i < blocks; i += kLanes) {
      const auto largest = load_lanes<Words>(amax + i);
      // magnitude_code limits them to 448.
      const Words code = magnitude_code<kE4m3, ElementRounding::nearest_even>(load_lanes<Words>(wanted + i));
      store_lanes(select(top_bit_mask(largest - kInfinity), code, splat<Words>(kNan)), scale + i);
      const auto inverse = 1.0F / (decoded<kE4m3>(code) * decode_scale);
      store_lanes(smaller(as_bits(inverse), splat<Words>(as_bits(std::numeric_limits<float>::max()))), factor + i);
    }
    for (std::int64_t i = 0; i < blocks; ++i) scales[i] = static_cast<std::uint8_t>(scale[i]);
    for (std::int64_t i = 0; i < blocks; ++i)
      for (std::int64_t j = i * kBlock; j < (i + 1) * kBlock; j += kLanes) {
        const auto scaled = as_float(load_lanes<Words>(bits + j)) * as_float(factor[i]);
        store_lanes(element_code<kE2m1, kRounding>(as_bits(scaled)), codes + j);
      }
    clear_marked<kBlock>(amax, blocks, codes);
  }

 private:
  // What E4M3 rounds to the scales of blocks, in FP32. The exact quotient is rounded to odd there, so that rounding it
  // again to fewer bits is as if it had been rounded once (see accumulate.h).
  [[gnu::always_inline]] void wanted_scales(const std::uint32_t* amax, std::int64_t blocks,
                                            std::uint32_t* wanted) const {
    if (rule == Nvfp4Scale::exact) {
      constexpr double kBeyond = 512;                                   // saturates, too
      constexpr std::uint64_t kDropped = (std::uint64_t{1} << 29) - 1;  // bits that FP32 has not
      for (std::int64_t i = 0; i < blocks; ++i) {
        const double product = static_cast<double>(as_float(amax[i])) * static_cast<double>(encode_scale);
        const double quotient = product / 6;
        const auto bits = std::bit_cast<std::uint64_t>(quotient < kBeyond ? quotient : kBeyond);
        const std::uint64_t odd = (bits & kDropped) != 0 ? kDropped + 1 : 0;
        wanted[i] = as_bits(static_cast<float>(std::bit_cast<double>((bits & ~kDropped) | odd)));
      }
    } else if (rule == Nvfp4Scale::te_main) {
      const float factor = encode_scale * (1.0F / 6.0F);
      for (std::int64_t i = 0; i < blocks; ++i) wanted[i] = as_bits(as_float(amax[i]) * factor);
    } else {
      for (std::int64_t i = 0; i < blocks; ++i) wanted[i] = as_bits(as_float(amax[i]) / 6.0F * encode_scale);
    }
  }
};

}  // namespace oscsim::numerics::cast
