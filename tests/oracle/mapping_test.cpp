// SPDX-License-Identifier: Apache-2.0
// The tile search: within the buffers, true to its pins, close to the simulation; and programs that stay small.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "sim/mapping/core_model.h"
#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

using units::PipeId;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// Bits of `rows` x `depth` elements, counted without the mapper's helpers: codes, and one E8M0 scale for 32 elements.
std::int64_t codes_in(const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  const bool blocks = numerics::format(pass.format).block_scale != numerics::BlockScale::none;
  const std::int64_t padded = blocks ? (depth + 31) / 32 * 32 : depth;
  return rows * ((padded * pass.bits() + 7) / 8);
}
std::int64_t scales_in(const units::MachineParams& machine, const MatmulPass& pass, std::int64_t rows,
                       std::int64_t depth) {
  const bool blocks = numerics::format(pass.format).block_scale != numerics::BlockScale::none;
  return blocks && machine.count_scale_bytes ? rows * ((depth + 31) / 32) : 0;
}

void expect_fits(const units::MachineParams& machine, const GemmPlan& plan, const Tiling& tiling) {
  const units::BufferParams& buffers = machine.core.buffers;
  std::int64_t load_a = 0, load_b = 0, stages = 0, scales_a = 0, scales_b = 0, groups = 0;
  bool tensor = false, branch = false;
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const MatmulPass& pass = plan.passes[i];
    const auto [step, stage, scale_stages] = tiling.passes[i];
    ASSERT_GT(step, 0);
    EXPECT_EQ(stage % step, 0);
    const bool own = pass.branch && machine.core.branch.placement == units::BranchPlacement::own;
    (own ? branch : tensor) = true;
    EXPECT_LE(2 * codes_in(pass, tiling.m, step), (own ? machine.core.branch.operand_buffer : buffers.l0a).count());
    EXPECT_LE(2 * codes_in(pass, tiling.n, step), (own ? machine.core.branch.operand_buffer : buffers.l0b).count());
    EXPECT_LE(2 * scales_in(machine, pass, std::max(tiling.m, tiling.n), step), buffers.l0_scales.count());
    const std::int64_t depth = std::min(stage, pass.k);
    load_a = std::max(load_a, codes_in(pass, tiling.m, depth));
    load_b = std::max(load_b, codes_in(pass, tiling.n, depth));
    stages += (pass.k + stage - 1) / stage;
    const std::int64_t group = std::min(stage * scale_stages, pass.k);
    if (scales_in(machine, pass, 1, group) == 0) continue;
    scales_a = std::max(scales_a, scales_in(machine, pass, tiling.m, group));
    scales_b = std::max(scales_b, scales_in(machine, pass, tiling.n, group));
    groups += (pass.k + group - 1) / group;
  }
  const auto slots = [&](LoopOrder resident, std::int64_t loads) {
    return tiling.order == resident ? std::max<std::int64_t>(2, loads) : 2;
  };
  EXPECT_LE(slots(LoopOrder::a_resident, stages) * load_a + slots(LoopOrder::b_resident, stages) * load_b +
                slots(LoopOrder::a_resident, groups) * scales_a + slots(LoopOrder::b_resident, groups) * scales_b,
            buffers.l1.count());
  const bool two_in_l0c = plan.passes.size() > 1 && !branch && plan.join_place == JoinPlace::epilogue;
  const std::int64_t tile = tiling.m * tiling.n * 4;
  EXPECT_LE(tensor ? tile * (two_in_l0c ? 2 : 1) : 0, buffers.l0c.count());
  EXPECT_LE(branch ? tile : 0, machine.core.branch.accumulator.count());
  EXPECT_LE(tiling.cores_m * tiling.cores_n, machine.cores);
  EXPECT_LE(tiling.cores_m, tiles_of(plan.m, tiling.m));
  EXPECT_LE(tiling.cores_n, tiles_of(plan.n, tiling.n));
}

const std::vector<Shape> kShapes{{1, 1, 1},        {16, 4096, 4096},  {2048, 4096, 4096}, {2048, 12288, 4096},
                                 {333, 777, 1555}, {2048, 128, 2048}, {100000, 16, 64},   {17, 151936, 4096}};

