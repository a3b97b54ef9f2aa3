// SPDX-License-Identifier: Apache-2.0
// A GEMM's time from the tokens of its busiest core alone: each command starts when its pipe is free and its tokens are
// there, as on the chip, and the other cores are taken to do the same just behind it, so that each of its requests to
// the shared memory is followed by theirs. No events, no queues: some ten nanoseconds a command.
// Left out: cores that drift apart, transfers of other cores between two of this one's that are less than a round away,
// bank conflicts of a gather, lines of L2 that a partial overlap keeps.
#pragma once

#include "sim/mapping/gemm_walk.h"

namespace oscsim {

// Cycles; infinite as soon as they are known to be more than `limit`.
double core_model_cycles(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling, double limit);

}  // namespace oscsim
