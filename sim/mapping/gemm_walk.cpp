// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/gemm_walk.h"

#include <algorithm>

#include "sim/mapping/fused_activation.h"

namespace oscsim {

using units::PipeId;
using units::Region;
using units::RingId;
using units::TensorId;

GemmGeometry::GemmGeometry(const GemmPlan& p, const units::MachineParams& m, const Tiling& t)
    : plan(p), machine(m), tiling(t), slots(ring_slots(p, m, t)) {
  for (std::size_t pass = 0; pass < plan.passes.size(); ++pass) add_stages(pass);
  if (plan.passes.size() > 1 && unit(0).pipe != unit(1).pipe) interleave();
}

void GemmGeometry::add_stages(std::size_t pass) {
  const std::int64_t whole = plan.passes[pass].k;
  const PassTiling& depth = tiling.passes[pass];
  const std::int64_t group_depth = depth.stage * depth.scale_stages;
  for (std::int64_t k = 0; k < whole; k += depth.stage) {
    Stage stage;
    stage.pass = pass;
    stage.k = k;
    stage.depth = std::min(depth.stage, whole - k);
    if (has_scales(machine, plan.passes[pass])) {
      stage.first_of_group = k % group_depth == 0;
      stage.last_of_group = (k + depth.stage) % group_depth == 0 || k + depth.stage >= whole;
      if (stage.first_of_group) ++groups;
      stage.group = groups - 1;
      stage.group_k = k / group_depth * group_depth;
      stage.group_depth = std::min(group_depth, whole - stage.group_k);
    }
    stages.push_back(stage);
  }
}

// Two units work beside each other on a tile: their stages are mixed evenly, so that the in-order feed starves neither.
// A fused branch stage comes when the stages that its channels are gathered from are there.
void GemmGeometry::interleave() {
  const auto progress = [&](const Stage& stage) {
    const MatmulPass& pass = plan.passes[stage.pass];
    const std::int64_t at = fuses(tiling) && pass.branch ? stage.k + stage.depth : stage.k;
    return static_cast<double>(at) / static_cast<double>(pass.k);
  };
  std::ranges::stable_sort(stages, {}, progress);
}

std::int64_t GemmGeometry::steps_on(PipeId pipe) const {
  std::int64_t steps = 0;
  for (std::size_t pass = 0; pass < plan.passes.size(); ++pass)
    if (unit(pass).pipe == pipe) steps += tiles_of(plan.passes[pass].k, tiling.passes[pass].step);
  return steps;
}

RingId GemmGeometry::ring(Operand operand) {
  switch (operand) {
    case Operand::a_scales:
      return RingId::l1_a_scales;
    case Operand::a:
      return RingId::l1_a;
    case Operand::b_scales:
      return RingId::l1_b_scales;
    default:
      return RingId::l1_b;
  }
}

std::int64_t GemmGeometry::slots_of(Operand operand) const {
  switch (operand) {
    case Operand::a_scales:
      return slots.l1_a_scales;
    case Operand::a:
      return slots.l1_a;
    case Operand::b_scales:
      return slots.l1_b_scales;
    default:
      return slots.l1_b;
  }
}

std::int64_t GemmGeometry::slot(Operand operand, const Tile& tile, std::size_t stage) const {
  const std::int64_t turn = stays(operand) ? tile.strip : tile.index;
  if (is_scales(operand)) return (turn * groups + stages[stage].group) % slots_of(operand);
  return (turn * static_cast<std::int64_t>(stages.size()) + static_cast<std::int64_t>(stage)) % slots_of(operand);
}

Region GemmGeometry::region(Operand operand, const Tile& tile, std::size_t pass, std::int64_t k,
                            std::int64_t depth) const {
  const bool branch = plan.passes[pass].branch;
  switch (operand) {
    case Operand::a_scales:
      return {TensorId::a_scales, tile.row, tile.rows, k, depth};
    case Operand::a:
      return {branch ? TensorId::branch_a : TensorId::a, tile.row, tile.rows, k, depth};
    case Operand::b_scales:
      return {TensorId::b_scales, tile.col, tile.cols, k, depth};
    default:
      return {branch ? TensorId::branch_b : TensorId::b, tile.col, tile.cols, k, depth};
  }
}

Region GemmGeometry::output_region(const Tile& tile) {
  return {TensorId::output, tile.row, tile.rows, tile.col, tile.cols};
}

Bytes GemmGeometry::bytes(Operand operand, std::size_t pass, std::int64_t rows, std::int64_t depth) const {
  return is_scales(operand) ? scale_bytes(machine, plan.passes[pass], rows, depth)
                            : code_bytes(plan.passes[pass], rows, depth);
}

std::uint64_t GemmGeometry::address(Operand operand, const Region& region, std::size_t pass) const {
  const auto base = (static_cast<std::uint64_t>(region.tensor) + 1) << 44;
  const auto bytes_of = [&](std::int64_t rows, std::int64_t depth) {
    return static_cast<std::uint64_t>(bytes(operand, pass, rows, depth).count());
  };
  return base + static_cast<std::uint64_t>(region.row) * bytes_of(1, plan.passes[pass].k) + bytes_of(1, region.k);
}

Walk::Span Walk::share(Span whole, std::int64_t tile, std::int64_t core, std::int64_t cores, std::int64_t pinned) {
  const auto at = [&](std::int64_t index) {
    const std::int64_t tiles = tiles_of(whole.end - whole.begin, tile);
    return std::min(whole.end, whole.begin + (pinned > 0 ? pinned * index : tiles * index / cores * tile));
  };
  return {at(core), at(core + 1)};
}

Walk::Walk(std::shared_ptr<const GemmGeometry> geometry, std::int64_t core) : geometry_(std::move(geometry)) {
  const GemmGeometry& g = *geometry_;
  const Tiling& t = g.tiling;
  columns_ = share({0, g.plan.n}, t.n, core % t.cores_n, t.cores_n, t.core_n);
  const std::int64_t count_n = tiles_of(columns_.end - columns_.begin, t.n);
  const std::int64_t tiles_m = tiles_of(g.plan.m, t.m);
  for (std::int64_t i = 0; i < t.parts_m; ++i) {
    const Span rows{tiles_m * i / t.parts_m * t.m, std::min(g.plan.m, tiles_m * (i + 1) / t.parts_m * t.m)};
    Part part;
    part.rows = share(rows, t.m, core / t.cores_n, t.cores_m, t.core_m);
    part.first_tile = tiles_;
    part.first_strip = strips_;
    const std::int64_t count_m = tiles_of(part.rows.end - part.rows.begin, t.m);
    part.inner = g.m_outside() ? count_n : count_m;
    tiles_ += count_m * count_n;
    strips_ += g.m_outside() ? count_m : count_n;
    if (count_m * count_n > 0) parts_.push_back(part);
  }
}

Tile Walk::tile(std::int64_t index) const {
  const GemmGeometry& g = *geometry_;
  const Part& part = *std::prev(std::ranges::upper_bound(parts_, index, {}, &Part::first_tile));
  const std::int64_t outer = (index - part.first_tile) / part.inner;
  const std::int64_t inner = (index - part.first_tile) % part.inner;
  Tile tile;
  tile.index = index;
  tile.strip = part.first_strip + outer;
  tile.first_inner = inner == 0;
  tile.last_inner = inner == part.inner - 1;
  tile.new_rows = (g.m_outside() ? inner : outer) == 0;
  tile.row_place = g.m_outside() ? outer : inner;
  tile.col_place = g.m_outside() ? inner : outer;
  tile.row = part.rows.begin + tile.row_place * g.tiling.m;
  tile.col = columns_.begin + tile.col_place * g.tiling.n;
  tile.rows = std::min(g.tiling.m, part.rows.end - tile.row);
  tile.cols = std::min(g.tiling.n, columns_.end - tile.col);
  return tile;
}

StepWalk::StepWalk(Walk walk) : walk_(std::move(walk)) {
  enter_tile();
}

void StepWalk::enter_tile() {
  tensor_steps_ = branch_steps_ = 0;
  if (!at_end()) tile_ = walk_.tile(tile_index_);
}

Step StepWalk::step() const {
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

std::int64_t StepWalk::operand_slot() const {
  const PassUnit unit = geometry().unit(stage().pass);
  const std::int64_t done = unit.pipe == PipeId::branch ? branch_steps_ : tensor_steps_;
  return (tile_index_ * geometry().steps_on(unit.pipe) + done) % 2;
}

void StepWalk::advance() {
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

}  // namespace oscsim
