// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/gemm_program.h"

#include <algorithm>

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

// A load's worth of a tile: depth [k, k + depth) of one pass.
struct Stage {
  std::size_t pass = 0;
  std::int64_t k = 0, depth = 0;
};

// A step of the matrix unit: depth [k, k + depth) inside a stage.
struct Step {
  std::int64_t k = 0, depth = 0;
  bool first_of_stage = false, last_of_stage = false;
  bool first_of_tile = false, last_of_tile = false;  // among the steps of the same unit
};

struct Tile {
  std::int64_t outer = 0, inner = 0;  // position in the core's loops
  bool first_inner = false, last_inner = false;
  std::int64_t row = 0, rows = 0, col = 0, cols = 0;
};

// What all streams of a program share; immutable.
struct Geometry {
  GemmPlan plan;
  MachineParams machine;
  Tiling tiling;
  RingSlots slots;
  std::vector<Stage> stages;  // of one tile, in the order of loading and feeding

  Geometry(const GemmPlan& p, const MachineParams& m, const Tiling& t)
      : plan(p), machine(m), tiling(t), slots(ring_slots(p, m, t)) {
    for (std::size_t pass = 0; pass < plan.passes.size(); ++pass)
      for (std::int64_t k = 0; k < plan.passes[pass].k; k += tiling.passes[pass].stage)
        stages.push_back({pass, k, std::min(tiling.passes[pass].stage, plan.passes[pass].k - k)});
    if (plan.passes.size() > 1 && unit(0).pipe != unit(1).pipe) interleave();
  }

  // Two units work beside each other on a tile: their stages are mixed evenly, so that the in-order feed starves
  // neither.
  void interleave() {
    const auto progress = [&](const Stage& stage) {
      return static_cast<double>(stage.k) / static_cast<double>(plan.passes[stage.pass].k);
    };
    std::ranges::stable_sort(stages, {}, progress);
  }

  PassUnit unit(std::size_t pass) const { return unit_of(machine, plan.passes[pass]); }
  bool a_stays() const { return tiling.order == LoopOrder::a_resident; }
  bool b_stays() const { return tiling.order == LoopOrder::b_resident; }
  bool m_outside() const { return tiling.order == LoopOrder::m_outer || a_stays(); }
  std::int64_t steps_of(std::size_t pass) const { return tiles_of(plan.passes[pass].k, tiling.passes[pass].step); }

  // Steps that one tile takes on a unit.
  std::int64_t steps_on(PipeId pipe) const {
    std::int64_t steps = 0;
    for (std::size_t pass = 0; pass < plan.passes.size(); ++pass)
      if (unit(pass).pipe == pipe) steps += steps_of(pass);
    return steps;
  }

  Region a_region(const Tile& tile, const Stage& stage, std::int64_t k, std::int64_t depth) const {
    return {plan.passes[stage.pass].branch ? TensorId::branch_a : TensorId::a, tile.row, tile.rows, k, depth};
  }
  Region b_region(const Tile& tile, const Stage& stage, std::int64_t k, std::int64_t depth) const {
    return {plan.passes[stage.pass].branch ? TensorId::branch_b : TensorId::b, tile.col, tile.cols, k, depth};
  }
  static Region output_region(const Tile& tile) { return {TensorId::output, tile.row, tile.rows, tile.col, tile.cols}; }

  Bytes bytes(const Stage& stage, std::int64_t rows, std::int64_t depth) const {
    return operand_bytes(machine, plan.passes[stage.pass], rows, depth);
  }
  // Tensors lie apart; inside a tensor, row-major.
  std::uint64_t address(const Region& region, std::size_t pass) const {
    const auto base = (static_cast<std::uint64_t>(region.tensor) + 1) << 44;
    const auto bits = static_cast<std::uint64_t>(plan.passes[pass].bits());
    const auto row_bytes = static_cast<std::uint64_t>(plan.passes[pass].k) * bits / 8;
    return base + static_cast<std::uint64_t>(region.row) * row_bytes + static_cast<std::uint64_t>(region.k) * bits / 8;
  }
};

// A core's share of the tiles, and the walk over its tiles and stages in program order.
class Walk {
 public:
  Walk(std::shared_ptr<const Geometry> geometry, std::int64_t core) : geometry_(std::move(geometry)) {
    const Geometry& g = *geometry_;
    const std::int64_t tiles_m = tiles_of(g.plan.m, g.tiling.m);
    const std::int64_t tiles_n = tiles_of(g.plan.n, g.tiling.n);
    const std::int64_t core_m = core / g.tiling.cores_n;
    const std::int64_t core_n = core % g.tiling.cores_n;
    first_m_ = tiles_m * core_m / g.tiling.cores_m;
    first_n_ = tiles_n * core_n / g.tiling.cores_n;
    const std::int64_t count_m = tiles_m * (core_m + 1) / g.tiling.cores_m - first_m_;
    const std::int64_t count_n = tiles_n * (core_n + 1) / g.tiling.cores_n - first_n_;
    outer_ = g.m_outside() ? count_m : count_n;
    inner_ = g.m_outside() ? count_n : count_m;
  }

