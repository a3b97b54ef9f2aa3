// SPDX-License-Identifier: Apache-2.0
// Systolic array: rows x columns of processing elements (PEs) that pass their operands on from cycle to cycle; each
// multiplies k0 reduction elements per cycle. Exact cycles of one instruction, counted until its last output has left.
// Convention of SCALE-Sim (arXiv 1811.02883; Samajdar et al., ISPASS 2020): operands enter skewed by one cycle per row
// and column, what is larger than the array is cut into folds, tails are padded to whole folds along the array and are
// exact along the stream, and a fold takes 2 rows + columns + stream - 2 cycles, one fold after the other. With
// `overlap_folds` stationary operands (or outputs) are double-buffered; how far apart folds then start is a matter of
// their registers.
#pragma once

#include <algorithm>
#include <optional>

#include "models/base/schema.h"

namespace oscsim::units {

// What stays in the PEs, and what lies along rows, along columns and along the stream.
enum class Dataflow : std::uint8_t {
  weight_stationary,  // B: reduction x n, rows of A stream
  output_stationary,  // the outputs: m x n, the reduction streams
  input_stationary,   // A: reduction x m, rows of B stream
};

// When a fold of an output stationary array ends. The others end with their last sum by either rule.
enum class FoldRule : std::uint8_t {
  paper,    // when its outputs are out of the array: 2 rows + columns + stream - 2 (arXiv 1811.02883, equation 1)
  program,  // when they are computed: rows + columns + stream - 2, as the SCALE-Sim program counts
};

// Where outputs leave an output stationary array.
enum class DrainSide : std::uint8_t {
  columns,  // down the columns, at the bottom: a shift for each row
  rows,     // along the rows, at the side: a shift for each column
};

// What the second registers of an element that overlaps folds can do. It sets how far apart two folds start at least.
enum class FoldRegisters : std::uint8_t {
  each_its_own,     // each is free as soon as its value has gone on: as many cycles as there are shifts
  shadow_weights,   // weights shift as one chain, which waits until the last row has taken those before: 2 rows - 1
  output_register,  // outputs shift as one chain, from the last one's end until all are out: rows + columns - 2 +
                    // shifts
};

struct SystolicShape {
  std::int64_t rows = 128;
  std::int64_t columns = 128;
  Dataflow dataflow = Dataflow::weight_stationary;
  bool overlap_folds = false;
  FoldRule fold_rule = FoldRule::paper;
  DrainSide drain_side = DrainSide::columns;
  FoldRegisters fold_registers = FoldRegisters::each_its_own;
  std::optional<Cycles> fold_interval = std::nullopt;  // in place of the registers' rule
  Cycles element_latency{0};

  // Cross-checks, for problems of the section `path`.
  void check(const char* path, std::vector<std::string>& problems) const;
};

// Shifts that fill a weight or input stationary array, or empty an output stationary one.
constexpr std::int64_t shifts(const SystolicShape& shape) {
  const bool along_rows = shape.dataflow == Dataflow::output_stationary && shape.drain_side == DrainSide::rows;
  return along_rows ? shape.columns : shape.rows;
}

// The parts of one fold. Weight and input stationary: the PEs are filled from the top, a row per cycle; the operand
// streams; the last sums cross the array. Output stationary: the first operands cross the array; they stream; the
// outputs are shifted out. An element's latency is that of its multiplier: every sum comes later by it, once a fold.
struct FoldTime {
  Cycles fill, stream, drain;
  constexpr Cycles total() const { return fill + stream + drain; }
};

constexpr FoldTime fold_time(const SystolicShape& shape, std::int64_t stream) {
  const Cycles crossing(shape.rows + shape.columns - 2);
  if (shape.dataflow != Dataflow::output_stationary)
    return {Cycles(shape.rows), Cycles(stream), crossing + shape.element_latency};
  const Cycles out(shape.fold_rule == FoldRule::paper ? shifts(shape) : 0);
  return {crossing, Cycles(stream), out + shape.element_latency};
}

// Overlapping folds start at least so far apart, however short their streams.
constexpr Cycles fold_interval(const SystolicShape& shape) {
  if (shape.fold_interval) return *shape.fold_interval;
  if (shape.fold_registers == FoldRegisters::shadow_weights) return Cycles(2 * shape.rows - 1);
  if (shape.fold_registers == FoldRegisters::output_register)
    return Cycles(shape.rows + shape.columns - 2 + shifts(shape));
  return Cycles(shifts(shape));
}

// An instruction laid out on the array. `depth`: the reduction in steps of k0.
struct Folds {
  std::int64_t count, stream;
};

constexpr Folds folds_of(const SystolicShape& shape, std::int64_t m, std::int64_t n, std::int64_t depth) {
  const auto cut = [&](std::int64_t along_rows, std::int64_t along_columns) {
    return tiles_of(along_rows, shape.rows) * tiles_of(along_columns, shape.columns);
  };
  if (shape.dataflow == Dataflow::output_stationary) return {cut(m, n), depth};
  if (shape.dataflow == Dataflow::input_stationary) return {cut(depth, m), n};
  return {cut(depth, n), m};
}

struct SystolicTime {
  Cycles streaming;  // in which operands stream
  Cycles occupancy;  // until the array can start the next instruction
  Cycles operands;   // until the last operand has entered
  Cycles latency;    // until the last output has left
};

// Folds that overlap start max(stream, fold_interval) apart: each row and column of PEs takes and gives one value per
// cycle at its ends. The next instruction's stream is taken to be no shorter: a shorter one on an output stationary
// array would queue for up to as many cycles as there are shifts to get its outputs out.
constexpr SystolicTime systolic_time(const SystolicShape& shape, std::int64_t m, std::int64_t n, std::int64_t depth) {
  const Folds folds = folds_of(shape, m, n, depth);
  const FoldTime fold = fold_time(shape, folds.stream);
  const Cycles period = shape.overlap_folds ? std::max(fold.stream, fold_interval(shape)) : fold.total();
  const Cycles last_start = period * (folds.count - 1);
  const Cycles entered =
      shape.dataflow == Dataflow::output_stationary
          ? fold.stream + Cycles(std::max(shape.rows, shape.columns) - 1)
          : fold.fill + std::max(fold.stream + Cycles(shape.rows), Cycles(shape.columns)) - Cycles(1);
  return {fold.stream * folds.count, period * folds.count, last_start + entered, last_start + fold.total()};
}

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::Dataflow> {
  using Dataflow = oscsim::units::Dataflow;
  static constexpr std::pair<std::string_view, Dataflow> kValues[] = {
      {"weight_stationary", Dataflow::weight_stationary},
      {"output_stationary", Dataflow::output_stationary},
      {"input_stationary", Dataflow::input_stationary}};
};
template <>
struct oscsim::EnumNames<oscsim::units::FoldRule> {
  using Rule = oscsim::units::FoldRule;
  static constexpr std::pair<std::string_view, Rule> kValues[] = {{"paper", Rule::paper}, {"program", Rule::program}};
};
template <>
struct oscsim::EnumNames<oscsim::units::DrainSide> {
  using Side = oscsim::units::DrainSide;
  static constexpr std::pair<std::string_view, Side> kValues[] = {{"columns", Side::columns}, {"rows", Side::rows}};
};
template <>
struct oscsim::EnumNames<oscsim::units::FoldRegisters> {
  using Registers = oscsim::units::FoldRegisters;
  static constexpr std::pair<std::string_view, Registers> kValues[] = {{"each_its_own", Registers::each_its_own},
                                                                       {"shadow_weights", Registers::shadow_weights},
                                                                       {"output_register", Registers::output_register}};
};
