// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/synthetic_params.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/base/error.h"
#include "sim/workload/activation_files.h"
#include "sim/workload/trace.h"

namespace oscsim {
namespace {

bool fits(const PositionStatistics& entry, Position position, std::int64_t layer) {
  // The router reads what the experts read.
  if (entry.position != (position == Position::router ? Position::ffn_in : position)) return false;
  if (!entry.layers) return true;
  const LayerRange range = parse_layer_range(*entry.layers);
  return range.first <= layer && layer <= range.last;
}

}  // namespace

ActivationStatistics SyntheticParams::of(Position position, const std::string& activation) const {
  ActivationStatistics found{.std = activation_std,
                             .density = density(position),
                             .magnitude = magnitude,
                             .magnitude_spread = magnitude_spread,
                             .token_spread = token_spread,
                             .miss_rate = miss_rate,
                             .bypass_rate = bypass_rate};
  const std::int64_t layer = layer_of_name(activation);
  const auto entry =
      std::ranges::find_if(positions, [&](const PositionStatistics& each) { return fits(each, position, layer); });
  if (entry == positions.end()) return found;
  found.std = entry->std.value_or(found.std);
  found.density = entry->density.value_or(found.density);
  found.magnitude = entry->magnitude.value_or(found.magnitude);
  found.magnitude_spread = entry->magnitude_spread.value_or(found.magnitude_spread);
  found.token_spread = entry->token_spread.value_or(found.token_spread);
  found.miss_rate = entry->miss_rate.value_or(found.miss_rate);
  found.bypass_rate = entry->bypass_rate.value_or(found.bypass_rate);
  return found;
}

double SyntheticParams::density(Position position) const {
  switch (position) {
    case Position::attn_in:
      return attn_in_density;
    case Position::o_in:
      return o_in_density;
    case Position::down_in:
      return down_in_density;
    case Position::ffn_in:
    case Position::router:
    case Position::lm_head:
    case Position::other:
      return ffn_in_density;
  }
  return ffn_in_density;
}

void SyntheticParams::check(std::vector<std::string>& problems) const {
  const double equal_share = 1 / static_cast<double>(group);
  const std::pair<const char*, double> densities[] = {{"attn_in_density", attn_in_density},
                                                      {"o_in_density", o_in_density},
                                                      {"ffn_in_density", ffn_in_density},
                                                      {"down_in_density", down_in_density}};
  for (const auto& [name, value] : densities)
    if (value < equal_share)
      problems.push_back(fmt::format("{} is {}; allowed: at least 1/group = {:.4g}, the equal share of a channel", name,
                                     value, equal_share));
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const PositionStatistics& entry = positions[i];
    if (entry.density && *entry.density < equal_share)
      problems.push_back(fmt::format("positions[{}].density is {}; allowed: at least 1/group = {:.4g}", i,
                                     *entry.density, equal_share));
    try {
      if (entry.layers) parse_layer_range(*entry.layers);
    } catch (const InputError& error) {
      problems.push_back(fmt::format("positions[{}].layers: {}", i, error.what()));
    }
  }
}

}  // namespace oscsim
