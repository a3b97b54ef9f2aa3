// SPDX-License-Identifier: Apache-2.0
#include "sim/run/result.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace oscsim {

void ErrorSums::add(const ErrorSums& other, double weight) {
  signal += weight * other.signal;
  output += weight * other.output;
  product += weight * other.product;
  noise += weight * other.noise;
  largest = std::isnan(other.largest) ? other.largest
            : std::isnan(largest)     ? largest
                                      : std::max(largest, other.largest);
}

Closeness closeness(const ErrorSums& sums) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(sums.largest)) return {kNan, kNan, kNan};
  const double lengths = std::sqrt(sums.signal) * std::sqrt(sums.output);
  return {sums.noise == 0 ? kInfinity : 10 * std::log10(sums.signal / sums.noise),
          lengths == 0 ? kNan : std::clamp(sums.product / lengths, -1.0, 1.0), sums.largest};
}

LayerResult& RunResult::layer(std::int64_t number) {
  const auto place = std::ranges::lower_bound(layers, number, {}, &LayerResult::layer);
  if (place != layers.end() && place->layer == number) return *place;
  LayerResult fresh;
  fresh.layer = number;
  return *layers.insert(place, std::move(fresh));
}

std::int64_t RunResult::differing() const {
  std::int64_t count = 0;
  for (const GemmResult& gemm : gemms)
    for (const SideResult* side : {&gemm.scheme, &gemm.baseline})
      if (side->verification) count += side->verification->differing;
  return count;
}

bool RunResult::verified() const {
  return !gemms.empty() && std::ranges::all_of(gemms, [](const GemmResult& gemm) {
    return gemm.scheme.verification && gemm.baseline.verification;
  }) && differing() == 0;
}

}  // namespace oscsim
