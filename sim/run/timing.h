// SPDX-License-Identifier: Apache-2.0
// Cycles of a GEMM, of shared work and of operations between GEMMs: mapping search, simulation, cycle stack.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "models/schemes/channel_table.h"
#include "models/units/chip.h"
#include "sim/mapping/gemm_program.h"
#include "sim/mapping/operation_program.h"
#include "sim/run/recorder.h"
#include "sim/run/result.h"
#include "sim/run/side_memo.h"

namespace oscsim {

// The time of a program as a result: its cycle stack explains the primary pipe of every core.
SideResult timing_of(const units::MachineParams& machine, units::PipeId primary,
                     const units::SimulationResult& simulation);

// Simulates programs on one machine. Equal work is simulated once unless its tiles are observed or `memo` is false;
// cycles are a pure function of the arguments either way. Recorders see the events of each side's equal work once.
class TimingModel {
 public:
  // `across` remembers the results of other machines and runs too. `cycle_limit`: RunOptions.
  explicit TimingModel(const units::MachineParams& machine, Recorders recorders = {}, bool memo = true,
                       SideMemo* across = nullptr, std::int64_t cycle_limit = 0)
      : machine_(machine),
        recorders_(std::move(recorders)),
        memo_(memo),
        across_(across),
        limit_(cycle_limit > 0 ? std::optional(Cycles(cycle_limit)) : std::nullopt) {}

  // `table` is needed when a pinned fused cast gathers.
  SideResult gemm(const WorkLabel& label, const GemmPlan& plan, const MappingParams& pinned,
                  const ChannelTable* table = nullptr, const units::TileObserver& on_output = {});
  // `table` is needed when the plan gathers.
  SideResult activation(const WorkLabel& label, const ActivationPlan& plan, const ChannelTable* table);
  SideResult attention(const WorkLabel& label, const AttentionPlan& plan);
  SideResult rows(const WorkLabel& label, const RowPlan& plan);

 private:
  struct Known {
    SideResult result;
    std::string name;  // of the work that was simulated
  };
  struct Work {
    units::Program program;
    std::optional<Tiling> tile;
    std::optional<AttentionTiling> attention_tile;
  };

  // The result of the work that `key` describes completely, on a machine of which it uses `used`, and that `make`
  // makes.
  SideResult timed(const WorkLabel& label, const std::string& key, const UsedParts& used,
                   const std::function<Work()>& make, const units::TileObserver& on_output = {});
  units::SimulationResult simulate(const WorkLabel& label, bool is_new, units::Program program,
                                   const units::TileObserver& on_output);
  // InputError when the side has no cycles left for so many.
  void spend(const WorkLabel& label, Cycles cycles);
  std::optional<Cycles> left(Side side) const;
  [[noreturn]] void refuse(const WorkLabel& label) const;
  // What is recorded of two sides does not stand for each other.
  std::string key_for(const WorkLabel& label, std::string key) const;
  const Known* find(const std::string& key) const;
  SideResult finished(const WorkLabel& label, const std::string& key, SideResult result);
  Tiling tiling_of(const std::string& key, const GemmPlan& plan, const MappingParams& pinned);

  const units::MachineParams& machine_;
  Recorders recorders_;
  bool memo_;
  SideMemo* across_;
  std::optional<Cycles> limit_;
  std::array<Cycles, kSides> spent_{Cycles(0), Cycles(0)};
  std::map<std::string, Known> known_;
  std::map<std::string, Tiling> tilings_;
};

}  // namespace oscsim
