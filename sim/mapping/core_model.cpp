// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/core_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "sim/mapping/fused_activation.h"
#include "sim/mapping/shared_memory.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeId;

// After so many steps the rest is taken to go on at the pace of the second half.
constexpr std::int64_t kStepsWalked = 1 << 14;

struct LoadCost {
  bool there = false;  // the stage has such a load
  double port = 0, bytes = 0;
  double vector = 0, gather = 0;            // of a fused cast
  double sweep_load = 0, sweep_vector = 0;  // before the first stage of new rows
  Request request;
};

struct StepCost {
  double feed = 0, issue = 0;
  double fed_bytes = 0;
  double work = 0, occupancy = 0, operands = 0, latency = 0;
};

// What the stages of one shape of tile cost; a shape is a full tile or one cut by an edge.
struct StageCost {
  std::array<LoadCost, kOperands.size()> loads;
  StepCost step, last;  // `last`: the stage's last step, which may be shorter
  std::int64_t steps = 0;
};

struct TileCosts {
  std::int64_t rows = 0, cols = 0;
  double groups_m = 0, groups_n = 0;
  std::vector<StageCost> stages;
  double drain = 0, first_step = 0;
  Request write;
};

class CoreModel {
 public:
  CoreModel(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling)
      : geometry_(std::make_shared<const GemmGeometry>(plan, machine, tiling)),
        g_(*geometry_),
        walk_(geometry_, busiest_core()),
        memory_(machine) {
    tensor_.steps_per_tile = g_.steps_on(PipeId::tensor);
    branch_.steps_per_tile = g_.steps_on(PipeId::branch);
    l1_port_ = machine.core.feed.shared_port.count();
    for (const Operand operand : kOperands)
      freed_[index_of(operand)].resize(static_cast<std::size_t>(std::max<std::int64_t>(1, g_.slots_of(operand)))),
          ready_[index_of(operand)] = freed_[index_of(operand)];
    set_misses();
  }

  double run(double limit);

 private:
  struct UnitState {
    double free = 0, done = 0;
    std::array<double, 2> operands_free{};
    std::array<double, 4> accumulator_free{};
    std::int64_t steps = 0, steps_per_tile = 0;
    double tile_start = 0;  // of the last step of a tile
    bool used = false;
  };

  static std::size_t index_of(Operand operand) { return static_cast<std::size_t>(operand); }
  std::int64_t busiest_core() const;
  void set_misses();
  void set_groups(const Tile& tile);
  const TileCosts& costs_of(const Tile& tile);
  StageCost stage_cost(const Stage& stage, const Tile& tile) const;
  LoadCost load_cost(Operand operand, const Stage& stage, const Tile& tile) const;
  void fuse(LoadCost& cost, const Tile& tile) const;
  StepCost step_cost(std::size_t pass, const Tile& tile, std::int64_t depth) const;
  Request request_of(Bytes bytes, units::Layout layout, double cores, double distinct) const;
  bool misses(Operand operand, const Tile& tile) const;
  void load(Operand operand, const StageCost& cost, std::size_t stage, const Tile& tile);
  void feed(const StageCost& cost, std::size_t stage, const Tile& tile);
  void multiply(const StepCost& cost, bool branch, double fed, const Tile& tile, bool first, bool last);
  void drain(const TileCosts& costs, const Tile& tile);

  std::shared_ptr<const GemmGeometry> geometry_;
  const GemmGeometry& g_;
  Walk walk_;
  SharedMemory memory_;
  double groups_m_ = 1, groups_n_ = 1;  // rows and columns of cores that have such a tile too; parts where one has less
  double l1_port_ = 0;
  L2Misses missed_;
  std::vector<TileCosts> costs_;
  std::array<std::vector<double>, kOperands.size()> freed_, ready_;
  double load_free_ = 0, load_done_ = 0, vector_free_ = 0, gather_free_ = 0;
  double feed_free_ = 0, stage_fed_ = 0;
  double stage_bytes_ = 0, write_rate_ = 0;  // into L1 while feeds go on
  UnitState tensor_, branch_;
  double drain_free_ = 0;
  std::int64_t issued_tile_ = -1;  // of the last load
  double lag_ = 0;                 // of the last core behind this one
};

