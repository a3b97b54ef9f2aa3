// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/gemm_program.h"

#include <algorithm>
#include <utility>

#include "sim/mapping/gemm_walk.h"

namespace oscsim {
namespace {

using units::Command;
using units::CommandStream;
using units::MachineParams;
using units::PipeId;
using units::Publish;
using units::Region;
using units::RingId;
using units::TensorId;

class LoadStream : public CommandStream {
 public:
  explicit LoadStream(Walk walk) : walk_(std::move(walk)) {
    if (walk_.tiles() > 0) tile_ = walk_.tile(0);
  }

  bool next(Command& command) override {
    const GemmGeometry& g = walk_.geometry();
    while (tile_index_ < walk_.tiles()) {
      const Operand operand = kOperands[operand_];
      const Stage& stage = g.stages[stage_];
      const bool scales = GemmGeometry::is_scales(operand);
      const bool loads = (!scales || stage.first_of_group) && (!g.stays(operand) || tile_.first_inner);
      if (loads) emit(command, operand, stage);
      advance();
      if (loads) return true;
    }
    return false;
  }

 private:
  void advance() {
    if (++operand_ < kOperands.size()) return;
    operand_ = 0;
    if (++stage_ < walk_.geometry().stages.size()) return;
    stage_ = 0;
    if (++tile_index_ < walk_.tiles()) tile_ = walk_.tile(tile_index_);
  }

  void emit(Command& command, Operand operand, const Stage& stage) {
    const GemmGeometry& g = walk_.geometry();
    const bool scales = GemmGeometry::is_scales(operand);
    const Region region = g.region(operand, tile_, stage.pass, scales ? stage.group_k : stage.k,
                                   scales ? stage.group_depth : stage.depth);
    units::LoadWork work;
    work.region = region;
    work.address = g.address(operand, region, stage.pass);
    work.bytes = g.bytes(operand, stage.pass, region.rows, region.depth);
    const Bytes row_pitch = g.bytes(operand, stage.pass, 1, g.plan.passes[stage.pass].k);
    work.layout = units::rows_in(work.bytes, region.rows, row_pitch);
    if (std::exchange(issued_tile_, tile_index_) != tile_index_)
      work.issue = g.machine.core.issue.per_tile(g.tiling.constants_folded);
    work.sharers = GemmGeometry::is_b(operand) ? g.tiling.cores_m : g.tiling.cores_n;
    command.work = work;
    command.writes.push_back(
        {GemmGeometry::ring(operand), g.slot(operand, tile_, stage_), region, std::nullopt, true, Publish::at_end});
  }

  Walk walk_;
  Tile tile_;
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
  std::size_t operand_ = 0;
  std::int64_t issued_tile_ = -1;  // of the last load
};

class FeedStream : public CommandStream {
 public:
  explicit FeedStream(Walk walk) : at_(std::move(walk)) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const GemmGeometry& g = at_.geometry();
    const std::size_t pass = at_.stage().pass;
    const Step step = at_.step();
    for (const Operand operand : kOperands)
      if (!GemmGeometry::is_scales(operand) || at_.stage().group >= 0) read(command, operand, step);
    const Region a = g.region(Operand::a, at_.tile(), pass, step.k, step.depth);
    const Region b = g.region(Operand::b, at_.tile(), pass, step.k, step.depth);
    command.work = units::FeedWork{operand_bytes(g.machine, g.plan.passes[pass], a.rows, a.depth),
                                   operand_bytes(g.machine, g.plan.passes[pass], b.rows, b.depth),
                                   g.machine.core.issue.per_step(g.tiling.constants_folded)};
    command.writes.push_back({g.unit(pass).operands, at_.operand_slot(), a, b, true, Publish::at_end});
    at_.advance();
    return true;
  }

 private:
  void read(Command& command, Operand operand, const Step& step) const {
    const GemmGeometry& g = at_.geometry();
    const Tile& tile = at_.tile();
    const Stage& stage = at_.stage();
    const bool codes = !GemmGeometry::is_scales(operand);
    units::Read read;
    read.ring = GemmGeometry::ring(operand);
    read.slot = g.slot(operand, tile, at_.stage_index());
    read.region = g.region(operand, tile, stage.pass, step.k, step.depth);
    read.take = step.first_of_stage && (codes || stage.first_of_group) && (!g.stays(operand) || tile.first_inner);
    read.give = step.last_of_stage && (codes || stage.last_of_group) && (!g.stays(operand) || tile.last_inner);
    command.reads.push_back(read);
  }

  StepWalk at_;
};

// The steps of one matrix unit.
class MatrixStream : public CommandStream {
 public:
  MatrixStream(Walk walk, PipeId pipe) : at_(std::move(walk)), pipe_(pipe) {}

