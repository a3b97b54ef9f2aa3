// SPDX-License-Identifier: Apache-2.0
// --cycle-limit: neither more nor less than the cycles that a run reports, whatever is remembered of them.
#include <gtest/gtest.h>

#include <algorithm>

#include "models/schemes/scheme.h"
#include "sim/mapping/gemm_program.h"
#include "sim/mapping/tiling.h"
#include "sim/run/inputs.h"
#include "sim/run/run.h"
#include "sim/run/threads.h"

namespace oscsim {
namespace {

RunOptions two_equal_gemms() {
  RunOptions options;
  options.machine = "edge_npu";
  options.gemms = {"64,256,512,attn_in", "64,256,512,attn_in"};
  options.timing_only = true;
  return options;
}

std::string refusal(const RunOptions& options) {
  try {
    run(options);
  } catch (const InputError& error) {
    return error.what();
  }
  return "none";
}

std::string beyond(const std::string& at, std::int64_t limit, const std::string& side) {
  return fmt::format("{}: the {} takes more than {} cycles, the --cycle-limit, with this and what came before", at,
                     side, limit);
}

TEST(FaultLimits, ARunOfExactlyTheLimitIsDone) {
  RunOptions options = two_equal_gemms();
  const RunResult free = run(options);
  options.cycle_limit = std::max(free.scheme_total.cycles, free.baseline_total.cycles).count();
  const RunResult limited = run(options);
  EXPECT_EQ(limited.scheme_total.cycles, free.scheme_total.cycles);
  EXPECT_EQ(limited.baseline_total.cycles, free.baseline_total.cycles);
}

TEST(FaultLimits, OneCycleLessIsRefusedWithAndWithoutMemory) {
  RunOptions options = two_equal_gemms();
  const RunResult free = run(options);
  const bool scheme = free.scheme_total.cycles > free.baseline_total.cycles;
  options.cycle_limit = std::max(free.scheme_total.cycles, free.baseline_total.cycles).count() - 1;
  const std::string expected = beyond(scheme ? "gemm_64x256x512_2 under osc" : "gemm_64x256x512_2 under w8a8",
                                      options.cycle_limit, scheme ? "scheme" : "baseline");
  EXPECT_EQ(refusal(options), expected);
  options.no_memo = true;
  EXPECT_EQ(refusal(options), expected);
}

TEST(FaultLimits, TheWorkThatPassesTheLimitIsNamed) {
  RunOptions options = two_equal_gemms();
  options.cycle_limit = 1;
  EXPECT_EQ(refusal(options), beyond("gemm_64x256x512.input (shared work) under osc", 1, "scheme"));
}

TEST(FaultLimits, ASimulationEndsAtItsLimit) {
  RunOptions options = two_equal_gemms();
  const RunInputs inputs = read_inputs(options);
  const Gemm& gemm = inputs.trace.gemms.front();
  const GemmPlan plan = plan_gemm(inputs.baseline.config, gemm.position, gemm.m, gemm.n, gemm.k);
  const Tiling tiling = search_tiling(plan, inputs.machine, {});
  const auto simulated = [&](std::optional<Cycles> most) {
    return units::simulate(inputs.machine, gemm_program(plan, inputs.machine, tiling), {}, most);
  };
  const units::SimulationResult whole = simulated(std::nullopt);
  const units::SimulationResult exact = simulated(whole.total);
  EXPECT_FALSE(exact.is_cut);
  EXPECT_EQ(exact.total, whole.total);
  EXPECT_EQ(exact.commands, whole.commands);
  EXPECT_TRUE(simulated(whole.total - Cycles(1)).is_cut);
  EXPECT_TRUE(simulated(Cycles(0)).is_cut);
  // The next one is not disturbed by those that were cut off.
  EXPECT_EQ(simulated(std::nullopt).total, whole.total);
}

TEST(FaultD11, ThreadsThatCanBeStartedAreCounted) {
  EXPECT_EQ(startable_threads(0), 1U);
  EXPECT_EQ(startable_threads(1), 1U);
  EXPECT_EQ(startable_threads(3), 3U);
}

}  // namespace
}  // namespace oscsim
