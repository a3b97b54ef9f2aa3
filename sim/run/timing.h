// SPDX-License-Identifier: Apache-2.0
// Cycles of a GEMM and of shared work: mapping search, simulation, cycle stack.
#pragma once

#include <map>
#include <string>

#include "models/schemes/channel_table.h"
#include "models/units/chip.h"
#include "sim/mapping/gemm_program.h"
#include "sim/run/result.h"

namespace oscsim {

// The time of a program as a result: its cycle stack explains the primary pipe of every core.
SideResult timing_of(const units::MachineParams& machine, units::PipeId primary,
                     const units::SimulationResult& simulation);

// Simulates programs on one machine. Equal work is simulated once unless its tiles are observed; cycles are a pure
// function of the arguments either way.
class TimingModel {
 public:
  explicit TimingModel(const units::MachineParams& machine) : machine_(machine) {}

  SideResult gemm(const GemmPlan& plan, const MappingParams& pinned, const units::TileObserver& on_output = {});
  // `table` is needed when the plan gathers.
  SideResult activation(const ActivationPlan& plan, std::int64_t rows, std::int64_t k, const ChannelTable* table);

 private:
  const units::MachineParams& machine_;
  std::map<std::string, SideResult> known_;
  std::map<std::string, Tiling> tilings_;
};

}  // namespace oscsim