std::int64_t CoreModel::busiest_core() const {
  const Tiling& t = g_.tiling;
  const auto busiest = [&](std::int64_t whole, std::int64_t tile, std::int64_t cores, std::int64_t pinned) {
    std::int64_t best = 0, most = -1;
    for (std::int64_t core = 0; core < cores; ++core)
      if (const std::int64_t share = Walk::share({0, whole}, tile, core, cores, pinned).size(); share > most) {
        best = core;
        most = share;
      }
    return best;
  };
  const std::int64_t part = tiles_of(tiles_of(g_.plan.m, t.m), t.parts_m) * t.m;
  return busiest(std::min(part, g_.plan.m), t.m, t.cores_m, t.core_m) * t.cores_n +
         busiest(g_.plan.n, t.n, t.cores_n, t.core_n);
}

void CoreModel::set_misses() {
  double a = 0, b = 0;  // of one row, of one column
  for (const MatmulPass& pass : g_.plan.passes) {
    a += operand_bytes(g_.machine, pass, 1, pass.k).real();
    b += operand_bytes(g_.machine, pass, 1, pass.k).real();
  }
  if (fuses(g_.tiling)) a = static_cast<double>(g_.plan.passes.front().k) * kInputBytes;
  missed_ = l2_misses(g_.machine, g_.plan, g_.tiling, a, b);
}

Request CoreModel::request_of(Bytes bytes, units::Layout layout, double cores, double distinct) const {
  const units::HbmShare share = units::hbm_share(g_.machine.hbm, {0, bytes, layout});
  const auto size = bytes.real();
  Request request;
  request.l2 = size / per_cycle(g_.machine.l2.bandwidth, g_.machine.clock).count();
  request.l2_all = request.l2 * cores;
  request.hbm = share.bytes / per_cycle(g_.machine.hbm.bandwidth, g_.machine.clock).count();
  request.hbm_end = request.hbm / share.channels;
  request.hbm_all = request.hbm * distinct;
  request.bytes_all = size * distinct;
  return request;
}

void CoreModel::fuse(LoadCost& cost, const Tile& tile) const {
  const FusedCost fused = fused_cost(g_.plan, g_.machine, g_.tiling, tile.rows);
  const auto stages = static_cast<double>(stages_per_tile(g_.plan, g_.tiling));
  cost.port = fused.load / stages;
  cost.vector = fused.vector / stages;
  cost.gather = fused.gather / stages;
  cost.sweep_load = fused.sweep_load;
  cost.sweep_vector = fused.sweep_vector;
  cost.request =
      request_of(Bytes(static_cast<std::int64_t>(fused.bytes / stages)), {}, groups_m_ * groups_n_, groups_m_);
}

LoadCost CoreModel::load_cost(Operand operand, const Stage& stage, const Tile& tile) const {
  const bool scales = GemmGeometry::is_scales(operand), of_b = GemmGeometry::is_b(operand);
  LoadCost cost;
  if (scales && !stage.first_of_group) return cost;
  if (fuses(g_.tiling) && !of_b) {
    cost.there = operand == Operand::a;
    if (cost.there) fuse(cost, tile);
    return cost;
  }
  cost.there = true;
  const MatmulPass& pass = g_.plan.passes[stage.pass];
  if (of_b && pass.branch && !g_.machine.count_branch_weights) return cost;
  const std::int64_t rows = of_b ? tile.cols : tile.rows;
  const Bytes bytes = g_.bytes(operand, stage.pass, rows, scales ? stage.group_depth : stage.depth);
  cost.bytes = bytes.real();
  cost.port = units::load_time(g_.machine.core.load, bytes, rows, of_b ? g_.tiling.cores_m : g_.tiling.cores_n).real();
  cost.request =
      request_of(bytes, units::rows_in(bytes, rows, g_.bytes(operand, stage.pass, 1, pass.k)), groups_m_ * groups_n_,
                 missed_.apart ? groups_m_ * groups_n_
                 : of_b        ? groups_n_
                               : groups_m_);
  return cost;
}

