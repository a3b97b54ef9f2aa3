// SPDX-License-Identifier: Apache-2.0
// A GEMM that gathers and casts its activation itself: for each stage of A, X is loaded in 16 bit into the unified
// buffer, gathered, cast, and put into L1 by the vector pipe; again whenever the stage is loaded again. A scale of a
// whole row takes a sweep over X the first time that a core loads these rows; the row's scales then stay. Gathered
// channels wait in the unified buffer until their own stage, which is copied to L1 in one pass.
// Not modelled: time on the way from the unified buffer to L1; space for row scales.
#pragma once

#include <deque>

#include "sim/mapping/activation_path.h"
#include "sim/mapping/tiling.h"

namespace oscsim {

// Whether the tiling's GEMM casts its activation itself.
bool fuses(const Tiling& tiling);

// What one load of the stages of A for a tile of `rows` rows costs each pipe, and the sweep before the first one.
// Conflicts of the gather's banks are left out: the channel table is not known here.
struct FusedCost {
  double load = 0, gather = 0, vector = 0;  // cycles
  double bytes = 0;                         // from L2
  double sweep_load = 0, sweep_vector = 0, sweep_bytes = 0;
};
FusedCost fused_cost(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling,
                     std::int64_t rows);

// Rows of X that the unified buffer takes at a time; 0: not even one. `need`: bytes for one.
std::int64_t fused_rows(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling, Bytes& need);

// A stage of A for one tile.
struct FusedStage {
  units::Region a;
  std::int64_t slot = 0;    // of l1_a
  bool opens_rows = false;  // the first stage of rows that the core has not seen
};

// The commands of one pipe for the stages of a core, in order.
class FusedActivation {
 public:
  FusedActivation(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling,
                  const ChannelTable* table);

  bool uses(units::PipeId pipe) const;
  void emit(units::PipeId pipe, const FusedStage& stage, std::deque<units::Command>& commands);

 private:
  void emit_rows(units::PipeId pipe, const FusedStage& stage, const Chunk& chunk, std::deque<units::Command>& commands);
  void emit_branch(units::PipeId pipe, const FusedStage& stage, std::deque<units::Command>& commands);
  std::uint64_t address(const units::Region& x) const;

  ActivationPath path_;
  std::int64_t k_, stage_, rows_, sharers_;
  bool sweeps_rows_;
  std::int64_t tiles_ = 0, fetched_ = 0;  // of X and of single elements, so far
};

}  // namespace oscsim
