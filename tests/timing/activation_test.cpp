// SPDX-License-Identifier: Apache-2.0
// Work on an activation that GEMMs share: gather and cast, in one sweep or, where a row's scale needs more than fits,
// in two.
#include <gtest/gtest.h>

#include "models/units/chip.h"
#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/mapping/gemm_program.h"

namespace oscsim {
namespace {

using units::PipeId;

constexpr std::int64_t kRows = 6;
constexpr std::int64_t kChannels = 4096;
constexpr std::int64_t kPasses = 3;            // of FP8: maximum, scale, cast
constexpr Bytes kInput(kRows* kChannels * 2);  // 16 bit

units::MachineParams edge_npu() {
  auto machine = config::read_file_as<units::MachineParams>(config::locate("configs/machines", "edge_npu"));
  machine.cores = 1;
  return machine;
}

units::SimulationResult simulated(const units::MachineParams& machine, numerics::FormatId format) {
  ActivationPlan plan;
  plan.format = format;
  return units::simulate(machine, activation_program(plan, machine, kRows, kChannels, nullptr));
}

const units::PipeTime& pipe(const units::SimulationResult& result, PipeId id) {
  return result.cores.front()[static_cast<std::size_t>(id)];
}

TEST(Activation, RowThatFitsIsReadOnceAndCastInAllPasses) {
  const units::MachineParams machine = edge_npu();
  const auto result = simulated(machine, numerics::FormatId::fp8);
  EXPECT_EQ(result.traffic.l2_read, kInput);
  const units::PipeTime& vector = pipe(result, PipeId::vector);
  EXPECT_EQ(vector.busy,
            machine.core.vector.setup * vector.commands + transfer_time(kInput * kPasses, machine.core.vector.rate));
}

TEST(Activation, RowScaleThatNeedsMoreThanTheBufferIsReadTwice) {
  units::MachineParams machine = edge_npu();
  machine.core.buffers.ub = Bytes(16 * 1024);  // a row takes (2 + 1) bytes x 4096 x 2 slots = 24 KiB
  const auto once = simulated(edge_npu(), numerics::FormatId::fp8);
  const auto twice = simulated(machine, numerics::FormatId::fp8);
  EXPECT_EQ(twice.traffic.l2_read, kInput * 2);
  EXPECT_EQ(twice.traffic.l2_write.count() - once.traffic.l2_write.count(),
            kRows * 4);  // a scale for each of two chunks
  const units::PipeTime& vector = pipe(twice, PipeId::vector);
  EXPECT_EQ(vector.commands, 2 * pipe(twice, PipeId::drain).commands);
  EXPECT_EQ(vector.busy,
            machine.core.vector.setup * vector.commands + transfer_time(kInput * kPasses, machine.core.vector.rate));
}

TEST(Activation, BlockScalesNeedNoSecondSweep) {
  units::MachineParams machine = edge_npu();
  machine.core.buffers.ub = Bytes(16 * 1024);
  const auto result = simulated(machine, numerics::FormatId::mxfp4);
  EXPECT_EQ(result.traffic.l2_read, kInput);
  EXPECT_EQ(pipe(result, PipeId::vector).commands, pipe(result, PipeId::drain).commands);
}

}  // namespace
}  // namespace oscsim