StepCost CoreModel::step_cost(std::size_t pass_index, const Tile& tile, std::int64_t depth) const {
  const MatmulPass& pass = g_.plan.passes[pass_index];
  const bool free = g_.free_startup(pass_index);
  const units::FeedParams& feed = g_.machine.core.feed;
  StepCost cost;
  cost.feed = units::feed_time(feed, operand_bytes(g_.machine, pass, tile.rows, depth),
                               operand_bytes(g_.machine, pass, tile.cols, depth))
                  .real();
  cost.fed_bytes = cost.feed - feed.setup.real();
  if (free) cost.feed = cost.fed_bytes;
  cost.issue = g_.machine.core.issue.per_step(g_.tiling.constants_folded).real();
  const units::MatrixTime time =
      units::matrix_time(g_.machine.matrix(pass.bits(), pass.branch), pass.bits(), tile.rows, tile.cols, depth);
  cost.work = time.work.real();
  cost.occupancy = free ? cost.work : time.occupancy.real();
  cost.operands = free ? cost.work : time.operands.real();
  cost.latency = free ? cost.work : time.latency.real();
  return cost;
}

StageCost CoreModel::stage_cost(const Stage& stage, const Tile& tile) const {
  StageCost cost;
  for (const Operand operand : kOperands) cost.loads[index_of(operand)] = load_cost(operand, stage, tile);
  const std::int64_t step = g_.tiling.passes[stage.pass].step;
  cost.steps = tiles_of(stage.depth, step);
  cost.step = step_cost(stage.pass, tile, std::min(step, stage.depth));
  cost.last = stage.depth % step == 0 ? cost.step : step_cost(stage.pass, tile, stage.depth % step);
  return cost;
}

// The cores with a tile in this place of their share: all but for the last place, which only some may have.
void CoreModel::set_groups(const Tile& tile) {
  const auto groups = [](std::int64_t whole, std::int64_t own, std::int64_t cores, std::int64_t pinned,
                         std::int64_t place) {
    if (pinned > 0) return static_cast<double>(cores);
    const std::int64_t left = whole - place * cores * own;
    return std::clamp(static_cast<double>(left) / static_cast<double>(own), 1.0, static_cast<double>(cores));
  };
  const Tiling& t = g_.tiling;
  const std::int64_t part = tiles_of(tiles_of(g_.plan.m, t.m), t.parts_m) * t.m;
  groups_m_ = groups(std::min(part, g_.plan.m), t.m, t.cores_m, t.core_m, tile.row_place);
  groups_n_ = groups(g_.plan.n, t.n, t.cores_n, t.core_n, tile.col_place);
}

const TileCosts& CoreModel::costs_of(const Tile& tile) {
  set_groups(tile);
  for (const TileCosts& known : costs_)
    if (known.rows == tile.rows && known.cols == tile.cols && known.groups_m == groups_m_ &&
        known.groups_n == groups_n_)
      return known;
  TileCosts& costs = costs_.emplace_back();
  costs.rows = tile.rows;
  costs.cols = tile.cols;
  costs.groups_m = groups_m_;
  costs.groups_n = groups_n_;
  for (std::size_t i = 0; i < g_.stages.size(); ++i) {
    const Stage& stage = g_.stages[i];
    std::size_t same = 0;
    while (same < i && !(g_.stages[same].pass == stage.pass && g_.stages[same].depth == stage.depth &&
                         g_.stages[same].first_of_group == stage.first_of_group &&
                         g_.stages[same].group_depth == stage.group_depth))
      ++same;
    costs.stages.push_back(same < i ? costs.stages[same] : stage_cost(stage, tile));
  }
  const units::DrainParams& drain = g_.machine.core.drain;
  const Bytes bytes = drain.output_element * (tile.rows * tile.cols);
  costs.drain =
      units::drain_time(drain, bytes, g_.plan.passes.size() > 1 && g_.plan.join_place == JoinPlace::epilogue ? 2 : 1)
          .real();
  costs.first_step = g_.tiling.drain_follows ? costs.stages.front().step.work : 0;
  costs.write = request_of(bytes, units::rows_in(bytes, tile.rows, drain.output_element * g_.plan.n),
                           groups_m_ * groups_n_, groups_m_ * groups_n_);
  return costs;
}

