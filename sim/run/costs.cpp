// SPDX-License-Identifier: Apache-2.0
#include "sim/run/costs.h"

namespace oscsim {
namespace {

using cost::MacKind;
using numerics::BlockScale;
using numerics::ElementType;

cost::MatrixShape shape_of(const units::MatrixParams& unit) {
  const bool cube = unit.kind == units::MatrixKind::cube;
  cost::MatrixShape shape;
  shape.lanes = cube ? unit.cube.m0 * unit.cube.n0 : unit.systolic.rows * unit.systolic.columns;
  for (const int bits : {4, 8, 16}) shape.depth[cost::width_index(bits)] = unit.cube.k0(bits);
  return shape;
}

}  // namespace

cost::ChipSizes chip_sizes(const units::MachineParams& machine) {
  const units::CoreParams& core = machine.core;
  cost::ChipSizes chip;
  chip.is_idealised = machine.overlap == units::Overlap::perfect;
  chip.cores = machine.cores;
  chip.tensor = shape_of(core.tensor);
  const units::BufferParams& buffers = core.buffers;
  chip.buffers = {.l0a = buffers.l0a,
                  .l0b = buffers.l0b,
                  .l0c = buffers.l0c,
                  .l1 = buffers.l1,
                  .ub = buffers.ub,
                  .l0_scales = buffers.l0_scales};
  if (core.branch.placement == units::BranchPlacement::own) {
    chip.branch = shape_of(core.branch);
    chip.branch->depth = {0, 0, core.branch.cube.k0_16bit};
    chip.buffers.branch_l0 = core.branch.operand_buffer;
    chip.buffers.branch_l0c = core.branch.accumulator;
  }
  const units::GatherParams& gather = core.gather;
  if (gather.mode == units::GatherMode::on_chip || gather.mode == units::GatherMode::on_load)
    chip.gather = {gather.lanes, gather.banks, gather.table_entries};
  chip.vector_rate = core.vector.rate.count();
  chip.l2 = machine.l2.capacity;
  chip.memory = machine.hbm.kind;
  return chip;
}

cost::MacKind mac_kind(const numerics::FormatInfo& format) {
  switch (format.element) {
    case ElementType::e2m1:
    case ElementType::e1m2:
      if (format.block_scale == BlockScale::e8m0) return MacKind::mxfp4;
      return format.block_scale == BlockScale::hif4 ? MacKind::hif4 : MacKind::nvfp4;  // else: a float as the scale
    case ElementType::int4:
      return MacKind::int4;
    case ElementType::int8:
      return MacKind::int8;
    case ElementType::e4m3:
    case ElementType::e5m2:
      return MacKind::fp8;
    case ElementType::bf16:
      return MacKind::bf16;
    case ElementType::fp16:
      return MacKind::fp16;
  }
  ensure(false, "no multiplier for {}", format.name);
  return {};
}

MacKinds mac_kinds(std::span<const numerics::FormatId> formats) {
  MacKinds kinds{{{MacKind::int4}, {MacKind::int8}, {MacKind::bf16}}};
  for (const numerics::FormatId id : formats) {
    const numerics::FormatInfo& format = numerics::format(id);
    kinds[cost::width_index(format.element_bits)] = {mac_kind(format), format.block == 0};
  }
  return kinds;
}

MacKinds mac_kinds(const GemmPlan& plan) {
  std::vector<numerics::FormatId> formats;
  for (const MatmulPass& pass : plan.passes) formats.push_back(pass.format);
  return mac_kinds(formats);
}

cost::Actions actions_of(const SideResult& side, const MacKinds& kinds) {
  const units::Activity& did = side.activity;
  cost::Actions actions;
  const auto count = [&kinds](auto& macs, auto& dots, units::MacCounts mac_counts, units::DotCounts dot_counts) {
    for (const int bits : {4, 8, 16}) {
      const MacUse& use = kinds[cost::width_index(bits)];
      macs[static_cast<std::size_t>(use.kind)] += mac_counts[bits].count();
      if (!use.in_integers) dots[static_cast<std::size_t>(use.kind)] += dot_counts[bits];
    }
  };
  count(actions.tensor_macs, actions.tensor_dots, did.tensor, did.tensor_dots);
  count(actions.branch_macs, actions.branch_dots, did.branch, did.branch_dots);
  actions.l0 = did.l0;
  actions.l0c = did.l0c;
  actions.branch_l0 = did.branch_l0;
  actions.branch_l0c = did.branch_l0c;
  actions.l1 = did.l1;
  actions.ub = did.ub;
  actions.gathered = did.gathered;
  actions.vector_elements = did.vector_elements;
  const units::Traffic& traffic = side.traffic;
  actions.memory = traffic.hbm_read + traffic.hbm_write;
  actions.l2 = traffic.l2_read + traffic.l2_write + traffic.hbm_read;  // a miss is written into L2 first
  actions.time_us = side.time_us;
  return actions;
}

}  // namespace oscsim
