// SPDX-License-Identifier: Apache-2.0
// Systolic array: rows x columns of processing elements (PEs) that pass their operands on from cycle to cycle; each
// multiplies k0 reduction elements per cycle. Exact cycles of one instruction, counted until its last output has left.
// Convention of SCALE-Sim (arXiv 1811.02883; Samajdar et al., ISPASS 2020): operands enter skewed by one cycle per row
// and column, what is larger than the array is cut into folds, tails are padded to whole folds along the array and are
// exact along the stream, and a fold takes 2 rows + columns + stream - 2 cycles, one fold after the other. With
// `overlap_folds` stationary operands (or outputs) are double-buffered and folds follow without a bubble.
#pragma once

#include <algorithm>

#include "models/base/schema.h"

namespace oscsim::units {

// What stays in the PEs, and what lies along rows, along columns and along the stream.
enum class Dataflow : std::uint8_t {
  weight_stationary,  // B: reduction x n, rows of A stream
  output_stationary,  // the outputs: m x n, the reduction streams
  input_stationary,   // A: reduction x m, rows of B stream
};

struct SystolicShape {
  std::int64_t rows = 128;
  std::int64_t columns = 128;
  Dataflow dataflow = Dataflow::weight_stationary;
  bool overlap_folds = false;
};

// The parts of one fold. Weight and input stationary: the PEs are filled from the top, a row per cycle; the operand
// streams; the last sums cross the array. Output stationary: the first operands cross the array; they stream; the
// outputs are shifted out at the bottom.
struct FoldTime {
  Cycles fill, stream, drain;
  constexpr Cycles total() const { return fill + stream + drain; }
};

constexpr FoldTime fold_time(const SystolicShape& shape, std::int64_t stream) {
  const Cycles column(shape.rows), crossing(shape.rows + shape.columns - 2);
  if (shape.dataflow == Dataflow::output_stationary) return {crossing, Cycles(stream), column};
  return {column, Cycles(stream), crossing};
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

// Folds that overlap start max(stream, rows) apart: each column of PEs takes and gives one value per cycle at its ends.
// The next instruction's stream is taken to be no shorter: a shorter one on an output stationary array would queue for
// up to `rows` cycles to get its outputs out.
constexpr SystolicTime systolic_time(const SystolicShape& shape, std::int64_t m, std::int64_t n, std::int64_t depth) {
  const Folds folds = folds_of(shape, m, n, depth);
  const FoldTime fold = fold_time(shape, folds.stream);
  const Cycles period = shape.overlap_folds ? std::max(fold.stream, Cycles(shape.rows)) : fold.total();
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
