// SPDX-License-Identifier: Apache-2.0
// The order of a GEMM's work on one core: output tiles, loads of each tile, steps of each load. The streams of
// gemm_program.cpp walk it.
#pragma once

#include <memory>
#include <vector>

#include "sim/mapping/tiling.h"

namespace oscsim {

// What the load pipe fetches for a tile. Block scales are loads of their own (CANN MxMatmul: four inputs).
enum class Operand : std::uint8_t { a_scales, a, b_scales, b };
inline constexpr std::array kOperands{Operand::a_scales, Operand::a, Operand::b_scales, Operand::b};

// A load's worth of a tile: depth [k, k + depth) of one pass, and the load of scales that covers it.
struct Stage {
  std::size_t pass = 0;
  std::int64_t k = 0, depth = 0;
  std::int64_t group = -1;  // index of the load of scales among those of the tile; -1: the pass has none
  std::int64_t group_k = 0, group_depth = 0;
  bool first_of_group = false, last_of_group = false;
};

// A step of the matrix unit: depth [k, k + depth) inside a stage.
struct Step {
  std::int64_t k = 0, depth = 0;
  bool first_of_stage = false, last_of_stage = false;
  bool first_of_tile = false, last_of_tile = false;  // among the steps of the same unit
};

struct Tile {
  std::int64_t index = 0;  // among the core's tiles
  std::int64_t strip = 0;  // turns of the outer loop before this tile
  bool first_inner = false, last_inner = false;
  bool new_rows = false;                      // of A: the core has not had them before
  std::int64_t row_place = 0, col_place = 0;  // among the core's tiles of its part and of its columns
  std::int64_t row = 0, rows = 0, col = 0, cols = 0;
};

// What all streams of a program share; immutable.
struct GemmGeometry {
  GemmPlan plan;
  units::MachineParams machine;
  Tiling tiling;
  RingSlots slots;
  std::vector<Stage> stages;  // of one tile, in the order of loading and feeding
  std::int64_t groups = 0;    // loads of scales of one operand of a tile

  GemmGeometry(const GemmPlan& p, const units::MachineParams& m, const Tiling& t);

  PassUnit unit(std::size_t pass) const { return unit_of(machine, plan.passes[pass]); }
  bool a_stays() const { return tiling.order == LoopOrder::a_resident; }
  bool b_stays() const { return tiling.order == LoopOrder::b_resident; }
  bool m_outside() const { return tiling.order == LoopOrder::m_outer || a_stays(); }
  // Steps that one tile takes on a unit.
  std::int64_t steps_on(units::PipeId pipe) const;

  static bool is_b(Operand operand) { return operand == Operand::b_scales || operand == Operand::b; }
  static bool is_scales(Operand operand) { return operand == Operand::a_scales || operand == Operand::b_scales; }
  bool stays(Operand operand) const { return is_b(operand) ? b_stays() : a_stays(); }
  static units::RingId ring(Operand operand);
  std::int64_t slots_of(Operand operand) const;
  // Slot of what `stage` needs of an operand: a resident strip is loaded once for each turn of the outer loop.
  std::int64_t slot(Operand operand, const Tile& tile, std::size_t stage) const;
  units::Region region(Operand operand, const Tile& tile, std::size_t pass, std::int64_t k, std::int64_t depth) const;
  static units::Region output_region(const Tile& tile);
  Bytes bytes(Operand operand, std::size_t pass, std::int64_t rows, std::int64_t depth) const;
  // The machine leaves out what this pass's instructions pay beside their work.
  bool free_startup(std::size_t pass) const { return plan.passes[pass].branch && !machine.model_branch_startup; }
  // Of a region's first byte. Tensors lie apart; inside a tensor, row-major.
  std::uint64_t address(Operand operand, const units::Region& region, std::size_t pass) const;

 private:
  void add_stages(std::size_t pass);
  void interleave();
};

// A core's share of the tiles, in program order.
class Walk {
 public:
  struct Span {
    std::int64_t begin = 0, end = 0;
    std::int64_t size() const { return end - begin; }
  };
  // One core's share of `whole`: `pinned` rows or columns each, or whole tiles as equal as they go.
  static Span share(Span whole, std::int64_t tile, std::int64_t core, std::int64_t cores, std::int64_t pinned);

  Walk(std::shared_ptr<const GemmGeometry> geometry, std::int64_t core);

  const GemmGeometry& geometry() const { return *geometry_; }
  std::int64_t tiles() const { return tiles_; }
  Tile tile(std::int64_t index) const;

 private:
  // A part of M that all cores finish before the next one: this core's share of it.
  struct Part {
    Span rows;
    std::int64_t first_tile = 0, first_strip = 0;
    std::int64_t inner = 0;  // turns of the inner loop
  };
  std::shared_ptr<const GemmGeometry> geometry_;
  Span columns_;
  std::int64_t tiles_ = 0, strips_ = 0;
  std::vector<Part> parts_;
};

// Walks the steps of a core's tiles in program order; the feed pipe takes them all, a matrix unit takes its own.
class StepWalk {
 public:
  explicit StepWalk(Walk walk);

  bool at_end() const { return tile_index_ >= walk_.tiles(); }
  const GemmGeometry& geometry() const { return walk_.geometry(); }
  const Tile& tile() const { return tile_; }
  std::size_t stage_index() const { return stage_; }
  const Stage& stage() const { return geometry().stages[stage_]; }
  Step step() const;
  // Slot of the operand pair: two for each unit, in turn.
  std::int64_t operand_slot() const;
  void advance();

 private:
  void enter_tile();

  Walk walk_;
  Tile tile_;
  std::int64_t tile_index_ = 0;
  std::size_t stage_ = 0;
  std::int64_t offset_ = 0;
  std::int64_t tensor_steps_ = 0, branch_steps_ = 0;  // taken in this tile
};

}  // namespace oscsim
