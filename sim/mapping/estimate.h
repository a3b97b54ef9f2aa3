// SPDX-License-Identifier: Apache-2.0
// The first judgement of a tiling, in less than a microsecond: what the search sorts its candidates by.
#pragma once

#include "sim/mapping/fused_activation.h"
#include "sim/mapping/tiling.h"

namespace oscsim {

// Per output tile of full size; cycles where not said otherwise. The same for every split over cores, but for loads
// whose cost depends on who shares their rows (core.load.shared_row).
struct TileCost {
  double tensor = 0, branch = 0, feed = 0;
  double load_a = 0, load_b = 0;  // cycles of the load port
  double bytes_a = 0, bytes_b = 0;
  double hbm_a = 0, hbm_b = 0;  // bytes at HBM's peak that take as long as these
  double first_load = 0, first_feed = 0, first_step = 0;
  std::int64_t stages = 0;
  bool single_accumulator = false;
  FusedCost fused;  // of a load of A, when the GEMM casts it
};

TileCost tile_cost(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling);

// Cycles of the whole GEMM.
double estimate_cycles(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling,
                       const TileCost& cost);

}  // namespace oscsim
