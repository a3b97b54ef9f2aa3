// SPDX-License-Identifier: Apache-2.0
// The invariants of every run over random machines, GEMMs and schemes, by RapidCheck: a case that fails is made
// smaller. RC_PARAMS="max_success=10000" makes the long run of scripts/long_tests.sh; RC_PARAMS="reproduce=..." repeats
// a case.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sim/run/timing.h"
#include "tests/oracle/variants.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeTime;
using units::SimulationResult;

struct Case {
  MachineParams machine;
  GemmPlan plan;
};

// Every choice is RapidCheck's: it shrinks toward small shapes and the first machine and scheme.
Case draw() {
  Variants variants([](std::int64_t low, std::int64_t high) { return *rc::gen::inRange(low, high + 1); });
  const auto& [machine_name, machine] = variants.any_of(machines());
  const auto& [scheme_name, scheme] = variants.any_of(schemes());
  const Shape shape = variants.shape();
  RC_LOG() << scheme_name << " on a variant of " << machine_name << ", " << to_string(shape) << "\n";
  return {variants.machine(machine), plan_of(scheme, shape)};
}

RC_GTEST_PROP(EveryRun, TakesAtLeastItsWorkAndItsBytes, ()) {
  const Case one = draw();
  const SimulationResult result = simulate_gemm(one.machine, one.plan);
  const auto total = static_cast<double>(result.total.count());
  RC_ASSERT(total >= work_at_peak(one.machine, one.plan));
  RC_ASSERT(total + 1e-6 >= bytes_at_peak(one.machine, one.plan));
  RC_ASSERT(result.traffic.hbm_read >= compulsory_read(one.machine, one.plan));
  RC_ASSERT(result.traffic.hbm_write == compulsory_write(one.machine, one.plan));
  RC_ASSERT(result.traffic.l2_read >= result.traffic.hbm_read);
}

RC_GTEST_PROP(EveryRun, AccountsForAllOfItsTime, ()) {
  const Case one = draw();
  units::Program program = gemm_program(one.plan, one.machine, search_tiling(one.plan, one.machine, {}));
  const units::PipeId primary = program.primary;
  const SimulationResult result = units::simulate(one.machine, std::move(program));
  for (const auto& core : result.cores)
    for (const PipeTime& time : core) {
      RC_ASSERT(accounted(time) <= time.end.cycle());
      RC_ASSERT(time.end.cycle() <= result.total.count());
      RC_ASSERT(time.active <= result.total);
    }
  const SideResult side = timing_of(one.machine, primary, result);
  std::int64_t sum = 0;
  for (const auto& [name, part] : side.cycle_stack) {
    RC_ASSERT(part.count() >= 0);
    sum += part.count();
  }
  RC_ASSERT(sum == side.cycles.count());
  for (const auto& [name, busy] : side.busy_cycles) RC_ASSERT(busy <= side.cycles);
}

RC_GTEST_PROP(EveryRun, TakesTheSameCyclesAgain, ()) {
  const Case one = draw();
  const SimulationResult first = simulate_gemm(one.machine, one.plan);
  const SimulationResult second = simulate_gemm(one.machine, one.plan);
  RC_ASSERT(first.total == second.total);
  RC_ASSERT(first.commands == second.commands);
  RC_ASSERT(first.traffic.hbm_read == second.traffic.hbm_read);
}

// One core, one output tile: nothing arrives in another order. A feed that shares L1's port with loads is slowed by a
// faster load, so the ports are separate here.
RC_GTEST_PROP(BetterMachine, NeverSlowsOneTile, ()) {
  Case one = draw();
  one.machine.cores = 1;
  one.machine.core.feed.shared_port = BytesPerCycle(0);
  one.plan.m = std::min<std::int64_t>(one.plan.m, 32);
  one.plan.n = std::min<std::int64_t>(one.plan.n, 64);
  MappingParams pins;
  pins.m = 32;
  pins.n = 64;
  const Tiling tiling = search_tiling(one.plan, one.machine, pins);
  const auto& [name, improve] = improvements()[*rc::gen::inRange<std::size_t>(0, improvements().size())];
  RC_LOG() << name << "\n";
  MachineParams better = one.machine;
  improve(better);
  const auto cycles = [&](const MachineParams& machine) { return simulate_gemm(machine, one.plan, tiling).total; };
  RC_ASSERT(cycles(better) <= cycles(one.machine));
}

}  // namespace
}  // namespace oscsim
