// SPDX-License-Identifier: Apache-2.0
// Where channels are gathered: on chip, on the load path, by strided reads; a prologue's cycles as sums of named terms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/units/chip.h"
#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/mapping/gemm_program.h"
#include "tests/timing/small_programs.h"

namespace oscsim {
namespace {

using units::GatherMode;
using units::GatherPorts;
using units::MachineParams;
using units::PipeId;
using units::time_of;

constexpr std::int64_t kGroup = 32;

TEST(StridedTiming, ElementCostsItsGranuleOrTheDmasLeastTime) {
  units::GatherParams params;
  params.dma_granule = Bytes(32);
  params.dma_element = Cycles(1);
  units::LoadParams load{.rate = BytesPerCycle(64), .setup = Cycles(10)};
  const Cycles setup(10);
  EXPECT_EQ(strided_time(params, load, 100), setup + Cycles(100));  // the DMA's own time
  load.rate = BytesPerCycle(16);
  EXPECT_EQ(strided_time(params, load, 100), setup + Cycles(100 * 32 / 16));  // its bytes
  load.granule = Bytes(64);
  EXPECT_EQ(strided_time(params, load, 100), setup + Cycles(100 * 64 / 16));  // each element is a row of the load
  load.row = Bytes(16);
  EXPECT_EQ(strided_time(params, load, 100), setup + Cycles(100 * (64 + 16) / 16));
  EXPECT_EQ(strided_bytes(params, 100), Bytes(100 * 32));
  EXPECT_EQ(strided_time(params, load, 0), Cycles(0));
}

// ------ one load command on the small machine, with a memory that costs nothing
struct LoadPath : testing::Test {
  MachineParams machine = units::small_machine();
  const Cycles load_setup{10}, gather_setup{4}, reload{16};

  LoadPath() {
    machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15);
    machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
    machine.core.gather.setup = gather_setup;
    machine.core.gather.table_reload = reload;
    machine.core.gather.dma_granule = Bytes(32);
    machine.core.gather.dma_element = Cycles(1);
  }
  units::SimulationResult run(units::LoadWork work) const {
    return units::run(machine, {{{{PipeId::load, {{work, {}, {}}}}}, {}}});
  }
  static units::LoadWork work(Bytes bytes) { return {units::tile(units::TensorId::x, 0), 0, bytes}; }
};

TEST_F(LoadPath, FastEngineHidesBehindTheLoad) {
  units::LoadWork load = work(Bytes(6400));
  load.gather = units::GatherWork{.row_time = Cycles(2), .rows = 10, .groups = 8};
  ASSERT_LT(gather_setup + reload + Cycles(2) * 10, load_setup + Cycles(6400 / 64));
  EXPECT_EQ(run(load).total, load_setup + Cycles(6400 / 64));
}

TEST_F(LoadPath, SlowEngineHoldsTheLoadPipe) {
  units::LoadWork load = work(Bytes(640));
  load.gather = units::GatherWork{.row_time = Cycles(7), .rows = 10, .groups = 8};
  ASSERT_GT(gather_setup + reload + Cycles(7) * 10, load_setup + Cycles(640 / 64));
  EXPECT_EQ(run(load).total, gather_setup + reload + Cycles(7) * 10);
}

TEST_F(LoadPath, StridedElementsMoveAGranuleEach) {
  units::LoadWork load = work(strided_bytes(machine.core.gather, 50));
  load.elements = 50;
  const auto result = run(load);
  EXPECT_EQ(result.total, load_setup + Cycles(50));
  EXPECT_EQ(result.traffic.l2_read, Bytes(50 * 32));
}

TEST_F(LoadPath, StridedElementsOfALoadedTileComeFromL2AndDoNotMakeATileResident) {
  units::LoadWork elements = work(Bytes(320)), whole = work(Bytes(6400));
  elements.elements = 10;
  const auto hbm_read = [&](std::vector<units::LoadWork> works) {
    std::vector<units::Command> commands;
    for (const auto& one : works) commands.push_back({one, {}, {}});
    return units::run(machine, {{{{PipeId::load, commands}}, {}}}).traffic.hbm_read;
  };
  EXPECT_EQ(hbm_read({whole, elements, whole}), Bytes(6400));
  EXPECT_EQ(hbm_read({elements, elements, whole}), Bytes(320 + 320 + 6400));
}

TEST_F(LoadPath, LoadOfNothingTakesNoTime) {
  const auto result = run(work(Bytes(0)));
  EXPECT_EQ(result.total, Cycles(0));
  EXPECT_EQ(result.traffic.l2_read, Bytes(0));
}

// ------ a prologue of one tile: one row, which is never split
constexpr std::int64_t kGatherRows = 1, kGatherChannels = 4096;
constexpr std::int64_t kGroups = kGatherChannels / kGroup;

ChannelTable table_of(std::int64_t channels, std::int16_t local) {
  return {kGroup, std::vector<std::int16_t>(static_cast<std::size_t>(channels / kGroup), local)};
}

ActivationPlan gathering(numerics::FormatId format = numerics::FormatId::mxfp4) {
  return {format, kGroup, numerics::FormatId::bf16};
}

struct Prologue : testing::Test {
  MachineParams machine = units::small_machine();
  ChannelTable table = table_of(kGatherChannels, 3);
  const Bytes x{kGatherRows * kGatherChannels * 2}, gathered{kGatherRows * kGroups * 2};
  const Cycles load = Cycles(10) + Cycles(x.count() / 64);
  const Cycles pass{x.count() / 256}, vector_setup{7};

