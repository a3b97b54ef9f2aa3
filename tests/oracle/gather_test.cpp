// SPDX-License-Identifier: Apache-2.0
// Orders between the ways to gather and to cast: what is closer to free never takes longer; and a branch's true cost.
#include <gmock/gmock.h>

#include <limits>

#include "sim/mapping/activation_path.h"
#include "sim/mapping/core_model.h"
#include "sim/mapping/fused_activation.h"
#include "tests/oracle/variants.h"

namespace oscsim {
namespace {

using units::GatherMode;
using units::GatherPorts;
using units::MachineParams;
using units::PipeId;

constexpr std::int64_t kGroup = 32;

ChannelTable random_table(Variants& variants, std::int64_t k, std::int64_t group = kGroup) {
  ChannelTable table{group, {}};
  for (std::int64_t at = 0; at < k; at += group)
    table.channels.push_back(static_cast<std::int16_t>(variants.between(-1, std::min(group, k - at) - 1)));
  return table;
}

units::SimulationResult simulate_prologue(const MachineParams& machine, const ActivationPlan& plan, const Shape& shape,
                                          const ChannelTable& table) {
  return units::simulate(machine, activation_program(plan, machine, shape.m, shape.k, &table));
}

Cycles prologue(const MachineParams& machine, const ActivationPlan& plan, const Shape& shape,
                const ChannelTable& table) {
  return simulate_prologue(machine, plan, shape, table).total;
}

// Time that all pipes but the drain are busy.
std::int64_t work(const units::SimulationResult& result) {
  std::int64_t cycles = 0;
  for (const auto& core : result.cores)
    for (const PipeId pipe : {PipeId::load, PipeId::gather, PipeId::vector})
      cycles += core[static_cast<std::size_t>(pipe)].busy.count();
  return cycles;
}

MachineParams with_mode(MachineParams machine, GatherMode mode) {
  machine.core.gather.mode = mode;
  return machine;
}

TEST(GatherModes, StridedWorksLongestThenOnChipThenOnLoadThenNothing) {
  Variants variants(11);
  const ActivationPlan with{numerics::FormatId::mxfp4, kGroup, numerics::FormatId::bf16};
  const ActivationPlan without{numerics::FormatId::mxfp4, 0, {}};
  for (const auto& [name, ready] : machines()) {
    if (ready.overlap == units::Overlap::perfect) continue;
    MachineParams machine = ready;
    machine.cores = 1;  // with several, requests reach memory in another order
    for (const Shape& shape : {Shape{100, 0, 4096}, Shape{2, 0, 4096}, Shape{1, 0, 12288}, Shape{30, 0, 1000}}) {
      SCOPED_TRACE(fmt::format("{}, {}", name, to_string(shape)));
      const ChannelTable table = random_table(variants, shape.k);
      const auto strided = simulate_prologue(with_mode(machine, GatherMode::strided_dma), with, shape, table);
      const auto on_chip = simulate_prologue(with_mode(machine, GatherMode::on_chip), with, shape, table);
      const auto on_load = simulate_prologue(with_mode(machine, GatherMode::on_load), with, shape, table);
      const auto ideal = simulate_prologue(machine, without, shape, table);
      EXPECT_GT(work(strided), work(on_chip));
      EXPECT_GT(work(on_chip), work(on_load));
      EXPECT_GE(work(on_load), work(ideal));
      // In all, strided reads may hide behind memory where a table's reload does not, and a tile without gathered
      // channels has more rows, so that fewer of them overlap.
      EXPECT_GE(on_chip.total, on_load.total);
      MachineParams shared = machine;
      shared.core.gather.ports = GatherPorts::shared;
      EXPECT_GE(prologue(shared, with, shape, table), on_chip.total);
    }
  }
}

TEST(GatherModes, MoreLanesOrBanksNeverSlowAPrologue) {
  Variants variants(12);
  const ActivationPlan plan{numerics::FormatId::mxfp4, kGroup, numerics::FormatId::bf16};
  for (const GatherMode mode : {GatherMode::on_chip, GatherMode::on_load}) {
    MachineParams machine = with_mode(machines().at("edge_npu"), mode);
    machine.cores = 1;
    const std::int64_t k = 2048;
    const ChannelTable table = random_table(variants, k);
    for (std::int64_t lanes = 1; lanes <= 32; lanes *= 2)
      for (std::int64_t banks = 1; banks <= 32; banks *= 2) {
        machine.core.gather.lanes = lanes;
        machine.core.gather.banks = banks;
        const Cycles now = prologue(machine, plan, {64, 0, k}, table);
        machine.core.gather.lanes = lanes * 2;
        EXPECT_LE(prologue(machine, plan, {64, 0, k}, table), now) << lanes << " lanes, " << banks << " banks";
        machine.core.gather.lanes = lanes;
        machine.core.gather.banks = banks * 2;
        EXPECT_LE(prologue(machine, plan, {64, 0, k}, table), now) << lanes << " lanes, " << banks << " banks";
      }
  }
}

// ------ a GEMM that casts its activation itself
MappingParams fused_pins() {
  MappingParams pinned;
  pinned.quantise = QuantisePlace::fused;
  return pinned;
}

void expect_each_output_once(const MachineParams& machine, const GemmPlan& plan, const Tiling& tiling,
                             const ChannelTable* table) {
  std::vector<int> drained(static_cast<std::size_t>(plan.m * plan.n));
  const auto count_tile = [&](const units::Region& tile) {
    for (std::int64_t row = tile.row; row < tile.row + tile.rows; ++row)
      for (std::int64_t col = tile.k; col < tile.k + tile.depth; ++col)
        ++drained[static_cast<std::size_t>(row * plan.n + col)];
  };
  units::simulate(machine, gemm_program(plan, machine, tiling, table), {count_tile, {}});
  EXPECT_EQ(std::ranges::count(drained, 1), plan.m * plan.n);
}

TEST(FusedCast, WorksForEverySchemeModeOrderAndTail) {
  Variants variants(13);
  int fused = 0;
  for (int round = 0; round < 120; ++round) {
    const auto& [machine_name, ready] = variants.any_of(machines());
    const auto& [scheme_name, scheme] = variants.any_of(schemes());
    if (!ready.model_shared_work) continue;
    MachineParams machine = variants.machine(ready);
    machine.core.gather.mode = EnumNames<GatherMode>::kValues[variants.between(0, 2)].second;
    machine.core.gather.ports = EnumNames<GatherPorts>::kValues[variants.between(0, 1)].second;
    machine.core.buffers.ub = Bytes(variants.between(1, 8) * 16 * 1024);
    machine.model_gather = variants.between(0, 3) > 0;
    const Shape shape = variants.shape();
    const GemmPlan plan = plan_of(scheme, shape);
    MappingParams pinned = fused_pins();
    pinned.order = EnumNames<LoopOrder>::kValues[variants.between(0, 3)].second;
    SCOPED_TRACE(fmt::format("{}: {} on a variant of {}, {}, {}, {}", round, scheme_name, machine_name,
                             to_string(shape), name_of(*pinned.order), name_of(machine.core.gather.mode)));
    const std::int64_t group = std::max<std::int64_t>(plan.activation.gather_group, 1);
    const ChannelTable table = random_table(variants, shape.k, group);
    try {
      const Tiling tiling = search_tiling(plan, machine, pinned);
      EXPECT_EQ(fuses(tiling), plan.activation.quantises());
      fused += fuses(tiling);
      expect_each_output_once(machine, plan, tiling, &table);
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("core.b"));
    }
  }
  EXPECT_GT(fused, 40);
}

TEST(FusedCast, ReadsTheActivationIn16BitForEveryLoadOfATile) {
  const MachineParams& machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("w4a4"), {512, 2048, 1024});
  MappingParams pinned = fused_pins();
  pinned.m = pinned.n = 128;
  pinned.cores_m = pinned.cores_n = 1;
  const std::int64_t tiles_n = 2048 / 128, tiles_m = 512 / 128;
  const Bytes x(512 * 1024 * 2);
  for (const auto& [order, sweeps] :
       {std::pair{LoopOrder::a_resident, std::int64_t{1}}, std::pair{LoopOrder::m_outer, tiles_n}}) {
    pinned.order = order;
    const Tiling tiling = search_tiling(plan, machine, pinned);
    const auto result = units::simulate(machine, gemm_program(plan, machine, tiling));
    const Bytes b = operand_bytes(machine, plan.passes[0], 2048, 1024);
    EXPECT_EQ(result.traffic.l2_read, x * sweeps + b * tiles_m) << name_of(order);
    const units::PipeTime& vector = result.cores[0][static_cast<std::size_t>(PipeId::vector)];
    const std::int64_t passes = 3;
    EXPECT_EQ(vector.busy, machine.core.vector.setup * vector.commands +
                               transfer_time(x * sweeps * passes, machine.core.vector.rate))
        << name_of(order);
  }
}

