// SPDX-License-Identifier: Apache-2.0
// Programs of what stands between the GEMMs: attention's products, and operations over rows.
#pragma once

#include "models/schemes/operation.h"
#include "models/units/machine.h"
#include "models/units/program.h"

namespace oscsim {

// Load, vector, drain over blocks of rows.
units::Program row_program(const RowPlan& plan, const units::MachineParams& machine);

// One query block of one head of keys and values at a time (a job): `rows` stacked query rows, against tiles of `keys`
// keys, which come from memory `stage` keys at a time. Scores and probabilities stay on the chip.
struct AttentionTiling {
  std::int64_t rows = 0, keys = 0;
  std::int64_t step_d = 0, step_keys = 0;  // depth of a step of Q K^T and of P V in L0
  std::int64_t stage = 0;                  // a multiple of keys
  std::int64_t stage_slots = 0;            // stages of K, and of V, in L1
  std::int64_t output_slots = 0;           // output tiles in the accumulators
  friend bool operator==(const AttentionTiling&, const AttentionTiling&) = default;
};

// The tiling with the smallest estimate; the first one among equals. InputError when not even the smallest one fits.
AttentionTiling search_attention(const AttentionPlan& plan, const units::MachineParams& machine);

// Jobs are dealt to the cores, the longest first, each to the core with the least work. The keys of one job are never
// split over cores.
units::Program attention_program(const AttentionPlan& plan, const units::MachineParams& machine,
                                 const AttentionTiling& tiling);

}  // namespace oscsim
