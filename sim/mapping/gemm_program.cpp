// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/gemm_program.h"

#include <algorithm>
#include <utility>

#include "sim/mapping/fused_activation.h"
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

FusedStage fused_stage(const GemmGeometry& g, const Tile& tile, std::size_t index) {
  const Stage& stage = g.stages[index];
  return {g.region(Operand::a, tile, stage.pass, stage.k, stage.depth), g.slot(Operand::a, tile, index),
          tile.new_rows && index == 0};
}

// The next command of the queue, if there is one.
bool pop(std::deque<Command>& queue, Command& command) {
  if (queue.empty()) return false;
  command = std::move(queue.front());
  queue.pop_front();
  return true;
}

// The gather or the vector pipe of a GEMM that casts its activation.
class FusedStream : public CommandStream {
 public:
  FusedStream(Walk walk, FusedActivation fused, PipeId pipe)
      : walk_(std::move(walk)), fused_(std::move(fused)), pipe_(pipe) {}

  bool next(Command& command) override {
    const GemmGeometry& g = walk_.geometry();
    while (!pop(queue_, command)) {
      if (tile_index_ >= walk_.tiles()) return false;
      const Tile tile = walk_.tile(tile_index_);
      if (!g.a_stays() || tile.first_inner) fused_.emit(pipe_, fused_stage(g, tile, stage_), queue_);
      if (++stage_ < g.stages.size()) continue;
      stage_ = 0;
      ++tile_index_;
    }
    return true;
  }

 private:
  Walk walk_;
  FusedActivation fused_;
  PipeId pipe_;
  std::deque<Command> queue_;  // of one stage
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
};

class GemmLoad : public CommandStream {
 public:
  GemmLoad(Walk walk, std::optional<FusedActivation> fused) : walk_(std::move(walk)), fused_(std::move(fused)) {
    if (walk_.tiles() > 0) tile_ = walk_.tile(0);
  }

  bool next(Command& command) override {
    const GemmGeometry& g = walk_.geometry();
    while (!pop(queue_, command)) {
      if (tile_index_ >= walk_.tiles()) return false;
      const Operand operand = kOperands[operand_];
      const Stage& stage = g.stages[stage_];
      const bool scales = GemmGeometry::is_scales(operand);
      const bool loads = (!scales || stage.first_of_group) && (!g.stays(operand) || tile_.first_inner);
      if (loads && fused_ && !GemmGeometry::is_b(operand))
        emit_fused(operand);
      else if (loads)
        emit(queue_.emplace_back(), operand, stage);
      advance();
    }
    return true;
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
    const bool free = region.tensor == TensorId::branch_b && !g.machine.count_branch_weights;
    work.bytes = free ? Bytes(0) : g.bytes(operand, stage.pass, region.rows, region.depth);
    const Bytes row_pitch = g.bytes(operand, stage.pass, 1, g.plan.passes[stage.pass].k);
    work.layout = units::rows_in(work.bytes, region.rows, row_pitch);
    work.issue = issue();
    work.sharers = GemmGeometry::is_b(operand) ? g.tiling.cores_m : g.tiling.cores_n;
    command.work = work;
    command.writes.push_back(
        {GemmGeometry::ring(operand), g.slot(operand, tile_, stage_), region, std::nullopt, true, Publish::at_end});
  }

  // Block scales of A are cast with its codes.
  void emit_fused(Operand operand) {
    if (operand != Operand::a) return;
    fused_->emit(PipeId::load, fused_stage(walk_.geometry(), tile_, stage_), queue_);
    if (!queue_.empty()) std::get<units::LoadWork>(queue_.front().work).issue = issue();
  }

  // The scalar unit's time before the first load of a tile.
  Cycles issue() {
    const GemmGeometry& g = walk_.geometry();
    const bool first = std::exchange(issued_tile_, tile_index_) != tile_index_;
    return first ? g.machine.core.issue.per_tile(g.tiling.constants_folded) : Cycles(0);
  }

  Walk walk_;
  std::optional<FusedActivation> fused_;
  std::deque<Command> queue_;  // of one operand's stage
  Tile tile_;
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
  std::size_t operand_ = 0;
  std::int64_t issued_tile_ = -1;  // of the last load
};