  Prologue() {
    machine.cores = 1;
    machine.core.buffers.ub = Bytes(64 * 1024);
    machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15);
    machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
    machine.core.gather = {};
    machine.core.gather.dma_element = Cycles(2);
  }
  units::SimulationResult run() const {
    return units::simulate(machine, activation_program(gathering(), machine, kGatherRows, kGatherChannels, &table));
  }
  Cycles gather() const {
    return gather_time(machine.core.gather, gather_row_time(machine.core.gather, table.channels, kGroup), kGatherRows,
                       kGroups);
  }
  Bytes drain_bytes() const {
    const numerics::FormatInfo& format = numerics::format(numerics::FormatId::mxfp4);
    return numerics::code_bytes(format, kGatherRows, kGatherChannels) +
           numerics::scale_bytes(format, kGatherRows, kGatherChannels) + gathered;
  }
  Cycles drain() const { return units::drain_time(machine.core.drain, drain_bytes(), 1); }
  Cycles cast() const { return vector_setup + pass * 3; }
};

TEST_F(Prologue, OnChipEngineWorksBetweenLoadAndVectorUnit) {
  const auto result = run();
  EXPECT_EQ(result.total, load + gather() + cast() + drain());
  EXPECT_EQ(time_of(result, PipeId::gather).busy, gather());
}

TEST_F(Prologue, EngineWithSharedPortsTakesTheVectorUnitsTime) {
  machine.core.gather.ports = GatherPorts::shared;
  const auto result = run();
  EXPECT_EQ(time_of(result, PipeId::vector).busy, gather() + cast());
  EXPECT_EQ(time_of(result, PipeId::gather).commands, 0);
  EXPECT_EQ(result.total, load + gather() + cast() + drain());
}

TEST_F(Prologue, EngineOnTheLoadPathAddsOnlyWhatTheLoadDoesNotHide) {
  machine.core.gather.mode = GatherMode::on_load;
  EXPECT_EQ(run().total, std::max(load, gather()) + cast() + drain());
  machine.core.gather.table_reload = Cycles(100000);
  EXPECT_EQ(run().total, gather() + cast() + drain());
}

