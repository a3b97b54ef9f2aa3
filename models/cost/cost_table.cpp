// SPDX-License-Identifier: Apache-2.0
#include "models/cost/cost_table.h"

namespace oscsim::cost {

void EnergyCosts::check(std::vector<std::string>& problems) const {
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues)
    if (add[kind].value > mac[kind].value)
      problems.push_back(fmt::format("add.{}: {} pJ are more than the {} of the multiply-accumulate that it is in",
                                     name, add[kind].value.count(), mac[kind].value.count()));
  if (sram.size() < 2) {
    problems.push_back(fmt::format("sram has {} capacities; a law needs two at least", sram.size()));
    return;
  }
  for (std::size_t i = 0; i < sram.size(); ++i)
    if (sram[i].value <= Picojoules(0)) problems.push_back(fmt::format("sram[{}]: an access takes energy", i));
  for (std::size_t i = 1; i < sram.size(); ++i) {
    if (sram[i].capacity <= sram[i - 1].capacity)
      problems.push_back(fmt::format("sram[{}]: capacity of {} bytes is not above the {} before it", i,
                                     sram[i].capacity.count(), sram[i - 1].capacity.count()));
    if (sram[i].value < sram[i - 1].value)
      problems.push_back(fmt::format("sram[{}]: {} pJ are less than the {} of a smaller memory", i,
                                     sram[i].value.count(), sram[i - 1].value.count()));
  }
}

void AreaCosts::check(std::vector<std::string>& problems) const {
  if (multi_width.value > 1)
    problems.push_back(fmt::format("multi_width of {} is more than nothing shared, 1", multi_width.value));
  if (sram_overhead.value < 1)
    problems.push_back(fmt::format("sram_overhead of {} makes memories smaller than their cells", sram_overhead.value));
}

}  // namespace oscsim::cost