bool CoreModel::misses(Operand operand, const Tile& tile) const {
  const bool outer = GemmGeometry::is_b(operand) ? !g_.m_outside() : g_.m_outside();
  // Misses spread evenly over the tiles, or over the turns.
  const auto due = [](double share, std::int64_t index) {
    const auto at = static_cast<double>(index);
    return std::floor((at + 1) * share) > std::floor(at * share);
  };
  if (outer) return tile.first_inner || due(missed_.outer, tile.index);
  return tile.strip == 0 || due(missed_.inner, tile.strip);
}

void CoreModel::load(Operand operand, const StageCost& costs, std::size_t stage, const Tile& tile) {
  const LoadCost& cost = costs.loads[index_of(operand)];
  if (!cost.there || (g_.stays(operand) && !tile.first_inner)) return;
  const auto slot = static_cast<std::size_t>(g_.slot(operand, tile, stage));
  double& ready = ready_[index_of(operand)][slot];
  const bool first = std::exchange(issued_tile_, tile.index) != tile.index;
  const double issue = first ? g_.machine.core.issue.per_tile(g_.tiling.constants_folded).real() : 0;
  double start = std::max(load_free_, freed_[index_of(operand)][slot]);
  if (cost.sweep_load > 0 && tile.new_rows && stage == 0) {
    start += std::max(cost.sweep_load, cost.sweep_vector);
    vector_free_ = start;
  }
  if (cost.port == 0 && cost.vector == 0) {
    ready = load_done_ = std::max(load_done_, start);
    return;
  }
  const double setup = g_.machine.core.load.setup.real();
  const bool miss = misses(operand, tile);
  const double delivered = memory_.read(start + issue + setup, cost.request, miss);
  load_free_ = start + issue + cost.port;
  load_done_ = std::max({load_done_, load_free_, delivered});
  ready = load_done_;
  stage_bytes_ += cost.bytes;
  if (cost.vector == 0 && cost.gather == 0) return;
  gather_free_ = std::max(gather_free_, ready) + cost.gather;
  vector_free_ = std::max({vector_free_, ready, cost.gather > 0 ? gather_free_ : 0.0}) + cost.vector;
  ready = vector_free_;
}

void CoreModel::feed(const StageCost& cost, std::size_t index, const Tile& tile) {
  const Stage& stage = g_.stages[index];
  double ready = 0;
  for (const Operand operand : kOperands) {
    if (GemmGeometry::is_scales(operand) && (stage.group < 0 || (fuses(g_.tiling) && operand == Operand::a_scales)))
      continue;
    ready = std::max(ready, ready_[index_of(operand)][static_cast<std::size_t>(g_.slot(operand, tile, index))]);
  }
  const bool branch = g_.unit(stage.pass).pipe == PipeId::branch;
  UnitState& unit = branch ? branch_ : tensor_;
  for (std::int64_t i = 0; i < cost.steps; ++i) {
    const bool last = i + 1 == cost.steps;
    const StepCost& step = last ? cost.last : cost.step;
    const double start = std::max({feed_free_, ready, unit.operands_free[static_cast<std::size_t>(unit.steps % 2)]});
    const double span = step.feed + (l1_port_ > 0 ? step.fed_bytes * write_rate_ / l1_port_ : 0);
    feed_free_ = start + std::max(span, step.issue);
    const std::int64_t done = unit.steps % unit.steps_per_tile;
    multiply(step, branch, start + span, tile, done == 0, done + 1 == unit.steps_per_tile);
    if (!last) continue;
    for (const Operand operand : kOperands) {
      if (g_.stays(operand) && !tile.last_inner) continue;
      if (GemmGeometry::is_scales(operand) && (stage.group < 0 || !stage.last_of_group)) continue;
      freed_[index_of(operand)][static_cast<std::size_t>(g_.slot(operand, tile, index))] = start + span;
    }
    write_rate_ = stage_bytes_ / std::max(1.0, start + span - stage_fed_);
    stage_fed_ = start + span;
    stage_bytes_ = 0;
  }
}

