// SPDX-License-Identifier: Apache-2.0
// 32-bit lanes in the compiler's vector extension: the fast cast is written once for vectors of 4, 8 and 16 lanes and
// for one lane (a plain number). Everything is forced inline, so that each instruction set of quantise.cpp compiles its
// own copy and no vector crosses a call.
#pragma once

#include <cstdint>
#include <cstring>

namespace oscsim::numerics::cast {

template <int kLanes>
struct Lanes {
  typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));
  typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
  typedef float Floats __attribute__((vector_size(4 * kLanes)));
};
template <>
struct Lanes<1> {
  using Words = std::uint32_t;
  using Ints = std::int32_t;
  using Floats = float;
};

template <int kLanes>
using WordsOf = typename Lanes<kLanes>::Words;

template <class Vector>
constexpr int kLanesOf = sizeof(Vector) / 4;

template <class Vector>
[[gnu::always_inline]] constexpr auto as_float(Vector bits) {
  return __builtin_bit_cast(typename Lanes<kLanesOf<Vector>>::Floats, bits);
}
template <class Vector>
[[gnu::always_inline]] constexpr auto as_bits(Vector value) {
  return __builtin_bit_cast(typename Lanes<kLanesOf<Vector>>::Words, value);
}
template <class Words>
[[gnu::always_inline]] constexpr auto as_signed(Words bits) {
  return __builtin_bit_cast(typename Lanes<kLanesOf<Words>>::Ints, bits);
}

template <class Words>
[[gnu::always_inline]] constexpr Words splat(std::uint32_t value) {
  Words words{};
  words += value;  // as one expression it becomes an insertion for each lane in GCC 12
  return words;
}

template <class Words>
[[gnu::always_inline]] inline Words load_lanes(const std::uint32_t* source) {
  Words words;
  std::memcpy(&words, source, sizeof words);
  return words;
}
template <class Words>
[[gnu::always_inline]] inline void store_lanes(Words words, std::uint32_t* target) {
  std::memcpy(target, &words, sizeof words);
}

// ------ numbers below 2^31, magnitudes of FP32 for example: signed comparisons are what SSE2 has

template <class Words>
[[gnu::always_inline]] constexpr Words smaller(Words a, Words b) {
  const auto x = as_signed(a);
  const auto y = as_signed(b);
  return as_bits(x < y ? x : y);
}
template <class Words>
[[gnu::always_inline]] constexpr Words larger(Words a, Words b) {
  const auto x = as_signed(a);
  const auto y = as_signed(b);
  return as_bits(x > y ? x : y);
}

// All bits of a lane when its top bit is set; so of (a - b) when a < b.
template <class Words>
[[gnu::always_inline]] constexpr Words top_bit_mask(Words words) {
  return as_bits(as_signed(words) >> 31);
}
template <class Words>
[[gnu::always_inline]] constexpr Words select(Words mask, Words set, Words clear) {
  return clear ^ ((clear ^ set) & mask);
}

// Rounds toward zero; of numbers within INT32.
template <class Floats>
[[gnu::always_inline]] inline auto truncated(Floats values) {
  using Ints = typename Lanes<kLanesOf<Floats>>::Ints;
  if constexpr (kLanesOf<Floats> == 1)
    return as_bits(static_cast<Ints>(values));
  else
    return as_bits(__builtin_convertvector(values, Ints));
}

// ------ across lanes

// Lane i gets that of lane i ^ kDistance.
template <int kDistance, class Words>
[[gnu::always_inline]] inline Words neighbours(Words words) {
  if constexpr (kLanesOf<Words> == 4)
    return __builtin_shufflevector(words, words, 0 ^ kDistance, 1 ^ kDistance, 2 ^ kDistance, 3 ^ kDistance);
  else if constexpr (kLanesOf<Words> == 8)
    return __builtin_shufflevector(words, words, 0 ^ kDistance, 1 ^ kDistance, 2 ^ kDistance, 3 ^ kDistance,
                                   4 ^ kDistance, 5 ^ kDistance, 6 ^ kDistance, 7 ^ kDistance);
  else
    return __builtin_shufflevector(words, words, 0 ^ kDistance, 1 ^ kDistance, 2 ^ kDistance, 3 ^ kDistance,
                                   4 ^ kDistance, 5 ^ kDistance, 6 ^ kDistance, 7 ^ kDistance, 8 ^ kDistance,
                                   9 ^ kDistance, 10 ^ kDistance, 11 ^ kDistance, 12 ^ kDistance, 13 ^ kDistance,
                                   14 ^ kDistance, 15 ^ kDistance);
}

template <class Words>
[[gnu::always_inline]] inline std::uint32_t largest_lane(Words words) {
  if constexpr (kLanesOf<Words> >= 16) words = larger(words, neighbours<8>(words));
  if constexpr (kLanesOf<Words> >= 8) words = larger(words, neighbours<4>(words));
  words = larger(words, neighbours<2>(words));
  return larger(words, neighbours<1>(words))[0];
}

template <class Words>
[[gnu::always_inline]] inline std::uint32_t joined_lanes(Words words) {
  if constexpr (kLanesOf<Words> >= 16) words |= neighbours<8>(words);
  if constexpr (kLanesOf<Words> >= 8) words |= neighbours<4>(words);
  words |= neighbours<2>(words);
  return (words | neighbours<1>(words))[0];
}

}  // namespace oscsim::numerics::cast
