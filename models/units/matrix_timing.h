// SPDX-License-Identifier: Apache-2.0
// Matrix units of two kinds. Cube: m0 x n0 x k0 multiply-accumulates per cycle, k0 by operand width; tails are padded
// to whole cubes. Systolic: rows x columns of processing elements of k0 each (systolic_timing.h). One instruction (a
// tile step) occupies the unit for its own time plus `gap`; its result is there `startup` cycles after that time.
#pragma once

#include "models/units/systolic_timing.h"

namespace oscsim::units {

enum class MatrixKind : std::uint8_t { cube, systolic };

struct CubeShape {
  std::int64_t m0 = 16;
  std::int64_t n0 = 16;
  std::int64_t k0_4bit = 0;
  std::int64_t k0_8bit = 0;
  std::int64_t k0_16bit = 16;

  // k0 for operands of `bits` bits; 0: the unit does not multiply them.
  constexpr std::int64_t k0(int bits) const { return bits == 4 ? k0_4bit : bits == 8 ? k0_8bit : k0_16bit; }
  constexpr Macs per_cycle(int bits) const { return Macs(m0 * n0 * k0(bits)); }
};

struct MatrixParams {
  MatrixKind kind = MatrixKind::cube;
  CubeShape cube;  // systolic: its k0 is that of each processing element; m0 and n0 have no meaning
  SystolicShape systolic{};
  Cycles startup{0};
  Cycles gap{0};

  // What every matrix unit can be, first of its fields: whether m0 and n0 are required depends on the kind.
  template <class Visitor, class Self>
  static void kind_fields(Visitor& visit, Self& self) {
    visit("kind", self.kind,
          {.meaning = "cube: m0 x n0 x k0 per cycle; systolic: an array of processing elements of k0 each"});
    visit("rows", self.systolic.rows,
          {.min = 1, .max = 4096, .meaning = "systolic: rows of processing elements", .source = "[doc] TPU v2 to v5"});
    visit("columns", self.systolic.columns,
          {.min = 1, .max = 4096, .meaning = "systolic: columns of them", .source = "[doc] TPU v2 to v5"});
    visit("dataflow", self.systolic.dataflow,
          {.meaning = "systolic: what stays in the processing elements", .source = "[doc] TPU: weights"});
    visit("overlap_folds", self.systolic.overlap_folds,
          {.meaning = "systolic: double-buffered elements; a fold enters behind the one before, not after its end",
           .source = "SCALE-Sim: one after the other"});
    visit("fold_rule", self.systolic.fold_rule,
          {.meaning = "systolic, output_stationary: a fold ends with its outputs out of the array, 2 rows + columns + "
                      "stream - 2 cycles (paper), or computed, rows + columns + stream - 2 (program)",
           .source = "arXiv 1811.02883; program: what SCALE-Sim itself counts"});
    visit(
        "drain_side", self.systolic.drain_side,
        {.meaning = "systolic, output_stationary: outputs leave down the columns, in as many cycles as there are rows, "
                    "or along the rows, in as many as columns",
         .source = "arXiv 1811.02883: columns"});
    visit("fold_registers", self.systolic.fold_registers,
          {.meaning = "systolic, overlap_folds: folds start at least as far apart as each_its_own: rows (columns with "
                      "drain_side rows); shadow_weights that shift as one chain: 2 rows - 1; an output_register that "
                      "does: rows + columns - 2 more than each_its_own",
           .source = "least that registers allow"});
    visit("fold_interval", self.systolic.fold_interval,
          {.min = 1, .max = 1e6, .meaning = "systolic, overlap_folds: this distance, in place of fold_registers'"});
    visit(
        "element_latency", self.systolic.element_latency,
        {.min = 0,
         .max = 1e6,
         .meaning = "systolic: cycles of an element's multiplier; each fold ends later by them. Real ones take 1 to 5",
         .source = "arXiv 1811.02883: none"});
  }
};

struct TensorParams : MatrixParams {
  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    kind_fields(visit, self);
    const bool cube = self.kind == MatrixKind::cube;
    visit("m0", self.cube.m0, {.min = 1, .max = 4096, .required = cube, .meaning = "cube: rows of A per cycle"});
    visit("n0", self.cube.n0,
          {.min = 1, .max = 4096, .required = cube, .meaning = "cube: rows of B (output features) per cycle"});
    visit("k0_4bit", self.cube.k0_4bit,
          {.min = 1, .max = 65536, .required = true, .meaning = "reduction steps per cycle, 4-bit operands"});
    visit("k0_8bit", self.cube.k0_8bit,
          {.min = 1, .max = 65536, .required = true, .meaning = "the same, 8-bit operands"});
    visit("k0_16bit", self.cube.k0_16bit,
          {.min = 0,
           .max = 65536,
           .required = true,
           .meaning = "the same, 16-bit operands; 0: none, all 16-bit work runs on a branch unit of its own"});
    visit("startup", self.startup,
          {.min = 0, .max = 1e6, .meaning = "latency of an isolated instruction beyond its own cycles"});
    visit("gap", self.gap, {.min = 0, .max = 1e6, .meaning = "cycles between back-to-back instructions"});
  }
};