TEST_F(Prologue, StridedReadsTakeTheLoadPipeAndAPassThatZeroes) {
  machine.core.gather.mode = GatherMode::strided_dma;
  const Cycles fetch = Cycles(10) + Cycles(2) * (kGatherRows * kGroups);
  const Cycles zero_and_cast = vector_setup + pass * (1 + 3);
  const auto result = run();
  EXPECT_EQ(time_of(result, PipeId::load).busy, load + fetch);
  EXPECT_EQ(time_of(result, PipeId::vector).busy, zero_and_cast);
  EXPECT_EQ(result.total, load + fetch + zero_and_cast + drain());
  EXPECT_EQ(result.traffic.l2_read, x + Bytes(32) * (kGatherRows * kGroups));
  EXPECT_EQ(result.traffic.hbm_read, x);
}

TEST_F(Prologue, StridedReadsSkipGroupsWithoutAnOutlier) {
  machine.core.gather.mode = GatherMode::strided_dma;
  for (std::size_t i = 0; i < table.channels.size(); i += 2) table.channels[i] = -1;
  EXPECT_EQ(run().traffic.l2_read, x + Bytes(32) * (kGatherRows * kGroups / 2));
  table = table_of(kGatherChannels, -1);
  EXPECT_EQ(run().traffic.l2_read, x);
}

using FaultA10Prologue = Prologue;

TEST_F(FaultA10Prologue, VariantStridedReadsOfNoOutlierTakeNoZeroingPass) {
  machine.core.gather.mode = GatherMode::strided_dma;
  table = table_of(kGatherChannels, -1);
  const auto result = run();
  EXPECT_EQ(time_of(result, PipeId::vector).busy, cast());
  EXPECT_EQ(time_of(result, PipeId::load).busy, load);
}

TEST_F(FaultA10Prologue, VariantAnEngineWithoutOutliersTakesTheSameWhoeverZeroes) {
  table = table_of(kGatherChannels, -1);
  for (const GatherMode mode : {GatherMode::on_chip, GatherMode::on_load}) {
    machine.core.gather.mode = mode;
    machine.core.gather.zero_behind = true;
    const auto behind = run();
    machine.core.gather.zero_behind = false;
    const auto apart = run();
    EXPECT_EQ(apart.total, behind.total);
    // Zeros of the dense tile are written; nothing is read out of the whole one or written back.
    const Bytes passes = x + x * 3 + drain_bytes() * 2;
    EXPECT_EQ(apart.activity.ub, passes + gathered);
  }
}

TEST_F(Prologue, MachineThatCannotGatherRefuses) {
  machine.core.gather.mode = GatherMode::none;
  EXPECT_THROW(run(), InputError);
}

TEST_F(Prologue, TensorScaleIsSweptWhenNobodyKnowsTheMaximum) {
  machine.core.buffers.ub = Bytes(8 * 1024);  // several tiles
  const ActivationPlan plan{numerics::FormatId::nvfp4, 0, {}};
  const auto once = units::simulate(machine, activation_program(plan, machine, kGatherRows, kGatherChannels, nullptr));
  machine.core.vector.tensor_maximum = units::TensorMaximum::sweep;
  const auto swept = units::simulate(machine, activation_program(plan, machine, kGatherRows, kGatherChannels, nullptr));
  EXPECT_EQ(once.traffic.l2_read, x);
  EXPECT_EQ(swept.traffic.l2_read, x * 2);
  EXPECT_EQ(swept.traffic.l2_write, once.traffic.l2_write);
  const auto& vector = time_of(swept, PipeId::vector);
  EXPECT_EQ(vector.commands, 2 * time_of(once, PipeId::vector).commands);
  EXPECT_EQ(vector.busy, vector_setup * vector.commands + pass * 3);  // maximum, then scale and cast
  EXPECT_GT(swept.total, once.total);
}

TEST_F(Prologue, RowAndTensorFormatsThatNeedNoSweepAreReadOnce) {
  machine.core.vector.tensor_maximum = units::TensorMaximum::sweep;
  for (const numerics::FormatId id : {numerics::FormatId::fp8, numerics::FormatId::mxfp4, numerics::FormatId::hif4})
    EXPECT_EQ(units::simulate(machine, activation_program({id, 0, {}}, machine, kGatherRows, kGatherChannels, nullptr))
                  .traffic.l2_read,
              x)
        << name_of(id);
}

}  // namespace
}  // namespace oscsim
