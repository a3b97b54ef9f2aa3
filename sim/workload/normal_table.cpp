// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/normal_table.h"

#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <numbers>

#include "models/numerics/element.h"
#include "sim/workload/counter_random.h"

namespace oscsim {
namespace {

// The z >= 0 that a standard normal deviate's magnitude exceeds with probability `upper`, 0 < upper <= 1.
double magnitude_quantile(double upper) {
  using boost::math::policies::policy;
  using boost::math::policies::promote_double;
  return std::numbers::sqrt2 * boost::math::erfc_inv(upper, policy<promote_double<false>>());
}

std::uint16_t bf16(double value) {
  return static_cast<std::uint16_t>(numerics::encode(numerics::kBf16, value, numerics::ElementRounding::nearest_even));
}

}  // namespace

NormalTable::NormalTable(double standard_deviation) {
  constexpr double kTailProbability = static_cast<double>(kTailShare) / kBody;
  for (std::uint32_t i = 0; i < kBody; ++i)
    body_[i] = bf16(standard_deviation * magnitude_quantile(1 - (i + 0.5) / kBody));
  for (std::uint32_t i = 0; i < kTail; ++i)
    tail_[i] = bf16(standard_deviation * magnitude_quantile(kTailProbability * (1 - (i + 0.5) / kTail)));
}

inline std::uint16_t NormalTable::element(std::uint64_t bits, int lane) const {
  const auto mine = static_cast<std::uint32_t>(bits >> (16 * lane)) & 0xFFFFU;
  const std::uint32_t index = mine & (kBody - 1);
  std::uint32_t magnitude = body_[index];
  if (index >= kTailBegin) [[unlikely]]
    magnitude = tail_[mixed_bits(bits + static_cast<std::uint64_t>(lane)) >> 48];
  return static_cast<std::uint16_t>(magnitude | (mine & 0x8000U));
}

void NormalTable::fill(std::uint64_t key, std::uint64_t first_counter, std::span<std::uint16_t> out) const {
  std::size_t i = 0;
  std::uint64_t counter = first_counter;
  for (; i + 4 <= out.size(); i += 4, ++counter) {
    const std::uint64_t bits = random_bits(key, counter);
    for (int lane = 0; lane < 4; ++lane) out[i + static_cast<std::size_t>(lane)] = element(bits, lane);
  }
  const std::uint64_t bits = random_bits(key, counter);
  for (int lane = 0; i < out.size(); ++i, ++lane) out[i] = element(bits, lane);
}

double normal_deviate(std::uint32_t bits) {
  const double magnitude = magnitude_quantile((static_cast<double>(bits >> 1) + 0.5) * 0x1p-31);
  return (bits & 1U) != 0 ? -magnitude : magnitude;
}

}  // namespace oscsim