TEST(Search, NeverReturnsATilingThatDoesNotFit) {
  for (const auto& [machine_name, machine] : machines())
    for (const auto& [scheme_name, scheme] : schemes())
      for (const Shape& shape : kShapes) {
        SCOPED_TRACE(fmt::format("{} on {}, {}", scheme_name, machine_name, to_string(shape)));
        const GemmPlan plan = plan_of(scheme, shape);
        expect_fits(machine, plan, search_tiling(plan, machine, {}));
      }
}

TEST(Search, JoinInTheEpilogueLeavesRoomForBothAccumulators) {
  SchemeParams scheme = schemes().at("osc");
  scheme.outliers->join_place = JoinPlace::epilogue;
  for (const auto& [name, machine] : machines()) {
    SCOPED_TRACE(name);
    const GemmPlan plan = plan_of(scheme, {2048, 4096, 4096});
    expect_fits(machine, plan, search_tiling(plan, machine, {}));
  }
}

TEST(Search, TakesShallowerStepsWhenL1IsTheSmallerBuffer) {
  units::MachineParams machine = machines().at("ascend_950pr");
  machine.core.buffers.l1 = Bytes(16 * 1024);  // a quarter of L0A
  for (const auto& [name, scheme] : schemes()) {
    SCOPED_TRACE(name);
    const GemmPlan plan = plan_of(scheme, {300, 500, 4096});
    expect_fits(machine, plan, search_tiling(plan, machine, {}));
  }
}

// Whole folds, long streams: the search sees the array through its granules and its timing rule alone.
TEST(Search, KeepsASystolicArrayBusyInEachDataflow) {
  units::MachineParams machine = machines().at("systolic_128");
  for (const auto& [name, dataflow] : EnumNames<units::Dataflow>::kValues)
    for (const std::string scheme : {"bf16", "w8a8", "osc"}) {
      machine.core.tensor.systolic.dataflow = dataflow;
      const GemmPlan plan = plan_of(schemes().at(scheme), {2048, 4096, 4096});
      const auto total = static_cast<double>(simulate_gemm(machine, plan).total.count());
      EXPECT_GE(work_at_peak(machine, plan) / total, 0.75) << name << ", " << scheme;
    }
}

TEST(Search, IsAPureFunction) {
  for (const auto& [name, machine] : machines()) {
    const GemmPlan plan = plan_of(schemes().at("osc"), {2048, 4096, 4096});
    EXPECT_EQ(search_tiling(plan, machine, {}), search_tiling(plan, machine, {})) << name;
  }
}

TEST(Search, HonoursEveryPin) {
  const units::MachineParams& machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("osc"), {2048, 4096, 4096});
  MappingParams pinned;
  pinned.m = 96;
  pinned.n = 80;
  pinned.k = 192;
  pinned.stage_k = 384;
  pinned.cores_m = 3;
  pinned.cores_n = 7;
  pinned.order = LoopOrder::n_outer;
  const Tiling tiling = search_tiling(plan, machine, pinned);
  EXPECT_EQ(tiling.m, 96);
  EXPECT_EQ(tiling.n, 80);
  EXPECT_EQ(tiling.passes[0], (PassTiling{192, 384, tiling.passes[0].scale_stages}));
  EXPECT_EQ(tiling.cores_m, 3);
  EXPECT_EQ(tiling.cores_n, 7);
  EXPECT_EQ(tiling.order, LoopOrder::n_outer);
  expect_fits(machine, plan, tiling);
}

TEST(Search, PinsHoldOneByOne) {
  const units::MachineParams& machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("w8a8"), {2048, 4096, 4096});
  const auto with = [&](auto member, auto value) {
    MappingParams pinned;
    pinned.*member = value;
    return search_tiling(plan, machine, pinned);
  };
  EXPECT_EQ(with(&MappingParams::m, 48).m, 48);
  EXPECT_EQ(with(&MappingParams::n, 112).n, 112);
  EXPECT_EQ(with(&MappingParams::k, 64).passes[0].step, 64);
  EXPECT_EQ(with(&MappingParams::cores_m, 5).cores_m, 5);
  EXPECT_EQ(with(&MappingParams::cores_n, 3).cores_n, 3);
  for (const auto& [name, order] : EnumNames<LoopOrder>::kValues)
    EXPECT_EQ(with(&MappingParams::order, order).order, order) << name;
}