constexpr Macs macs_per_cycle(const MatrixParams& params, int bits) {
  if (params.kind == MatrixKind::cube) return params.cube.per_cycle(bits);
  return Macs(params.systolic.rows * params.systolic.columns * params.cube.k0(bits));
}

// The smallest tile of an m x n output, and the smallest step along the reduction, that waste nothing but tails: one
// cube, or one fold of a systolic array with a stream no shorter than the rows, so that folds can follow without a
// bubble.
struct TileGranule {
  std::int64_t m, n;
};

constexpr TileGranule tile_granule(const MatrixParams& params, std::int64_t m, std::int64_t n) {
  if (params.kind == MatrixKind::cube) return {params.cube.m0, params.cube.n0};
  const SystolicShape& array = params.systolic;
  if (array.dataflow == Dataflow::input_stationary) return {std::min(array.columns, m), std::min(array.rows, n)};
  return {std::min(array.rows, m), std::min(array.columns, n)};
}

constexpr std::int64_t depth_granule(const MatrixParams& params, int bits) {
  const bool reduces_along_rows =
      params.kind == MatrixKind::systolic && params.systolic.dataflow != Dataflow::output_stationary;
  return params.cube.k0(bits) * (reduces_along_rows ? params.systolic.rows : 1);
}

struct MatrixTime {
  Cycles work;       // cycles that multiply: cubes, or streaming operands
  Cycles occupancy;  // until the unit can start the next instruction
  Cycles operands;   // until it has read its operands
  Cycles latency;    // until the result is in the accumulator
};

constexpr MatrixTime matrix_time(const MatrixParams& params, int bits, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::int64_t k0 = params.cube.k0(bits);
  ensure(k0 > 0, "a {}-bit instruction on a matrix unit without that width", bits);
  const std::int64_t depth = tiles_of(k, k0);
  if (params.kind == MatrixKind::systolic) {
    const SystolicTime time = systolic_time(params.systolic, m, n, depth);
    const Cycles occupancy = time.occupancy + params.gap;
    return {time.streaming, occupancy, time.operands, std::max(occupancy, time.latency + params.startup)};
  }
  const Cycles cubes(tiles_of(m, params.cube.m0) * tiles_of(n, params.cube.n0) * depth);
  const Cycles occupancy = cubes + params.gap;
  return {cubes, occupancy, occupancy, std::max(occupancy, cubes + params.startup)};
}

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::MatrixKind> {
  using Kind = oscsim::units::MatrixKind;
  static constexpr std::pair<std::string_view, Kind> kValues[] = {{"cube", Kind::cube}, {"systolic", Kind::systolic}};
};
