// SPDX-License-Identifier: Apache-2.0
// Random bits as a pure function of a key and a counter: no state, so no order and no thread count enters. The mixing
// function is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#pragma once

#include <cstdint>
#include <string_view>

namespace oscsim {

constexpr std::uint64_t mixed_bits(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

constexpr std::uint64_t random_bits(std::uint64_t key, std::uint64_t counter) {
  return mixed_bits(key + (counter + 1) * 0x9E3779B97F4A7C15U);
}

// Key of a stream: FNV-1a of the name, mixed with the seed.
constexpr std::uint64_t random_key(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3U;
  return mixed_bits(mixed_bits(seed + 0x9E3779B97F4A7C15U) ^ hash);
}

// [0, 1) from 32 bits.
constexpr double unit_interval(std::uint32_t bits) {
  return bits * 0x1p-32;
}

// [0, range) from 32 bits; range well below 2^32.
constexpr std::int64_t below(std::uint32_t bits, std::int64_t range) {
  return static_cast<std::int64_t>(bits * static_cast<std::uint64_t>(range) >> 32);
}

}  // namespace oscsim