class GemmFeed : public CommandStream {
 public:
  explicit GemmFeed(Walk walk) : at_(std::move(walk)) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const GemmGeometry& g = at_.geometry();
    const std::size_t pass = at_.stage().pass;
    const Step step = at_.step();
    for (const Operand operand : kOperands) {
      if (operand == Operand::a_scales && fuses(g.tiling)) continue;  // with the codes
      if (!GemmGeometry::is_scales(operand) || at_.stage().group >= 0) read(command, operand, step);
    }
    const Region a = g.region(Operand::a, at_.tile(), pass, step.k, step.depth);
    const Region b = g.region(Operand::b, at_.tile(), pass, step.k, step.depth);
    command.work = units::FeedWork{operand_bytes(g.machine, g.plan.passes[pass], a.rows, a.depth),
                                   operand_bytes(g.machine, g.plan.passes[pass], b.rows, b.depth),
                                   g.machine.core.issue.per_step(g.tiling.constants_folded), g.free_startup(pass)};
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
class GemmMatrix : public CommandStream {
 public:
  GemmMatrix(Walk walk, PipeId pipe) : at_(std::move(walk)), pipe_(pipe) {}

  bool next(Command& command) override {
    const GemmGeometry& g = at_.geometry();
    while (!at_.at_end() && g.unit(at_.stage().pass).pipe != pipe_) at_.advance();
    if (at_.at_end()) return false;
    const Tile& tile = at_.tile();
    const Stage& stage = at_.stage();
    const Step step = at_.step();
    const PassUnit unit = g.unit(stage.pass);
    const MatmulPass& pass = g.plan.passes[stage.pass];
    command.work =
        units::MatmulWork{pass.bits(), tile.rows, tile.cols, step.depth, pass.branch, g.free_startup(stage.pass)};
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

class GemmDrain : public CommandStream {
 public:
  explicit GemmDrain(Walk walk) : walk_(std::move(walk)) {}

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
      work.first_step = units::matrix_time(g.machine.matrix(main.bits(), main.branch), main.bits(), tile.rows,
                                           tile.cols, std::min(g.tiling.passes.front().step, main.k))
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

units::Program gemm_program(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling,
                            const ChannelTable* table) {
  const auto geometry = std::make_shared<const GemmGeometry>(plan, machine, tiling);
  ensure(geometry->slots.l1_a > 0 && geometry->slots.accumulators + geometry->slots.branch_accumulators > 0,
         "a tiling that does not fit its machine: m {} n {}", tiling.m, tiling.n);
  std::optional<FusedActivation> fused;
  if (fuses(tiling)) fused.emplace(plan, machine, tiling, table);
  units::Program program;
  program.primary = geometry->unit(0).pipe;
  for (std::int64_t core = 0; core < tiling.cores_m * tiling.cores_n; ++core) {
    const Walk walk(geometry, core);
    units::CoreProgram& part = program.cores.emplace_back();
    const auto stream = [&](PipeId pipe) -> auto& {
      return part.streams[static_cast<std::size_t>(pipe)];
    };
    const auto slots = [&](RingId ring) -> std::int64_t& { return part.slots[static_cast<std::size_t>(ring)]; };
    stream(PipeId::load) = std::make_unique<GemmLoad>(walk, fused);
    for (const PipeId pipe : {PipeId::gather, PipeId::vector})
      if (fused && fused->uses(pipe)) stream(pipe) = std::make_unique<FusedStream>(walk, *fused, pipe);
    if (fused) slots(RingId::ub_in) = slots(RingId::ub_gathered) = kActivationSlots;
    stream(PipeId::feed) = std::make_unique<GemmFeed>(walk);
    stream(PipeId::drain) = std::make_unique<GemmDrain>(walk);
    for (std::size_t pass = 0; pass < plan.passes.size(); ++pass) {
      const PassUnit unit = geometry->unit(pass);
      if (!stream(unit.pipe)) stream(unit.pipe) = std::make_unique<GemmMatrix>(walk, unit.pipe);
      slots(unit.operands) = 2;
    }
    for (const Operand operand : kOperands) slots(GemmGeometry::ring(operand)) = geometry->slots_of(operand);
    slots(RingId::l0c) = geometry->slots.accumulators;
    slots(RingId::branch_acc) = geometry->slots.branch_accumulators;
  }
  return program;
}

}  // namespace oscsim
