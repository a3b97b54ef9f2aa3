// SPDX-License-Identifier: Apache-2.0
// Attention of any size, the unit of 16-bit work, and the end of simulated time.
#include <gmock/gmock.h>

#include "sim/run/timing.h"
#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using units::MachineParams;
using units::PipeId;

constexpr FormatId kFormats[] = {FormatId::bf16, FormatId::fp16, FormatId::fp8, FormatId::mxfp8};

std::int64_t cycles_of(const MachineParams& machine, const AttentionPlan& plan) {
  return TimingModel(machine).attention({}, plan).cycles.count();
}

AttentionSizes decode(std::int64_t sequences, std::int64_t keys) {
  return {.sequences = sequences, .heads = 32, .kv_heads = 8, .head_dim = 128, .queries = 1, .keys = keys};
}

// The decode of the first token of Qwen3-8B, 16 sequences: one key.
TEST(FaultA1, OneKeyRunsOnEveryMachine) {
  for (const auto& [name, machine] : machines())
    for (const FormatId format : kFormats)
      for (const std::int64_t keys : {1, 8, 16}) {
        SCOPED_TRACE(fmt::format("{} keys, {} on {}", keys, name_of(format), name));
        EXPECT_LE(cycles_of(machine, {decode(16, keys), format}), cycles_of(machine, {decode(16, keys + 1), format}));
      }
}

TEST(FaultA1, VariantFewKeysAreNoSlowerThanOneMore) {
  for (const auto& [name, machine] : machines())
    for (const FormatId format : {FormatId::bf16, FormatId::mxfp8}) {
      std::int64_t before = 0;
      for (std::int64_t keys = 1; keys <= 40; ++keys) {
        const std::int64_t cycles = cycles_of(machine, {decode(16, keys), format});
        // One per cent: the order of requests to the memory is another one.
        EXPECT_LE(before, cycles + cycles / 100) << fmt::format("{} keys, {} on {}", keys, name_of(format), name);
        before = cycles;
      }
    }
}

// Prefill of few tokens, windows, heads that are no multiple of a cube or of a scale block.
TEST(FaultA1, VariantOddSizesRun) {
  for (const auto& [name, machine] : machines())
    for (const FormatId format : kFormats)
      for (const std::int64_t head_dim : {1, 20, 80, 128})
        for (const std::int64_t queries : {1, 2, 17})
          for (const std::int64_t group : {1, 3}) {
            AttentionSizes sizes{.sequences = 1,
                                 .heads = 5 * group,
                                 .kv_heads = 5,
                                 .head_dim = head_dim,
                                 .queries = queries,
                                 .keys = queries,
                                 .causal = true};
            SCOPED_TRACE(fmt::format("{} queries, head of {}, group of {}, {} on {}", queries, head_dim, group,
                                     name_of(format), name));
            EXPECT_GT(cycles_of(machine, {sizes, format}), 0);
            sizes.causal = false;
            sizes.keys = queries + 3;
            EXPECT_GT(cycles_of(machine, {sizes, format}), 0);
          }
}

MatmulPass pass_of(FormatId format, bool branch) {
  return {format, 4096, branch};
}

TEST(FaultA11, SixteenBitWorkIsTheTensorUnitsWhereItHasTheRate) {
  const MachineParams& machine = machines().at("edge_npu");
  ASSERT_EQ(machine.core.branch.placement, units::BranchPlacement::own);
  for (const FormatId format : {FormatId::bf16, FormatId::fp16}) {
    EXPECT_EQ(unit_of(machine, pass_of(format, false)).pipe, PipeId::tensor);
    EXPECT_EQ(unit_of(machine, pass_of(format, true)).pipe, PipeId::branch);
  }
}

TEST(FaultA11, VariantATensorUnitWithoutTheRateLeavesItToTheBranchUnit) {
  MachineParams machine = machines().at("edge_npu");
  machine.core.tensor.cube.k0_16bit = 0;
  EXPECT_EQ(unit_of(machine, pass_of(FormatId::bf16, false)).pipe, PipeId::branch);
  EXPECT_EQ(unit_of(machine, pass_of(FormatId::int8, false)).pipe, PipeId::tensor);
  const AttentionPlan plan{decode(1, 100), FormatId::bf16};
  const SideResult side = TimingModel(machine).attention({}, plan);
  EXPECT_EQ(side.activity.tensor.bits16, Macs(0));
  EXPECT_GE(side.activity.branch.bits16, attention_macs(plan.sizes));
}

// The branch's width, buffers and start-up change nothing of 16-bit GEMMs and attention.
TEST(FaultA11, VariantTheBranchUnitDoesNotReachOtherWork) {
  const MachineParams& machine = machines().at("edge_npu");
  MachineParams other = machine;
  other.core.branch.cube.k0_16bit = 64;
  other.core.branch.operand_buffer = Bytes(64);
  other.core.branch.accumulator = Bytes(64);
  const GemmPlan gemm = plan_of(schemes().at("bf16"), {300, 500, 700});
  const AttentionPlan attention{decode(2, 300), FormatId::bf16};
  const SideResult before = TimingModel(machine).gemm({}, gemm, {}), after = TimingModel(other).gemm({}, gemm, {});
  EXPECT_EQ(before.cycles, after.cycles);
  EXPECT_EQ(before.cycle_stack, after.cycle_stack);
  EXPECT_EQ(cycles_of(machine, attention), cycles_of(other, attention));
  EXPECT_EQ(before.activity.branch.bits16, Macs(0));
  EXPECT_EQ(before.activity.branch_l0c, Bytes(0));
}

std::string end_of_time(const MachineParams& machine) {
  try {
    WorkLabel label;
    label.name = "g";
    TimingModel(machine).gemm(label, plan_of(schemes().at("w8a8"), {16, 16, 32}), {});
  } catch (const InputError& error) {
    return error.what();
  }
  return "none";
}

TEST(FaultA12, TimeHasAnEndThatTheMessageNames) {
  MachineParams machine = machines().at("ascend_950pr");
  machine.hbm.bandwidth = BytesPerSecond(1);
  EXPECT_EQ(end_of_time(machine),
            "g: its simulated time passes 14849990347506 cycles (9000 s at 1.65 GHz), the most that can be simulated");
}

TEST(FaultA12, VariantSlowClockL2AndDrain) {
  MachineParams machine = machines().at("ascend_950pr");
  machine.l2.bandwidth = BytesPerSecond(1);
  EXPECT_EQ(end_of_time(machine), "none");
  machine = machines().at("ascend_950pr");
  machine.clock = Hertz(1e3);
  EXPECT_EQ(end_of_time(machine), "none");
  machine.core.drain.rate = BytesPerCycle(1e-3);
  EXPECT_EQ(end_of_time(machine), "none");
}

// 16 rows of 16 results of 2 bytes, and two operands of 512 bytes, at a byte a second: 1536 s at least.
TEST(FaultA12, VariantATimeBelowTheLimitIsRight) {
  MachineParams machine = machines().at("ascend_950pr");
  machine.hbm = {};
  machine.hbm.bandwidth = BytesPerSecond(1);
  const SideResult side = TimingModel(machine).gemm({}, plan_of(schemes().at("w8a8"), {16, 16, 32}), {});
  EXPECT_NEAR(side.time_us, 1536e6, 1e3);
}

}  // namespace
}  // namespace oscsim
