// SPDX-License-Identifier: Apache-2.0
// What a machine is and what it did, in the plain terms of models/cost.
#pragma once

#include "models/cost/cost.h"
#include "models/schemes/plan.h"
#include "models/units/chip.h"
#include "sim/run/result.h"

namespace oscsim {

cost::ChipSizes chip_sizes(const units::MachineParams& machine);

// Which multiplier a format takes.
cost::MacKind mac_kind(const numerics::FormatInfo& format);

// The multiplier of a width of operands in one piece of work, and how the work's dot products are summed.
struct MacUse {
  cost::MacKind kind{};
  bool in_integers = false;  // over all of K: nothing is added in FP32
};
// A width that the work does not use has any.
using MacKinds = std::array<MacUse, cost::kWidths>;
MacKinds mac_kinds(std::span<const numerics::FormatId> formats);
MacKinds mac_kinds(const GemmPlan& plan);

cost::Actions actions_of(const SideResult& side, const MacKinds& kinds);

}  // namespace oscsim
