// SPDX-License-Identifier: Apache-2.0
// Normal deviates in BF16 by inverse transform: 15 random bits choose a quantile of the magnitude out of a table, one
// bit the sign. The outermost 2^-10 of the probability has a second table with 2^16 quantiles of its own, so that the
// tail is followed to 5.7 standard deviations.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace oscsim {

class NormalTable {
 public:
  explicit NormalTable(double standard_deviation);

  // Element i is a function of (key, counter of its four elements, i) only: element i of the row takes 16 bits of
  // random_bits(key, first_counter + i / 4). A row of n elements uses counters_of(n) counters.
  void fill(std::uint64_t key, std::uint64_t first_counter, std::span<std::uint16_t> out) const;
  static constexpr std::uint64_t counters_of(std::int64_t elements) {
    return static_cast<std::uint64_t>(elements + 3) / 4;
  }

 private:
  static constexpr std::uint32_t kBody = 1U << 15;
  static constexpr std::uint32_t kTail = 1U << 16;
  static constexpr std::uint32_t kTailShare = 1U << 5;  // body indices that lead to the tail: 2^-10 of all
  static constexpr std::uint32_t kTailBegin = kBody - kTailShare;

  std::uint16_t element(std::uint64_t bits, int lane) const;

  std::array<std::uint16_t, kBody> body_;
  std::array<std::uint16_t, kTail> tail_;
};

// A standard normal deviate from 32 bits, for single draws.
double normal_deviate(std::uint32_t bits);

}  // namespace oscsim
