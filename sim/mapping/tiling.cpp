// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/tiling.h"

#include <algorithm>

namespace oscsim {

using units::MachineParams;
using units::PipeId;
using units::RingId;

Bytes operand_bytes(const MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  return code_bytes(pass, rows, depth) + scale_bytes(machine, pass, rows, depth);
}

Bytes code_bytes(const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  return numerics::code_bytes(numerics::format(pass.format), rows, depth);
}

// Outer scales enter in the epilogue only; they are 4 bytes a row and not worth a tile's time.
Bytes scale_bytes(const MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  if (!machine.count_scale_bytes) return Bytes(0);
  return numerics::block_scale_bytes(numerics::format(pass.format), rows, depth);
}

bool has_scales(const MachineParams& machine, const MatmulPass& pass) {
  return scale_bytes(machine, pass, 1, pass.k) > Bytes(0);
}

PassUnit unit_of(const MachineParams& machine, const MatmulPass& pass) {
  if (machine.runs_on_branch(pass.bits(), pass.branch)) return {PipeId::branch, RingId::l0_branch, RingId::branch_acc};
  return {PipeId::tensor, RingId::l0, RingId::l0c};
}

std::int64_t stages_per_tile(const GemmPlan& plan, const Tiling& tiling) {
  std::int64_t stages = 0;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) stages += tiles_of(plan.passes[i].k, tiling.passes[i].stage);
  return stages;
}

Bytes accumulator_bytes(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling) {
  const bool branch = std::ranges::any_of(
      plan.passes, [&](const MatmulPass& pass) { return unit_of(machine, pass).pipe == PipeId::branch; });
  // A branch that shares the unit but joins in the epilogue keeps an accumulator of its own in L0C.
  const bool apart = plan.passes.size() > 1 && !branch && plan.join_place == JoinPlace::epilogue;
  return Bytes(tiling.m * tiling.n * 4) * (apart ? 2 : 1);
}

RingSlots ring_slots(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling) {
  Bytes a{0}, b{0}, scales_a{0}, scales_b{0};
  std::int64_t groups = 0;
  bool tensor = false, branch = false;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const MatmulPass& pass = plan.passes[i];
    const std::int64_t depth = std::min(tiling.passes[i].stage, pass.k);
    const std::int64_t group = std::min(tiling.passes[i].stage * tiling.passes[i].scale_stages, pass.k);
    a = std::max(a, code_bytes(pass, tiling.m, depth));
    b = std::max(b, code_bytes(pass, tiling.n, depth));
    scales_a = std::max(scales_a, scale_bytes(machine, pass, tiling.m, group));
    scales_b = std::max(scales_b, scale_bytes(machine, pass, tiling.n, group));
    if (has_scales(machine, pass)) groups += tiles_of(pass.k, group);
    (unit_of(machine, pass).pipe == PipeId::branch ? branch : tensor) = true;
  }
  const auto slots_of = [&](LoopOrder resident, std::int64_t loads) {
    return tiling.order == resident ? std::max(loads, tiling.l1_slots) : tiling.l1_slots;
  };
  const std::int64_t stages = stages_per_tile(plan, tiling);
  RingSlots slots;
  slots.l1_a = slots_of(LoopOrder::a_resident, stages);
  slots.l1_b = slots_of(LoopOrder::b_resident, stages);
  if (groups > 0) {
    slots.l1_a_scales = slots_of(LoopOrder::a_resident, groups);
    slots.l1_b_scales = slots_of(LoopOrder::b_resident, groups);
  }
  const auto bytes = [](Bytes slot, std::int64_t count) { return slot.real() * static_cast<double>(count); };
  slots.l1_bytes = bytes(a, slots.l1_a) + bytes(b, slots.l1_b) + bytes(scales_a, slots.l1_a_scales) +
                   bytes(scales_b, slots.l1_b_scales);
  if (slots.l1_bytes > machine.core.buffers.l1.real()) slots.l1_a = slots.l1_b = 0;

  const Bytes tile = accumulator_bytes(plan, machine, tiling);
  const auto fitting = [&](Bytes buffer) { return std::min<std::int64_t>(4, buffer.count() / tile.count()); };
  slots.accumulators = tensor ? fitting(machine.core.buffers.l0c) : 0;
  slots.branch_accumulators = branch ? fitting(machine.core.branch.accumulator) : 0;
  if ((tensor && slots.accumulators == 0) || (branch && slots.branch_accumulators == 0))
    slots.accumulators = slots.branch_accumulators = 0;
  return slots;
}

}  // namespace oscsim