void CoreModel::multiply(const StepCost& cost, bool branch, double fed, const Tile& tile, bool first, bool last) {
  UnitState& unit = branch ? branch_ : tensor_;
  const std::int64_t slots = branch ? g_.slots.branch_accumulators : g_.slots.accumulators;
  double start = std::max(unit.free, fed);
  if (first) start = std::max(start, unit.accumulator_free[static_cast<std::size_t>(tile.index % slots)]);
  unit.operands_free[static_cast<std::size_t>(unit.steps % 2)] = start + cost.operands;
  unit.free = start + cost.occupancy;
  unit.done = std::max(unit.done, start + cost.latency);
  unit.used = true;
  ++unit.steps;
  if (last) unit.tile_start = start;
}

void CoreModel::drain(const TileCosts& costs, const Tile& tile) {
  double start = drain_free_, ready = 0;
  for (UnitState* unit : {&tensor_, &branch_})
    if (unit->used) {
      start = std::max(start, g_.tiling.drain_follows ? unit->tile_start : unit->done);
      ready = std::max(ready, unit->done);
    }
  const double taken = memory_.write(start + g_.machine.core.drain.setup.real(), costs.write);
  const double done = std::max({start + costs.drain, ready, taken});
  drain_free_ = done;
  const double release = done - std::min(costs.first_step, done - start);
  if (tensor_.used) tensor_.accumulator_free[static_cast<std::size_t>(tile.index % g_.slots.accumulators)] = release;
  if (branch_.used)
    branch_.accumulator_free[static_cast<std::size_t>(tile.index % g_.slots.branch_accumulators)] = release;
}

double CoreModel::run(double limit) {
  const std::int64_t tiles = walk_.tiles();
  const std::int64_t steps = tensor_.steps_per_tile + branch_.steps_per_tile;
  const std::int64_t walked = std::min(tiles, std::max<std::int64_t>(2, kStepsWalked / steps));
  double half = 0;
  for (std::int64_t index = 0; index < walked; ++index) {
    const Tile tile = walk_.tile(index);
    const TileCosts& costs = costs_of(tile);
    for (std::size_t stage = 0; stage < costs.stages.size(); ++stage) {
      for (const Operand operand : kOperands) load(operand, costs.stages[stage], stage, tile);
      if (index == 0 && stage == 0) lag_ = std::max(0.0, memory_.last_served() - load_done_);
      feed(costs.stages[stage], stage, tile);
    }
    drain(costs, tile);
    if (drain_free_ > limit) return std::numeric_limits<double>::infinity();
    if (index + 1 == walked / 2) half = drain_free_;
  }
  if (walked < tiles) {
    const auto measured = walked - walked / 2;  // the later half
    return drain_free_ + lag_ +
           (drain_free_ - half) * static_cast<double>(tiles - walked) / static_cast<double>(measured);
  }
  return std::max(drain_free_ + lag_, memory_.finish());
}

}  // namespace

double core_model_cycles(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling, double limit) {
  return CoreModel(plan, machine, tiling).run(limit);
}

}  // namespace oscsim