TEST(FusedCast, RowScalesTakeOneSweepMoreTheFirstTime) {
  const MachineParams& machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("w8a8"), {512, 1024, 1024});
  const std::int64_t tiles_n = 1024 / 128, tiles_m = 512 / 128;
  const Bytes x(512 * 1024 * 2), b = operand_bytes(machine, plan.passes[0], 1024, 1024);
  MappingParams pinned = fused_pins();
  pinned.m = pinned.n = 128;
  pinned.cores_m = pinned.cores_n = 1;
  struct Loads {
    LoopOrder order;
    std::int64_t a, b;
  };
  for (const auto& [order, loads_a, loads_b] :
       {Loads{LoopOrder::a_resident, 1, tiles_m}, Loads{LoopOrder::m_outer, tiles_n, tiles_m},
        Loads{LoopOrder::n_outer, tiles_n, tiles_m}, Loads{LoopOrder::b_resident, tiles_n, 1}}) {
    pinned.order = order;
    const auto result = units::simulate(machine, gemm_program(plan, machine, search_tiling(plan, machine, pinned)));
    EXPECT_EQ(result.traffic.l2_read, x * (loads_a + 1) + b * loads_b) << name_of(order);
  }
}

TEST(FusedCast, TensorScaleWithoutAKnownMaximumIsRefused) {
  MachineParams machine = machines().at("ascend_950pr");
  machine.core.vector.tensor_maximum = units::TensorMaximum::sweep;
  const GemmPlan plan = plan_of(schemes().at("w4a4_nvfp4"), {64, 64, 256});
  const Tiling tiling = search_tiling(plan, machine, fused_pins());
  EXPECT_THROW(gemm_program(plan, machine, tiling), InputError);
}

