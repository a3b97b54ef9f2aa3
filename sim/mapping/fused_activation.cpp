// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/fused_activation.h"

#include <algorithm>

namespace oscsim {

using units::CastPart;
using units::Command;
using units::MachineParams;
using units::PipeId;
using units::Publish;
using units::Region;
using units::RingId;
using units::TensorId;

namespace {

ActivationPlan modelled(ActivationPlan plan, const MachineParams& machine) {
  if (!machine.model_gather) plan.gather_group = 0;
  return plan;
}

// For what does not depend on the table's channels.
ActivationPath path_without_table(const GemmPlan& plan, const MachineParams& machine) {
  const ActivationPlan activation = modelled(plan.activation, machine);
  ChannelTable table{activation.gather_group, {}};
  if (table.group > 0) table.channels.resize(static_cast<std::size_t>(tiles_of(plan.passes.front().k, table.group)));
  return ActivationPath(activation, machine, &table);
}

bool row_scaled(const ActivationPlan& plan) {
  return numerics::format(plan.format).outer_scale == numerics::OuterScale::row;
}

}  // namespace

bool fuses(const Tiling& tiling) {
  return tiling.quantise == QuantisePlace::fused;
}

std::int64_t fused_rows(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling, Bytes& need) {
  const ActivationPath path = path_without_table(plan, machine);
  const std::int64_t depth = std::min(tiling.passes.front().stage, plan.passes.front().k);
  const Bytes row =
      (Bytes(depth * kInputBytes) + path.quantised_bytes(1, depth) + path.gathered_bytes(1, depth)) * kActivationSlots;
  // Gathered channels of the tile's rows, all of K, until they go to L1; strided reads fetch them when they do.
  const Bytes strip = path.strided() ? Bytes(0) : path.gathered_bytes(tiling.m, plan.passes.front().k);
  need = strip + row;
  const Bytes buffer = machine.core.buffers.ub;
  return need <= buffer ? std::min(tiling.m, (buffer - strip).count() / row.count()) : 0;
}

FusedCost fused_cost(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling, std::int64_t rows) {
  const ActivationPath path = path_without_table(plan, machine);
  const units::CoreParams& core = machine.core;
  const std::int64_t k = plan.passes.front().k;
  const std::int64_t stage = std::min(tiling.passes.front().stage, k);
  Bytes need{0};
  const std::int64_t at_once = std::max<std::int64_t>(1, fused_rows(plan, machine, tiling, need));
  const auto tiles = static_cast<double>(tiles_of(rows, at_once) * tiles_of(k, stage));
  const Bytes x(rows * k * kInputBytes);
  const auto bytes = x.real();
  const auto passes = [&](const Chunk& chunk) { return path.vector(rows, chunk).passes; };
  const auto vector = [&](std::int64_t count_of_passes) {
    return tiles * core.vector.setup.real() + bytes * static_cast<double>(count_of_passes) / core.vector.rate.count();
  };

  FusedCost cost;
  cost.bytes = bytes;
  cost.load = tiles * core.load.setup.real() +
              (units::load_time(core.load, x, rows * tiles_of(k, stage), tiling.cores_n) - core.load.setup).real();
  const bool twice = row_scaled(plan.activation);
  cost.vector = vector(passes(path.chunk(0, k, twice ? CastPart::rest : CastPart::all)));
  if (twice) {
    cost.sweep_load = cost.load;
    cost.sweep_bytes = bytes;
    cost.sweep_vector = vector(passes(path.chunk(0, k, CastPart::maximum)));
  }
  if (!path.gathers()) return cost;
  const std::int64_t groups = tiles_of(k, path.group());
  cost.vector +=
      core.vector.setup.real() + path.gathered_bytes(rows, k).real() / core.vector.rate.count();  // the copy to L1
  if (path.strided()) {
    cost.load +=
        (tiles - 1) * core.load.setup.real() + units::strided_time(core.gather, core.load, rows * groups).real();
    cost.bytes += units::strided_bytes(core.gather, rows * groups).real();
    return cost;
  }
  // Tile by tile as FusedActivation cuts them: what is left of the rows, and of the channels, is a tile of its own.
  Cycles gather(0);
  for (const auto& [depth, stages] : {std::pair(stage, k / stage), std::pair(k % stage, std::int64_t{1})}) {
    if (depth == 0) continue;
    const std::int64_t count = tiles_of(depth, path.group());
    const Cycles row_time = units::gather_row_time(core.gather, count);
    for (const auto& [height, heights] :
         {std::pair(at_once, rows / at_once), std::pair(rows % at_once, std::int64_t{1})})
      if (height > 0) gather += units::gather_time(core.gather, row_time, height, count) * (stages * heights);
  }
  if (path.engine())
    cost.gather = gather.real();
  else if (core.gather.mode == units::GatherMode::on_load)
    cost.load = std::max(cost.load, gather.real());
  else
    cost.vector += gather.real();
  return cost;
}

FusedActivation::FusedActivation(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling,
                                 const ChannelTable* table)
    : path_(modelled(plan.activation, machine), machine, table),
      k_(plan.passes.front().k),
      stage_(tiling.passes.front().stage),
      sharers_(tiling.cores_n),
      sweeps_rows_(row_scaled(plan.activation)) {
  Bytes need{0};
  rows_ = fused_rows(plan, machine, tiling, need);
  ensure(rows_ > 0, "a fused cast that does not fit the unified buffer: {} bytes", need.count());
  if (numerics::format(plan.activation.format).outer_scale == numerics::OuterScale::tensor &&
      machine.core.vector.tensor_maximum == units::TensorMaximum::sweep)
    input_error(
        "mapping.quantise is fused, but {} has one scale for the tensor and core.vector.tensor_maximum is sweep: the "
        "whole tensor is swept before its first tile; allowed: mapping.quantise prologue, or tensor_maximum producer",
        name_of(plan.activation.format));
}

bool FusedActivation::uses(PipeId pipe) const {
  return pipe == PipeId::load || pipe == PipeId::vector || (pipe == PipeId::gather && path_.engine());
}

std::uint64_t FusedActivation::address(const Region& x) const {
  return ((static_cast<std::uint64_t>(TensorId::x) + 1) << 44) +
         static_cast<std::uint64_t>((x.row * k_ + x.k) * kInputBytes);
}

void FusedActivation::emit(PipeId pipe, const FusedStage& stage, std::deque<Command>& commands) {
  const Region& a = stage.a;
  if (a.tensor == TensorId::branch_a) return emit_branch(pipe, stage, commands);
  if (stage.opens_rows && sweeps_rows_)
    for (std::int64_t k = 0; k < k_; k += stage_)
      emit_rows(pipe, stage, path_.chunk(k, std::min(stage_, k_ - k), CastPart::maximum), commands);
  emit_rows(pipe, stage, path_.chunk(a.k, a.depth, sweeps_rows_ ? CastPart::rest : CastPart::all), commands);
}

// The tile's rows of one chunk of channels, as many at a time as fit.
void FusedActivation::emit_rows(PipeId pipe, const FusedStage& stage, const Chunk& chunk,
                                std::deque<Command>& commands) {
  const std::int64_t end = stage.a.row + stage.a.rows;
  for (std::int64_t row = stage.a.row; row < end; row += rows_, ++tiles_) {
    const Region x{TensorId::x, row, std::min(rows_, end - row), chunk.k, chunk.depth};
    const std::int64_t slot = tiles_ % kActivationSlots;
    Command& command = commands.emplace_back();
    if (pipe == PipeId::load) {
      units::LoadWork load = path_.load(x, address(x), chunk, k_);
      load.sharers = sharers_;
      command.work = load;
      command.writes.push_back({RingId::ub_in, slot, x, std::nullopt, true, Publish::at_end});
    } else if (pipe == PipeId::gather) {
      command.work = path_.gather(x.rows, chunk);
      command.reads.push_back({RingId::ub_in, slot, x, std::nullopt, true, false});
      command.writes.push_back({RingId::ub_gathered, slot, x, std::nullopt, true, Publish::at_end});
    } else {
      command.work = path_.vector(x.rows, chunk);
      command.reads.push_back({RingId::ub_in, slot, x, std::nullopt, !path_.engine(), true});
      if (path_.engine()) command.reads.push_back({RingId::ub_gathered, slot, x, std::nullopt, true, true});
      if (chunk.part != CastPart::maximum)
        command.writes.push_back({RingId::l1_a, stage.slot, stage.a, std::nullopt, row == stage.a.row,
                                  row + rows_ >= end ? Publish::at_end : Publish::no});
    }
  }
}

// A stage of gathered channels: in the unified buffer, or fetched there out of the tiles of X that hold them.
void FusedActivation::emit_branch(PipeId pipe, const FusedStage& stage, std::deque<Command>& commands) {
  const Region& a = stage.a;
  const auto copy = [&](std::int64_t bytes, bool first, bool last) -> Command& {
    Command& command = commands.emplace_back();
    command.work = units::VectorWork{Bytes(bytes), path_.gathers() ? 1 : 0};  // 0: machine.model_gather is false
    command.writes.push_back({RingId::l1_a, stage.slot, a, std::nullopt, first, last ? Publish::at_end : Publish::no});
    return command;
  };
  if (!path_.strided()) {
    if (pipe == PipeId::vector) copy(a.rows * a.depth * kInputBytes, true, true);
    return;
  }
  const std::int64_t from = a.k * path_.group(), to = std::min(k_, (a.k + a.depth) * path_.group());
  for (std::int64_t k = from / stage_ * stage_; k < to; k += stage_) {
    const std::int64_t first = std::max(k, from);
    const Chunk part = path_.chunk(first, std::min(k + stage_, to) - first, CastPart::all);
    for (std::int64_t row = a.row; row < a.row + a.rows; row += rows_, ++fetched_) {
      const Region x{TensorId::x, row, std::min(rows_, a.row + a.rows - row), k, std::min(stage_, k_ - k)};
      const std::int64_t slot = fetched_ % kActivationSlots;
      if (pipe == PipeId::load) {
        Command& command = commands.emplace_back();
        command.work = path_.strided_load(x, address(x), part.outliers);
        command.writes.push_back({RingId::ub_gathered, slot, x, std::nullopt, true, Publish::at_end});
      } else {
        const bool last = k + stage_ >= to && row + rows_ >= a.row + a.rows;
        copy(x.rows * part.groups * kInputBytes, k <= from && row == a.row, last)
            .reads.push_back({RingId::ub_gathered, slot, x, std::nullopt, true, true});
      }
    }
  }
}

}  // namespace oscsim