  const Geometry& geometry() const { return *geometry_; }
  std::int64_t tiles() const { return outer_ * inner_; }

  Tile tile(std::int64_t index) const {
    const Geometry& g = *geometry_;
    Tile tile;
    tile.outer = index / inner_;
    tile.inner = index % inner_;
    tile.first_inner = tile.inner == 0;
    tile.last_inner = tile.inner == inner_ - 1;
    tile.row = (first_m_ + (g.m_outside() ? tile.outer : tile.inner)) * g.tiling.m;
    tile.col = (first_n_ + (g.m_outside() ? tile.inner : tile.outer)) * g.tiling.n;
    tile.rows = std::min(g.tiling.m, g.plan.m - tile.row);
    tile.cols = std::min(g.tiling.n, g.plan.n - tile.col);
    return tile;
  }

  // Slot of an operand's stage: a resident strip is loaded once for each turn of the outer loop.
  std::int64_t slot(std::int64_t tile_index, std::size_t stage, bool stays, std::int64_t slots) const {
    const std::int64_t strip = stays ? tile_index / inner_ : tile_index;
    return (strip * static_cast<std::int64_t>(geometry_->stages.size()) + static_cast<std::int64_t>(stage)) % slots;
  }

 private:
  std::shared_ptr<const Geometry> geometry_;
  std::int64_t first_m_ = 0, first_n_ = 0;
  std::int64_t outer_ = 0, inner_ = 0;
};

class LoadStream : public CommandStream {
 public:
  explicit LoadStream(Walk walk) : walk_(std::move(walk)) {}

  bool next(Command& command) override {
    const Geometry& g = walk_.geometry();
    while (tile_index_ < walk_.tiles()) {
      const Tile tile = walk_.tile(tile_index_);
      const Stage& stage = g.stages[stage_];
      const bool loads_a = !operand_is_b_ && (!g.a_stays() || tile.first_inner);
      const bool loads_b = operand_is_b_ && (!g.b_stays() || tile.first_inner);
      const std::int64_t index = tile_index_;
      const std::size_t stage_index = stage_;
      advance();
      if (loads_a) {
        emit(command, stage, g.a_region(tile, stage, stage.k, stage.depth), RingId::l1_a,
             walk_.slot(index, stage_index, g.a_stays(), g.slots.l1_a));
        return true;
      }
      if (loads_b) {
        emit(command, stage, g.b_region(tile, stage, stage.k, stage.depth), RingId::l1_b,
             walk_.slot(index, stage_index, g.b_stays(), g.slots.l1_b));
        return true;
      }
    }
    return false;
  }

 private:
  void advance() {
    operand_is_b_ = !operand_is_b_;
    if (operand_is_b_) return;
    if (++stage_ < walk_.geometry().stages.size()) return;
    stage_ = 0;
    ++tile_index_;
  }

  void emit(Command& command, const Stage& stage, const Region& region, RingId ring, std::int64_t slot) const {
    const Geometry& g = walk_.geometry();
    command.work = units::LoadWork{region, g.address(region, stage.pass), g.bytes(stage, region.rows, region.depth)};
    command.writes.push_back({ring, slot, region, std::nullopt, true, Publish::at_end});
  }

  Walk walk_;
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
  bool operand_is_b_ = false;
};

// Walks the steps of a core's tiles in program order; the feed pipe takes them all, a matrix unit takes its own.
class StepWalk {
 public:
  explicit StepWalk(Walk walk) : walk_(std::move(walk)) { enter_tile(); }

  bool at_end() const { return tile_index_ >= walk_.tiles(); }
  const Walk& walk() const { return walk_; }
  const Geometry& geometry() const { return walk_.geometry(); }
  const Tile& tile() const { return tile_; }
  std::int64_t tile_index() const { return tile_index_; }
  std::size_t stage_index() const { return stage_; }
  const Stage& stage() const { return geometry().stages[stage_]; }

  Step step() const {
    const Stage& current = stage();
    const std::int64_t size = geometry().tiling.passes[current.pass].step;
    Step step;
    step.k = current.k + offset_;
    step.depth = std::min(size, current.depth - offset_);
    step.first_of_stage = offset_ == 0;
    step.last_of_stage = offset_ + step.depth == current.depth;
    const PassUnit unit = geometry().unit(current.pass);
    const std::int64_t done = unit.pipe == PipeId::branch ? branch_steps_ : tensor_steps_;
    step.first_of_tile = done == 0;
    step.last_of_tile = done + 1 == geometry().steps_on(unit.pipe);
    return step;
  }

  // Slot of the operand pair: two for each unit, in turn.
  std::int64_t operand_slot() const {
    const PassUnit unit = geometry().unit(stage().pass);
    const std::int64_t done = unit.pipe == PipeId::branch ? branch_steps_ : tensor_steps_;
    return (tile_index_ * geometry().steps_on(unit.pipe) + done) % 2;
  }

