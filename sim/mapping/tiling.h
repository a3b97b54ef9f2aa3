// SPDX-License-Identifier: Apache-2.0
// The mapping of one GEMM onto a machine: tile sizes, what stays in L1, loop order, split over cores.
#pragma once

#include <cstdint>
#include <vector>

#include "models/schemes/plan.h"
#include "models/units/machine.h"
#include "models/units/program.h"
#include "sim/mapping/mapping_params.h"

namespace oscsim {

// Depth of one pass: `step` along k at a time in L0, `stage` at a time in L1 (a multiple of step); a load of block
// scales covers `scale_stages` stages.
struct PassTiling {
  std::int64_t step = 0;
  std::int64_t stage = 0;
  std::int64_t scale_stages = 1;
  friend bool operator==(const PassTiling&, const PassTiling&) = default;
};

struct Tiling {
  std::int64_t m = 0, n = 0;       // output tile
  std::vector<PassTiling> passes;  // like GemmPlan::passes
  LoopOrder order = LoopOrder::m_outer;
  std::int64_t cores_m = 1, cores_n = 1;
  std::int64_t core_m = 0, core_n = 0;  // rows and columns of a core's share; 0: whole tiles, as equal as they go
  std::int64_t l1_slots = 2;            // of a streaming operand
  std::int64_t parts_m = 1;             // M is taken in so many parts by all cores together
  bool drain_follows = true;
  bool constants_folded = true;
  QuantisePlace quantise = QuantisePlace::prologue;
  friend bool operator==(const Tiling&, const Tiling&) = default;
};

// Bytes of a tile of an operand in memory and in L1: codes, and scales where the machine counts them.
Bytes operand_bytes(const units::MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth);
Bytes code_bytes(const MatmulPass& pass, std::int64_t rows, std::int64_t depth);
Bytes scale_bytes(const units::MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth);
bool has_scales(const units::MachineParams& machine, const MatmulPass& pass);

// The pipe that multiplies a pass, and the rings it uses.
struct PassUnit {
  units::PipeId pipe;
  units::RingId operands;
  units::RingId accumulators;
};
PassUnit unit_of(const units::MachineParams& machine, const MatmulPass& pass);

// Slots of each ring that a tiling gets on a machine; 0 where a buffer is too small for it.
struct RingSlots {
  std::int64_t l1_a = 0, l1_b = 0, l1_a_scales = 0, l1_b_scales = 0, accumulators = 0, branch_accumulators = 0;
  double l1_bytes = 0;  // that the loads take, whether or not they fit
};
// One output tile's FP32 accumulators in the buffer of one matrix unit.
Bytes accumulator_bytes(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling);
RingSlots ring_slots(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling);

// Loads into L1 that one strip (a tile's rows, all of k, every pass) takes.
std::int64_t stages_per_tile(const GemmPlan& plan, const Tiling& tiling);

// The tiling with the fewest cycles by core_model.h within the buffers' capacities, of those that estimate.h puts
// first; the first one found among equals, so the result is a pure function of its arguments. InputError when a pinned
// value does not fit, with the buffer that is too small.
Tiling search_tiling(const GemmPlan& plan, const units::MachineParams& machine, const MappingParams& pinned);

}  // namespace oscsim