std::string error_of(const std::string& scheme, const MappingParams& pinned,
                     const units::MachineParams& machine = machines().at("ascend_950pr")) {
  try {
    search_tiling(plan_of(schemes().at(scheme), {2048, 4096, 4096}), machine, pinned);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

MappingParams pins(std::optional<std::int64_t> m, std::optional<std::int64_t> n, std::optional<std::int64_t> k = {},
                   std::optional<std::int64_t> stage_k = {}) {
  MappingParams pinned;
  pinned.m = m;
  pinned.n = n;
  pinned.k = k;
  pinned.stage_k = stage_k;
  return pinned;
}

TEST(PinThatDoesNotFit, NamesTheOperandBuffer) {
  EXPECT_EQ(
      error_of("bf16", pins(4096, 256)),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 4096, mapping.n 256: tile of m 4096 n "
      "256 k 16: core.buffers.l0a of 65536 bytes is too small for two steps of 131072 bytes");
  EXPECT_EQ(
      error_of("w8a8", pins(64, 128, 512)),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 64, mapping.n 128, mapping.k 512: tile "
      "of m 64 n 128 k 512: core.buffers.l0b of 65536 bytes is too small for two steps of 65536 bytes");
  EXPECT_EQ(error_of("w8a8_mxfp8", pins(128, 2048)),
            "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 128, mapping.n 2048: tile of m 128 n "
            "2048 k 32: core.buffers.l0b of 65536 bytes is too small for two steps of 65536 bytes");
}

TEST(PinThatDoesNotFit, NamesTheScaleBuffer) {
  units::MachineParams machine = machines().at("ascend_950pr");
  machine.core.buffers.l0_scales = Bytes(2048);
  EXPECT_EQ(
      error_of("w4a4", pins(64, 64, 1024), machine),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 64, mapping.n 64, mapping.k 1024: tile "
      "of m 64 n 64 k 1024: core.buffers.l0_scales of 2048 bytes is too small for two steps of 2048 bytes");
}

TEST(PinThatDoesNotFit, NamesTheAccumulatorBuffer) {
  EXPECT_EQ(
      error_of("bf16", pins(512, 256)),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 512, mapping.n 256: tile of m 512 n 256: "
      "core.buffers.l0c of 262144 bytes does not hold its FP32 accumulators of 524288 bytes");
  units::MachineParams machine = machines().at("edge_npu");
  machine.core.tensor.cube.k0_16bit = 0;
  EXPECT_EQ(
      error_of("bf16", pins(128, 256), machine),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 128, mapping.n 256: tile of m 128 n 256: "
      "core.branch.accumulator of 65536 bytes does not hold its FP32 accumulators of 131072 bytes");
}

TEST(PinThatDoesNotFit, NamesL1) {
  MappingParams pinned = pins(256, 256, 64, 1024);
  pinned.order = LoopOrder::m_outer;
  EXPECT_EQ(
      error_of("bf16", pinned),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 256, mapping.n 256, mapping.k 64, "
      "mapping.stage_k 1024, mapping.order m_outer: tile of m 256 n 256 with loads of depth 1024: core.buffers.l1 "
      "of 524288 bytes is too small for 2097152 bytes");
}

TEST(MachineThatFitsNoTile, NamesL1) {
  units::MachineParams machine = machines().at("ascend_950pr");
  machine.core.buffers.l1 = Bytes(1024);
  EXPECT_EQ(error_of("bf16", {}, machine),
            "no tile of a 2048 x 4096 x 4096 GEMM fits the machine: tile of m 16 n 16 with loads of depth 16: "
            "core.buffers.l1 of 1024 bytes is too small for 2048 bytes");
}

TEST(PinThatDoesNotFit, NamesTheCores) {
  MappingParams pinned;
  pinned.cores_m = 64;
  EXPECT_THAT(error_of("bf16", pinned), testing::HasSubstr("mapping.cores_m of 64 for "));
  pinned = pins(256, 256);
  pinned.cores_m = 8;
  pinned.cores_n = 8;
  EXPECT_EQ(
      error_of("bf16", pinned),
      "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 256, mapping.n 256, mapping.cores_m 8, "
      "mapping.cores_n 8: 8 x 8 cores for 8 x 16 tiles on 32 cores");
}

TEST(PinThatDoesNotFit, NamesTheGranule) {
  EXPECT_EQ(error_of("w4a4", pins(64, 64, 100)),
            "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 64, mapping.n 64, mapping.k 100: "
            "mapping.k of 100 is not a multiple of the 32-element block of mxfp4");
  EXPECT_EQ(error_of("bf16", pins(64, 64, 64, 96)),
            "no tile of a 2048 x 4096 x 4096 GEMM fits the machine with mapping.m 64, mapping.n 64, mapping.k 64, "
            "mapping.stage_k 96: mapping.stage_k of 96 is not a multiple of the step of 64");
}

// The model of one core decides the search: within a tenth of the simulation for the layers of Qwen3-8B, prefill and
// decode.
TEST(CoreModel, IsCloseToTheSimulation) {
  const units::MachineParams& machine = machines().at("ascend_950pr");
  for (const std::string name : {"w8a8", "osc"})
    for (const std::int64_t m : {16, 2048})
      for (const Shape& shape :
           {Shape{m, 4096, 4096}, Shape{m, 1024, 4096}, Shape{m, 12288, 4096}, Shape{m, 4096, 12288}}) {
        const GemmPlan plan = plan_of(schemes().at(name), shape);
        const Tiling tiling = search_tiling(plan, machine, {});
        const double simulated = static_cast<double>(simulate_gemm(machine, plan, tiling).total.count());
        EXPECT_NEAR(core_model_cycles(plan, machine, tiling, kNoLimit) / simulated, 1, 0.1)
            << name << ", " << to_string(shape);
      }
}

// The fewest simulated cycles of `plan` with any of four heights, four widths and three loop orders; the rest is
// searched.
double best_of_pinned(const units::MachineParams& machine, const GemmPlan& plan) {
  double best = kNoLimit;
  for (const std::int64_t m : {32, 64, 128, 256})
    for (const std::int64_t n : {32, 64, 128, 256})
      for (const LoopOrder order : {LoopOrder::m_outer, LoopOrder::a_resident, LoopOrder::b_resident}) {
        MappingParams pinned = pins(m, n);
        pinned.order = order;
        try {
          const Tiling tiling = search_tiling(plan, machine, pinned);
          best = std::min(best, static_cast<double>(simulate_gemm(machine, plan, tiling).total.count()));
        } catch (const InputError&) {  // does not fit
        }
      }
  return best;
}

// Many cores on a slow memory, columns that do not divide among the cores, few tiles for many cores, long drains.
TEST(Search, IsWithinATenthOfTheBestOfManyPinnedTiles) {
  struct Case {
    std::string machine;
    std::int64_t cores;
    std::string scheme;
    Shape shape;
  };
  for (const Case& one :
       {Case{"edge_npu", 8, "osc", {512, 1024, 1024}}, Case{"edge_npu", 8, "w8a8", {300, 500, 700}},
        Case{"ascend_950pr", 32, "w8a8", {128, 12288, 4096}}, Case{"ascend_950pr", 32, "w8a8", {192, 12288, 4096}},
        Case{"ascend_950pr", 32, "bf16", {300, 500, 700}}, Case{"b200_like", 148, "w8a8", {300, 500, 700}},
        Case{"systolic_128", 4, "osc", {300, 500, 700}}}) {
    units::MachineParams machine = machines().at(one.machine);
    machine.cores = one.cores;
    const GemmPlan plan = plan_of(schemes().at(one.scheme), one.shape);
    const auto searched = static_cast<double>(simulate_gemm(machine, plan).total.count());
    EXPECT_LE(searched / best_of_pinned(machine, plan), 1.1)
        << one.machine << ", " << one.scheme << ", " << to_string(one.shape);
  }
}

// 10^18 multiply-accumulates: a program that were not lazy could not be made.
TEST(Program, GivesTheFirstCommandsOfAHugeGemmAtOnce) {
  const units::MachineParams& machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("osc"), {1 << 20, 1 << 20, 1 << 20});
  units::Program program = gemm_program(plan, machine, search_tiling(plan, machine, {}));
  ASSERT_EQ(program.cores.size(), 32U);
  for (units::CoreProgram& core : program.cores)
    for (const PipeId pipe : {PipeId::load, PipeId::feed, PipeId::tensor, PipeId::drain})
      for (int i = 0; i < 1000; ++i) {
        units::Command command;
        ASSERT_TRUE(core.streams[static_cast<std::size_t>(pipe)]->next(command));
      }
}

}  // namespace
}  // namespace oscsim