  void advance() {
    const Step now = step();
    ++(geometry().unit(stage().pass).pipe == PipeId::branch ? branch_steps_ : tensor_steps_);
    offset_ += now.depth;
    if (!now.last_of_stage) return;
    offset_ = 0;
    if (++stage_ < geometry().stages.size()) return;
    stage_ = 0;
    ++tile_index_;
    enter_tile();
  }

 private:
  void enter_tile() {
    tensor_steps_ = branch_steps_ = 0;
    if (!at_end()) tile_ = walk_.tile(tile_index_);
  }

  Walk walk_;
  Tile tile_;
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
  std::int64_t offset_ = 0;
  std::int64_t tensor_steps_ = 0, branch_steps_ = 0;  // taken in this tile
};

class FeedStream : public CommandStream {
 public:
  explicit FeedStream(Walk walk) : at_(std::move(walk)) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const Geometry& g = at_.geometry();
    const Tile& tile = at_.tile();
    const Stage& stage = at_.stage();
    const Step step = at_.step();
    const Region a = g.a_region(tile, stage, step.k, step.depth);
    const Region b = g.b_region(tile, stage, step.k, step.depth);
    command.work = units::FeedWork{g.bytes(stage, a.rows, a.depth), g.bytes(stage, b.rows, b.depth)};
    const auto read = [&](RingId ring, const Region& region, bool stays, std::int64_t slots) {
      command.reads.push_back({ring, at_.walk().slot(at_.tile_index(), at_.stage_index(), stays, slots), region,
                               std::nullopt, step.first_of_stage && (!stays || tile.first_inner),
                               step.last_of_stage && (!stays || tile.last_inner)});
    };
    read(RingId::l1_a, a, g.a_stays(), g.slots.l1_a);
    read(RingId::l1_b, b, g.b_stays(), g.slots.l1_b);
    command.writes.push_back({g.unit(stage.pass).operands, at_.operand_slot(), a, b, true, Publish::at_end});
    at_.advance();
    return true;
  }

 private:
  StepWalk at_;
};

// The steps of one matrix unit.
class MatrixStream : public CommandStream {
 public:
  MatrixStream(Walk walk, PipeId pipe) : at_(std::move(walk)), pipe_(pipe) {}

  bool next(Command& command) override {
    const Geometry& g = at_.geometry();
    while (!at_.at_end() && g.unit(at_.stage().pass).pipe != pipe_) at_.advance();
    if (at_.at_end()) return false;
    const Tile& tile = at_.tile();
    const Stage& stage = at_.stage();
    const Step step = at_.step();
    const PassUnit unit = g.unit(stage.pass);
    const MatmulPass& pass = g.plan.passes[stage.pass];
    command.work = units::MatmulWork{pass.bits(), tile.rows, tile.cols, step.depth, pass.branch};
    command.reads.push_back({unit.operands, at_.operand_slot(), g.a_region(tile, stage, step.k, step.depth),
                             g.b_region(tile, stage, step.k, step.depth), true, true});
    const std::int64_t slots =
        unit.accumulators == RingId::branch_acc ? g.slots.branch_accumulators : g.slots.accumulators;
    const Publish end = g.machine.core.drain.follows ? Publish::at_start : Publish::at_end;
    command.writes.push_back({unit.accumulators, at_.tile_index() % slots, Geometry::output_region(tile), std::nullopt,
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
    const Geometry& g = walk_.geometry();
    const Tile tile = walk_.tile(tile_index_);
    const Region region = Geometry::output_region(tile);
    const auto element = static_cast<std::uint64_t>(g.machine.core.drain.output_element.count());
    units::DrainWork work;
    work.region = region;
    work.address = ((static_cast<std::uint64_t>(TensorId::output) + 1) << 44) +
                   (static_cast<std::uint64_t>(tile.row * g.plan.n + tile.col)) * element;
    work.bytes = g.machine.core.drain.output_element * (tile.rows * tile.cols);
    work.accumulators = g.plan.passes.size() > 1 && g.plan.join_place == JoinPlace::epilogue ? 2 : 1;
    const MatmulPass& main = g.plan.passes.front();
    work.first_step = units::matrix_time(g.machine.matrix(main.bits()), main.bits(), tile.rows, tile.cols,
                                         std::min(g.tiling.passes.front().step, main.k))
                          .cubes;
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
  const auto geometry = std::make_shared<const Geometry>(plan, machine, tiling);
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
    slots(RingId::l1_a) = geometry->slots.l1_a;
    slots(RingId::l1_b) = geometry->slots.l1_b;
    slots(RingId::l0c) = geometry->slots.accumulators;
    slots(RingId::branch_acc) = geometry->slots.branch_accumulators;
  }
  return program;
}

}  // namespace oscsim
