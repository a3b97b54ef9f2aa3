// SPDX-License-Identifier: Apache-2.0
#include "sim/run/side_memo.h"

#include <gtest/gtest.h>

#include "sim/run/inputs.h"
#include "sim/run/run.h"

namespace oscsim {
namespace {

RunOptions options_with(std::vector<std::string> settings) {
  RunOptions options;
  options.machine = "edge_npu";
  options.gemms = {"64,256,512,attn_in"};
  options.timing_only = true;
  options.settings = std::move(settings);
  return options;
}

// How many of the four works (GEMM and cast of both sides) the change makes to simulate again.
std::int64_t simulated_after(const std::string& change) {
  SideMemo memo;
  for (const auto& settings : {std::vector<std::string>{}, std::vector<std::string>{change}}) {
    const RunOptions options = options_with(settings);
    run(options, read_inputs(options), &memo);
  }
  return memo.counts().simulated - 4;
}

TEST(SideMemo, SimulatesAgainOnlyWhatAParameterReaches) {
  EXPECT_EQ(simulated_after("machine.description=other"), 0);
  EXPECT_EQ(simulated_after("machine.core.accumulator=exact"), 0);
  EXPECT_EQ(simulated_after("machine.core.gather.lanes=3"), 1);          // the scheme's cast
  EXPECT_EQ(simulated_after("machine.core.branch.gap=17cycles"), 1);     // the scheme's GEMM
  EXPECT_EQ(simulated_after("machine.core.tensor.k0_4bit=32"), 1);       // the scheme's GEMM
  EXPECT_EQ(simulated_after("machine.core.tensor.k0_8bit=16"), 1);       // the baseline's GEMM
  EXPECT_EQ(simulated_after("machine.core.vector.rate=100B/cycle"), 2);  // both casts
  EXPECT_EQ(simulated_after("machine.core.feed.setup=33cycles"), 2);     // both GEMMs
  EXPECT_EQ(simulated_after("machine.hbm.bandwidth=77GB/s"), 4);
  EXPECT_EQ(simulated_after("scheme.outliers.group=16"), 2);
}

}  // namespace
}  // namespace oscsim