  bool next(Command& command) override {
    const GemmGeometry& g = at_.geometry();
    while (!at_.at_end() && g.unit(at_.stage().pass).pipe != pipe_) at_.advance();
    if (at_.at_end()) return false;
    const Tile& tile = at_.tile();
    const Stage& stage = at_.stage();
    const Step step = at_.step();
    const PassUnit unit = g.unit(stage.pass);
    const MatmulPass& pass = g.plan.passes[stage.pass];
    command.work = units::MatmulWork{pass.bits(), tile.rows, tile.cols, step.depth, pass.branch};
    command.reads.push_back({unit.operands, at_.operand_slot(),
                             g.region(Operand::a, tile, stage.pass, step.k, step.depth),
                             g.region(Operand::b, tile, stage.pass, step.k, step.depth), true, true});
    const std::int64_t slots =
        unit.accumulators == RingId::branch_acc ? g.slots.branch_accumulators : g.slots.accumulators;
    const Publish end = g.tiling.drain_follows ? Publish::at_start : Publish::at_end;
    command.writes.push_back({unit.accumulators, tile.index % slots, GemmGeometry::output_region(tile), std::nullopt,
                              step.first_of_tile, step.last_of_tile ? end : Publish::no});
    at_.advance();
    return true;
  }

 private:
  StepWalk at_;
  PipeId pipe_;
};

class DrainStream : public CommandStream {
 public:
  explicit DrainStream(Walk walk) : walk_(std::move(walk)) {}

  bool next(Command& command) override {
    if (tile_index_ >= walk_.tiles()) return false;
    const GemmGeometry& g = walk_.geometry();
    const Tile tile = walk_.tile(tile_index_);
    const Region region = GemmGeometry::output_region(tile);
    const auto element = static_cast<std::uint64_t>(g.machine.core.drain.output_element.count());
    units::DrainWork work;
    work.region = region;
    work.address = ((static_cast<std::uint64_t>(TensorId::output) + 1) << 44) +
                   (static_cast<std::uint64_t>(tile.row * g.plan.n + tile.col)) * element;
    work.bytes = g.machine.core.drain.output_element * (tile.rows * tile.cols);
    work.layout = units::rows_in(work.bytes, tile.rows, g.machine.core.drain.output_element * g.plan.n);
    work.accumulators = g.plan.passes.size() > 1 && g.plan.join_place == JoinPlace::epilogue ? 2 : 1;
    const MatmulPass& main = g.plan.passes.front();
    if (g.tiling.drain_follows)
      work.first_step = units::matrix_time(g.machine.matrix(main.bits()), main.bits(), tile.rows, tile.cols,
                                           std::min(g.tiling.passes.front().step, main.k))
                            .work;
    work.output = true;
    command.work = work;
    if (g.slots.accumulators > 0) read(command, RingId::l0c, g.slots.accumulators, region);
    if (g.slots.branch_accumulators > 0) read(command, RingId::branch_acc, g.slots.branch_accumulators, region);
    ++tile_index_;
    return true;
  }

 private:
  void read(Command& command, RingId ring, std::int64_t slots, const Region& region) const {
    command.reads.push_back({ring, tile_index_ % slots, region, std::nullopt, true, true});
  }

  Walk walk_;
  std::int64_t tile_index_ = 0;
};

}  // namespace

units::Program gemm_program(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling) {
  const auto geometry = std::make_shared<const GemmGeometry>(plan, machine, tiling);
  ensure(geometry->slots.l1_a > 0 && geometry->slots.accumulators + geometry->slots.branch_accumulators > 0,
         "a tiling that does not fit its machine: m {} n {}", tiling.m, tiling.n);
  units::Program program;
  program.primary = geometry->unit(0).pipe;
  for (std::int64_t core = 0; core < tiling.cores_m * tiling.cores_n; ++core) {
    const Walk walk(geometry, core);
    units::CoreProgram& part = program.cores.emplace_back();
    const auto stream = [&](PipeId pipe) -> auto& {
      return part.streams[static_cast<std::size_t>(pipe)];
    };
    const auto slots = [&](RingId ring) -> std::int64_t& { return part.slots[static_cast<std::size_t>(ring)]; };
    stream(PipeId::load) = std::make_unique<LoadStream>(walk);
    stream(PipeId::feed) = std::make_unique<FeedStream>(walk);
    stream(PipeId::drain) = std::make_unique<DrainStream>(walk);
    for (std::size_t pass = 0; pass < plan.passes.size(); ++pass) {
      const PassUnit unit = geometry->unit(pass);
      if (!stream(unit.pipe)) stream(unit.pipe) = std::make_unique<MatrixStream>(walk, unit.pipe);
      slots(unit.operands) = 2;
    }
    for (const Operand operand : kOperands) slots(GemmGeometry::ring(operand)) = geometry->slots_of(operand);
    slots(RingId::l0c) = geometry->slots.accumulators;
    slots(RingId::branch_acc) = geometry->slots.branch_accumulators;
  }
  return program;
}

}  // namespace oscsim