TEST(FusedCast, CoreModelIsCloseToTheSimulation) {
  const MachineParams& machine = machines().at("ascend_950pr");
  Variants variants(14);
  for (const std::string name : {"w8a8", "osc", "w4a4"})
    for (const Shape& shape : {Shape{16, 4096, 4096}, Shape{2048, 4096, 4096}, Shape{2048, 1024, 4096}}) {
      const GemmPlan plan = plan_of(schemes().at(name), shape);
      const ChannelTable table = random_table(variants, shape.k);
      const Tiling tiling = search_tiling(plan, machine, fused_pins());
      const auto simulated =
          static_cast<double>(units::simulate(machine, gemm_program(plan, machine, tiling, &table)).total.count());
      EXPECT_NEAR(core_model_cycles(plan, machine, tiling, std::numeric_limits<double>::infinity()) / simulated, 1, 0.4)
          << name << ", " << to_string(shape);
    }
}

// ------ the branch
// One output tile: the branch's narrow K adds its cubes, a gap for each instruction, and its operands' feed.
TEST(Branch, NarrowKPaysItsGapAndItsFeedSetup) {
  MachineParams machine = machines().at("ascend_950pr");
  machine.cores = 1;
  machine.core.feed.shared_port = BytesPerCycle(0);  // feeds do not wait for what loads write
  for (const std::int64_t k : {2048, 4096}) {        // branches of K = 64 and 128
    const Shape shape{128, 128, k};
    const GemmPlan osc = plan_of(schemes().at("osc"), shape), direct = plan_of(schemes().at("w4a4"), shape);
    MappingParams pinned;
    pinned.m = pinned.n = 128;
    const auto with = simulate_gemm(machine, osc, search_tiling(osc, machine, pinned));
    const auto without = simulate_gemm(machine, direct, search_tiling(direct, machine, pinned));
    const auto pipe = [](const units::SimulationResult& result, PipeId id) {
      return result.cores[0][static_cast<std::size_t>(id)];
    };
    const MatmulPass& branch = osc.passes[1];
    ASSERT_EQ(branch.k, k / 32);
    const Cycles cubes((128 / 16) * (128 / 16) * (branch.k / 16));
    EXPECT_EQ(pipe(with, PipeId::tensor).branch, cubes);
    const std::int64_t steps = pipe(with, PipeId::tensor).commands - pipe(without, PipeId::tensor).commands;
    ASSERT_EQ(steps, 1);
    EXPECT_EQ(pipe(with, PipeId::tensor).startup - pipe(without, PipeId::tensor).startup,
              machine.core.tensor.gap * steps);
    const Bytes operand = operand_bytes(machine, branch, 128, branch.k);
    EXPECT_EQ(pipe(with, PipeId::feed).busy - pipe(without, PipeId::feed).busy,
              units::feed_time(machine.core.feed, operand, operand));
    // Switched off, both are free.
    machine.model_branch_startup = false;
    const auto free = simulate_gemm(machine, osc, search_tiling(osc, machine, pinned));
    machine.model_branch_startup = true;
    EXPECT_EQ(pipe(free, PipeId::tensor).startup, pipe(without, PipeId::tensor).startup);
    EXPECT_EQ(pipe(free, PipeId::feed).busy, pipe(with, PipeId::feed).busy - machine.core.feed.setup);
    EXPECT_LE(free.total, with.total);
  }
}

