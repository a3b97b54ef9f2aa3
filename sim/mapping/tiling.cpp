// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/tiling.h"

#include <algorithm>

namespace oscsim {

using units::MachineParams;
using units::PipeId;
using units::RingId;

Bytes operand_bytes(const MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  const numerics::FormatInfo& format = numerics::format(pass.format);
  Bytes bytes = numerics::code_bytes(format, rows, depth);
  // Outer scales enter in the epilogue only; they are 4 bytes a row and not worth a tile's time.
  if (machine.count_scale_bytes) bytes += numerics::block_scale_bytes(format, rows, depth);
  return bytes;
}

PassUnit unit_of(const MachineParams& machine, const MatmulPass& pass) {
  if (machine.runs_on_branch(pass.bits())) return {PipeId::branch, RingId::l0_branch, RingId::branch_acc};
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
  Bytes a{0}, b{0};
  bool tensor = false, branch = false;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const MatmulPass& pass = plan.passes[i];
    const std::int64_t depth = std::min(tiling.passes[i].stage, pass.k);
    a = std::max(a, operand_bytes(machine, pass, tiling.m, depth));
    b = std::max(b, operand_bytes(machine, pass, tiling.n, depth));
    (unit_of(machine, pass).pipe == PipeId::branch ? branch : tensor) = true;
  }
  const std::int64_t stages = stages_per_tile(plan, tiling);
  RingSlots slots;
  slots.l1_a = tiling.order == LoopOrder::a_resident ? std::max<std::int64_t>(stages, 2) : 2;
  slots.l1_b = tiling.order == LoopOrder::b_resident ? std::max<std::int64_t>(stages, 2) : 2;
  slots.l1_bytes = static_cast<double>(a.count()) * static_cast<double>(slots.l1_a) +
                   static_cast<double>(b.count()) * static_cast<double>(slots.l1_b);
  if (slots.l1_bytes > static_cast<double>(machine.core.buffers.l1.count())) slots.l1_a = slots.l1_b = 0;

  const Bytes tile = accumulator_bytes(plan, machine, tiling);
  const auto fitting = [&](Bytes buffer) { return std::min<std::int64_t>(4, buffer.count() / tile.count()); };
  slots.accumulators = tensor ? fitting(machine.core.buffers.l0c) : 0;
  slots.branch_accumulators = branch ? fitting(machine.core.branch.accumulator) : 0;
  if ((tensor && slots.accumulators == 0) || (branch && slots.branch_accumulators == 0))
    slots.accumulators = slots.branch_accumulators = 0;
  return slots;
}

}  // namespace oscsim
