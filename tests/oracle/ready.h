// SPDX-License-Identifier: Apache-2.0
// The ready machines and schemes, and one GEMM on one of them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "models/units/chip.h"
#include "sim/config/reader.h"
#include "sim/mapping/gemm_program.h"

namespace oscsim {

template <class Params>
std::map<std::string, Params> read_folder(const std::string& folder) {
  std::map<std::string, Params> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.emplace(entry.path().stem().string(), config::read_file_as<Params>(entry.path()));
  return files;
}

inline const std::map<std::string, units::MachineParams>& machines() {
  static const auto kMachines = read_folder<units::MachineParams>("configs/machines");
  return kMachines;
}

inline const std::map<std::string, SchemeParams>& schemes() {
  static const auto kSchemes = read_folder<SchemeParams>("configs/schemes");
  return kSchemes;
}

inline SchemeParams osc_with_group(std::int64_t group) {
  SchemeParams scheme = schemes().at("osc");
  scheme.outliers->group = group;
  return scheme;
}

struct Shape {
  std::int64_t m = 0, n = 0, k = 0;
  friend std::string to_string(const Shape& shape) { return fmt::format("{} x {} x {}", shape.m, shape.n, shape.k); }
};

inline GemmPlan plan_of(const SchemeParams& scheme, const Shape& shape) {
  return plan_gemm(scheme, Position::attn_in, shape.m, shape.n, shape.k);
}

inline units::SimulationResult simulate_gemm(const units::MachineParams& machine, const GemmPlan& plan,
                                             const Tiling& tiling, const units::Observers& observers = {}) {
  return units::simulate(machine, gemm_program(plan, machine, tiling), observers);
}

inline units::SimulationResult simulate_gemm(const units::MachineParams& machine, const GemmPlan& plan) {
  return simulate_gemm(machine, plan, search_tiling(plan, machine, {}));
}

// Bytes that a GEMM must read and write at least: every operand once, every output once.
inline Bytes compulsory_read(const units::MachineParams& machine, const GemmPlan& plan) {
  Bytes bytes{0};
  for (const MatmulPass& pass : plan.passes)
    bytes += operand_bytes(machine, pass, plan.m, pass.k) + operand_bytes(machine, pass, plan.n, pass.k);
  return bytes;
}

inline Bytes compulsory_write(const units::MachineParams& machine, const GemmPlan& plan) {
  return machine.core.drain.output_element * (plan.m * plan.n);
}

// Cycles of the busier kind of matrix unit when all cores multiply at their peak all the time.
inline double work_at_peak(const units::MachineParams& machine, const GemmPlan& plan) {
  double tensor = 0, branch = 0;
  for (const MatmulPass& pass : plan.passes) {
    const double macs = static_cast<double>(plan.m) * static_cast<double>(plan.n) * static_cast<double>(pass.k);
    const auto rate =
        static_cast<double>(macs_per_cycle(machine.matrix(pass.bits(), pass.branch), pass.bits()).count());
    (machine.runs_on_branch(pass.bits(), pass.branch) ? branch : tensor) +=
        macs / rate / static_cast<double>(machine.cores);
  }
  return std::max(tensor, branch);
}

// Cycles that the compulsory bytes take at the memory's bandwidth.
inline double bytes_at_peak(const units::MachineParams& machine, const GemmPlan& plan) {
  const Bytes bytes = compulsory_read(machine, plan) + compulsory_write(machine, plan);
  return static_cast<double>(bytes.count()) / per_cycle(machine.hbm.bandwidth, machine.clock).count();
}

// Cycles of a pipe that are work, start-up or waiting.
inline std::int64_t accounted(const units::PipeTime& time) {
  Cycles sum = time.busy + time.branch + time.startup;
  for (const Cycles waiting : time.waiting) sum += waiting;
  return sum.count();
}

}  // namespace oscsim