// A unit of its own has its own start-up: a tile is complete when its one narrow instruction is.
TEST(Branch, OwnUnitsInstructionTakesItsOwnShapeAndStartup) {
  MachineParams machine = machines().at("edge_npu");
  machine.cores = 1;
  const GemmPlan plan = plan_of(schemes().at("osc"), {32, 64, 2048});
  MappingParams pinned;
  pinned.m = 32;
  pinned.n = 64;
  const Tiling tiling = search_tiling(plan, machine, pinned);
  const auto result = simulate_gemm(machine, plan, tiling);
  const units::PipeTime& branch = result.cores[0][static_cast<std::size_t>(PipeId::branch)];
  const Cycles cubes((32 / 16) * (64 / 16) * 64);  // k0 = 1
  EXPECT_EQ(branch.branch, cubes);
  EXPECT_EQ(branch.startup, machine.core.branch.gap * branch.commands);
  machine.core.branch.cube.n0 = 32;
  const auto wider = simulate_gemm(machine, plan, tiling);
  EXPECT_EQ(wider.cores[0][static_cast<std::size_t>(PipeId::branch)].branch, Cycles((32 / 16) * (64 / 32) * 64));
}

TEST(Branch, JoinInTheEpilogueDrainsBothAccumulatorsOfAnOwnUnit) {
  MachineParams machine = machines().at("edge_npu");
  SchemeParams scheme = schemes().at("osc");
  const auto drained = [&] {
    const GemmPlan plan = plan_of(scheme, {32, 64, 2048});
    MappingParams pinned;
    pinned.m = 32;
    pinned.n = 64;
    return simulate_gemm(machine, plan, search_tiling(plan, machine, pinned))
        .cores[0][static_cast<std::size_t>(PipeId::drain)]
        .busy;
  };
  const Bytes tile = machine.core.drain.output_element * (32 * 64);
  EXPECT_EQ(drained(), units::drain_time(machine.core.drain, tile, 1));
  scheme.outliers->join_place = JoinPlace::epilogue;
  EXPECT_EQ(drained(), units::drain_time(machine.core.drain, tile, 2));
}

TEST(Branch, WeightRowsThatAreNotCountedMoveNoBytes) {
  MachineParams machine = machines().at("ascend_950pr");
  const GemmPlan plan = plan_of(schemes().at("osc"), {16, 4096, 4096});
  MappingParams pinned;
  pinned.order = LoopOrder::a_resident;
  pinned.m = 16;
  pinned.n = 128;
  const auto counted = simulate_gemm(machine, plan, search_tiling(plan, machine, pinned));
  machine.count_branch_weights = false;
  const auto free = simulate_gemm(machine, plan, search_tiling(plan, machine, pinned));
  EXPECT_EQ(counted.traffic.hbm_read - free.traffic.hbm_read, operand_bytes(machine, plan.passes[1], 4096, 128));
}

}  // namespace
}  // namespace oscsim
