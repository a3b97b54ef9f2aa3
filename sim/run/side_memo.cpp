// SPDX-License-Identifier: Apache-2.0
#include "sim/run/side_memo.h"

#include <algorithm>

#include "sim/config/canonical.h"
#include "sim/workload/sha256.h"

namespace oscsim {

UsedParts used_by(const GemmPlan& plan, const MappingParams& pinned, const units::MachineParams& machine) {
  UsedParts used;
  used.widths.clear();
  used.own_branch = used.branch_pass = false;
  for (const MatmulPass& pass : plan.passes) {
    used.branch_pass |= pass.branch;
    if (machine.runs_on_branch(pass.bits(), pass.branch))
      used.own_branch = true;
    else
      used.widths.insert(pass.bits());
  }
  used.cast = pinned.quantise == QuantisePlace::fused;
  used.gather = used.cast && plan.activation.gather_group > 0;
  return used;
}

UsedParts used_by(const ActivationPlan& plan) {
  return {.matrix = false,
          .widths = {},
          .own_branch = false,
          .branch_pass = false,
          .cast = true,
          .gather = plan.gather_group > 0};
}

// What is not used goes to one fixed value; a parameter that this function has not heard of counts as used.
std::string used_text(const units::MachineParams& machine, const UsedParts& used) {
  static const units::MachineParams kFixed;
  units::MachineParams rest = machine;
  rest.description.clear();
  units::CoreParams& core = rest.core;
  core.accumulator.clear();  // arithmetic, not time
  const bool own_placement = core.branch.placement == units::BranchPlacement::own;
  if (!used.own_branch) core.branch = kFixed.core.branch;
  if (used.branch_pass)
    core.branch.placement = own_placement ? units::BranchPlacement::own : units::BranchPlacement::shared;
  if (!used.branch_pass) rest.model_branch_startup = rest.count_branch_weights = true;
  if (!used.gather) core.gather = kFixed.core.gather;
  if (!used.cast) {
    core.vector = kFixed.core.vector;
    core.buffers.ub = Bytes(0);
  }
  if (!used.matrix) {
    const Bytes ub = core.buffers.ub;
    core.buffers = kFixed.core.buffers;
    core.buffers.ub = ub;
    core.issue = kFixed.core.issue;
    core.feed = kFixed.core.feed;
    core.tensor = kFixed.core.tensor;
  }
  if (!used.widths.contains(4)) core.tensor.cube.k0_4bit = 0;
  if (!used.widths.contains(8)) core.tensor.cube.k0_8bit = 0;
  if (!used.widths.contains(16)) core.tensor.cube.k0_16bit = 0;
  return config::canonical_text(rest);
}

const SideResult* SideMemo::find(const std::string& text) {
  const auto known = known_.find(sha256(text));
  if (known == known_.end()) return nullptr;
  ++counts_.found;
  return &known->second;
}

void SideMemo::add(const std::string& text, const SideResult& result, std::chrono::nanoseconds search,
                   std::chrono::nanoseconds simulation) {
  if (known_.size() >= kMost) known_.clear();
  known_.emplace(sha256(text), result);
  ++counts_.simulated;
  counts_.search += search;
  counts_.simulation += simulation;
}

}  // namespace oscsim
