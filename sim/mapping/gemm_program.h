// SPDX-License-Identifier: Apache-2.0
// Programs: the command streams of a GEMM under a tiling, and of the work on an activation that GEMMs share.
#pragma once

#include "models/schemes/channel_table.h"
#include "sim/mapping/tiling.h"

namespace oscsim {

// Lazy: the streams hold the tiling and a position in it. `table` is needed when the tiling fuses a gather.
units::Program gemm_program(const GemmPlan& plan, const units::MachineParams& machine, const Tiling& tiling,
                            const ChannelTable* table = nullptr);

// Gather and quantise X [rows, k]: load, gather, vector, drain. `table` is needed when the plan gathers.
// InputError when the unified buffer is too small for one block of a row.
units::Program activation_program(const ActivationPlan& plan, const units::MachineParams& machine, std::int64_t rows,
                                  std::int64_t k, const ChannelTable* table);

}  // namespace oscsim
