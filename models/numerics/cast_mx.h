// SPDX-License-Identifier: Apache-2.0
// Fast casts to OCP MX blocks: 32 elements and an E8M0 scale.
#pragma once

#include "models/numerics/cast_element.h"

namespace oscsim::numerics::cast {

// An element: what the scale rules need to know of it (its largest value is (1 + kLargestFraction / 2^23) * 2^kEmax),
// and its codes from the bits of numbers divided by their scale.
template <const FloatLayout& kLayout, ElementRounding kRounding>
struct MxFloat {
  static constexpr int kBits = kLayout.sign_shift() + 1;
  static constexpr std::uint32_t kEmax = static_cast<std::uint32_t>(kLayout.max_exponent());
  static constexpr int kMantissaBits = kLayout.mantissa_bits;
  static constexpr std::uint32_t kLargestFraction = kLayout.max_code << (23 - kLayout.mantissa_bits) & 0x7FFFFF;

  template <class Words>
  [[gnu::always_inline]] static Words encode(Words scaled) {
    return element_code<kLayout, kRounding>(scaled);
  }
};

// MXINT8 counts 64ths; a number divided by its scale is below 2.
template <ElementRounding kRounding>
struct MxInt8 {
  static constexpr int kBits = 8;
  static constexpr std::uint32_t kEmax = 0;
  static constexpr int kMantissaBits = 6;
  static constexpr std::uint32_t kLargestFraction = 63U << 17;  // 127 / 64

  template <class Words>
  [[gnu::always_inline]] static Words encode(Words scaled) {
    return integer_code<127, kRounding>(as_float(scaled) * 64.0F);
  }
};

template <class Element>
struct MxCast {
  static constexpr std::int64_t kBlock = 32;
  static constexpr std::int64_t kScaleBytes = 1;
  static constexpr int kBits = Element::kBits;

  ScaleRule rule;

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
      const auto largest = load_lanes<Words>(amax + i);
      const Words code = scale_code(largest, carry(rule));
      store_lanes(select(top_bit_mask(largest - kInfinity), code, splat<Words>(kE8m0Nan)), scale + i);
      // 2^(127 - code), which for 254 is subnormal. Multiplying by it is exact unless the result is subnormal in FP32,
      // which is far below the smallest tie of an element (2^-17 is that of E5M2).
      store_lanes(larger((254U - code) << 23, splat<Words>(1U << 22)), inverse + i);
    }
    for (std::int64_t i = 0; i < blocks; ++i) scales[i] = static_cast<std::uint8_t>(scale[i]);
    for (std::int64_t i = 0; i < blocks; ++i)
      for (std::int64_t j = i * kBlock; j < (i + 1) * kBlock; j += kLanes) {
        const auto scaled = as_float(load_lanes<Words>(bits + j)) * as_float(inverse[i]);
        store_lanes(Element::encode(as_bits(scaled)), codes + j);
      }
    clear_marked<kBlock>(amax, blocks, codes);
  }

 private:
  // What to add to the bits of amax so that its exponent field becomes that of the scale rule before subtracting emax.
  static constexpr std::uint32_t carry(ScaleRule rule) {
    constexpr std::uint32_t kMantissa = 0x7FFFFF;
    switch (rule) {
      case ScaleRule::floor:
        return 0;
      case ScaleRule::even:
        return 1U << (22 - Element::kMantissaBits);
      case ScaleRule::ceil:
        return kMantissa;
      case ScaleRule::rceil:
        return kMantissa - Element::kLargestFraction;
    }
    return 0;
  }

  // E8M0 codes of finite maxima.
  template <class Words>
  [[gnu::always_inline]] static Words scale_code(Words amax, std::uint32_t carry) {
    if constexpr (Element::kEmax == 0) {
      // A subnormal maximum may carry up to code 1: 2^24 makes it normal, and its exponent is counted from there.
      const Words tiny = top_bit_mask(amax - (1U << 23)) & 24U;
      const auto normal = as_float(amax) * as_float((tiny + 127U) << 23);
      const Words exponent = (as_bits(normal) + carry) >> 23;
      return smaller(larger(exponent, tiny) - tiny, splat<Words>(254));
    } else {
      // Zero and subnormal maxima end at code 0 by every rule: they carry to exponent field 1 at most.
      return larger((amax + carry) >> 23, splat<Words>(Element::kEmax)) - Element::kEmax;
    }
  }
};

}  // namespace oscsim::numerics::cast
