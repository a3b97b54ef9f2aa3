// SPDX-License-Identifier: Apache-2.0
#include "models/units/activity.h"

namespace oscsim::units {
namespace {

bool writes_ub(const Command& command) {
  return !command.writes.empty() &&
         (command.writes[0].ring == RingId::ub_in || command.writes[0].ring == RingId::ub_gathered);
}

bool writes(const Command& command, RingId ring) {
  return !command.writes.empty() && command.writes[0].ring == ring;
}

Bytes operand_bytes(std::int64_t elements, int bits) {
  return bytes_of(Bits(elements * bits));
}

// A result in L1 is counted as 16-bit elements, whatever its format.
void count_vector_result(Activity& activity, const Command& command, Bytes bytes) {
  if (writes(command, RingId::l1_a) || writes(command, RingId::probs)) activity.l1 += bytes;
}

}  // namespace

// Cube: both operands of a cube are read in its cycle; the sums stay in the unit for the whole reduction of the
// instruction [assumed]. Systolic: what is stationary is read once a fold, what streams once; sums leave an
// output-stationary array at the end, another one for every step of the stream.
MatrixActivity matrix_activity(const MatrixParams& params, int bits, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::int64_t k0 = params.cube.k0(bits), depth = tiles_of(k, k0);
  if (params.kind == MatrixKind::cube) {
    const std::int64_t m0 = params.cube.m0, n0 = params.cube.n0;
    const std::int64_t tiles = tiles_of(m, m0) * tiles_of(n, n0), cubes = tiles * depth;
    return {Macs(cubes * m0 * n0 * k0), cubes * m0 * n0, operand_bytes(cubes * (m0 + n0) * k0, bits),
            Bytes(2 * kAccumulatorBytes * tiles * m0 * n0)};
  }
  const SystolicShape& array = params.systolic;
  const Folds folds = folds_of(array, m, n, depth);
  const std::int64_t steps = folds.count * folds.stream, sums = steps * array.rows * array.columns;
  if (array.dataflow == Dataflow::output_stationary)
    return {Macs(sums * k0), sums, operand_bytes(steps * (array.rows + array.columns) * k0, bits),
            Bytes(2 * kAccumulatorBytes * folds.count * array.rows * array.columns)};
  const std::int64_t stationary = folds.count * array.rows * array.columns, streaming = steps * array.rows;
  return {Macs(sums * k0), sums, operand_bytes((stationary + streaming) * k0, bits),
          Bytes(2 * kAccumulatorBytes * steps * array.columns)};
}

void count_load(Activity& activity, const Command& command, const LoadWork& work) {
  (writes_ub(command) ? activity.ub : activity.l1) += work.bytes;
  if (!work.gather) return;
  // The dense tile is written beside the whole one; zeros replace elements on their way.
  const std::int64_t elements = work.gather->rows * work.gather->groups;
  activity.gathered += elements;
  activity.ub += Bytes(kActivationBytes * elements);
}

// Each element is read, written into the dense tile, and zeroed. A group without an outlier is a zero of the dense
// tile.
void count_gather(Activity& activity, const GatherWork& work) {
  const std::int64_t elements = work.rows * work.groups, outliers = elements - work.rows * work.empty_groups;
  activity.gathered += elements;
  activity.ub += Bytes(kActivationBytes * (elements + 2 * outliers));
}

void count_vector(Activity& activity, const Command& command, const VectorWork& work) {
  if (work.gather) count_gather(activity, *work.gather);
  activity.vector_elements += work.input.count() / kActivationBytes * work.passes;
  activity.ub += work.input * work.passes;
  count_vector_result(activity, command, work.input);
}

void count_passes(Activity& activity, const Command& command, const PassesWork& work) {
  activity.vector_elements += work.data.count() / kActivationBytes;
  activity.ub += work.data;
  for (const Read& read : command.reads)
    if (read.ring == RingId::scores) activity.l0c += Bytes(kAccumulatorBytes * read.region.rows * read.region.depth);
  if (!command.writes.empty()) {
    const Region& result = command.writes[0].region;
    count_vector_result(activity, command, Bytes(kActivationBytes * result.rows * result.depth));
  }
}

void count_feed(Activity& activity, const Command& command, const FeedWork& work) {
  activity.l1 += work.a + work.b;
  (writes(command, RingId::l0_branch) ? activity.branch_l0 : activity.l0) += work.a + work.b;
}

void count_matmul(Activity& activity, const Command& command, const MatmulWork& work, const MatrixParams& params) {
  const MatrixActivity done = matrix_activity(params, work.bits, work.m, work.n, work.k);
  const bool own_unit = !command.reads.empty() && command.reads[0].ring == RingId::l0_branch;
  const bool on_branch = work.branch || own_unit;
  (on_branch ? activity.branch : activity.tensor)[work.bits] += done.macs;
  (on_branch ? activity.branch_dots : activity.tensor_dots)[work.bits] += done.dots;
  (own_unit ? activity.branch_l0 : activity.l0) += done.operands;
  (own_unit ? activity.branch_l0c : activity.l0c) += done.accumulators;
}

// What comes out of the unified buffer has been written there by the vector unit, as many bytes.
void count_drain(Activity& activity, const Command& command, const DrainWork& work, const DrainParams& params) {
  const Bytes sums(kAccumulatorBytes * (work.bytes.count() / params.output_element.count()));
  const std::int64_t tiles = command.reads.size() > 1 ? 1 : work.accumulators;  // of one buffer
  for (const Read& read : command.reads) {
    if (read.ring == RingId::ub_out)
      activity.ub += work.bytes * 2;
    else
      (read.ring == RingId::branch_acc ? activity.branch_l0c : activity.l0c) += sums * tiles;
  }
}

}  // namespace oscsim::units
