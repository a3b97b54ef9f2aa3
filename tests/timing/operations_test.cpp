// SPDX-License-Identifier: Apache-2.0
// What stands between the GEMMs: exact cycles as sums of named terms, and bytes.
#include <gmock/gmock.h>

#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/mapping/attention_jobs.h"
#include "sim/mapping/tiling.h"
#include "tests/timing/small_programs.h"

namespace oscsim {
namespace {

using units::PipeId;

// Of the small machine.
constexpr BytesPerCycle kHbm(32), kFeedA(128), kFeedB(64), kVector(256);
constexpr Cycles kLoadSetup(10), kFeedSetup(5), kVectorSetup(7), kDrainSetup(6), kLatency(100 + 20), kStartup(40);

units::MachineParams one_core() {
  units::MachineParams machine = units::small_machine();
  machine.cores = 1;
  machine.core.buffers.ub = Bytes(1 << 20);
  machine.core.branch.placement = units::BranchPlacement::shared;
  return machine;
}

Cycles memory(std::int64_t bytes) {
  return transfer_time(Bytes(bytes), kHbm);
}

// ------ operations over rows

TEST(RowProgram, OneTileTakesItsLoadItsPassesAndItsDrain) {
  const RowSizes sizes{.rows = 4, .width = 256, .experts_per_token = 2, .head_dim = 32};
  for (const RowOperation& operation : row_operations()) {
    const RowPlan plan = plan_rows(operation.kind, sizes);
    const auto result = units::simulate(one_core(), row_program(plan, one_core()));
    const Cycles passes = transfer_time(plan.data * (plan.rows * (plan.reduce + plan.apply)), kVector);
    EXPECT_EQ(result.total, kLoadSetup + memory(plan.rows * plan.input.count()) + kLatency + kVectorSetup + passes +
                                kDrainSetup + memory(plan.rows * plan.output.count()))
        << name_of(operation.kind);
    EXPECT_EQ(result.traffic.hbm_read, plan.input * plan.rows) << name_of(operation.kind);
    EXPECT_EQ(result.traffic.hbm_write, plan.output * plan.rows) << name_of(operation.kind);
  }
}

TEST(RowProgram, RowThatDoesNotFitIsTakenInPartsAndTwiceWhereItReduces) {
  const RowSizes sizes{.rows = 3, .width = 1000};  // a row in and out: 4000 bytes, 8000 double-buffered
  units::MachineParams machine = one_core();
  machine.core.buffers.ub = Bytes(3000);
  for (const auto& [kind, sweeps] : {std::pair(OperationKind::rms_norm, 2), {OperationKind::rope, 1}}) {
    const RowPlan plan = plan_rows(kind, sizes);
    const auto result = units::simulate(machine, row_program(plan, machine));
    const units::PipeTime& vector = units::time_of(result, PipeId::vector);
    EXPECT_EQ(result.traffic.l2_read, plan.input * plan.rows * sweeps) << name_of(kind);
    EXPECT_EQ(result.traffic.l2_write, plan.output * plan.rows) << name_of(kind);
    EXPECT_EQ(vector.commands, sweeps * units::time_of(result, PipeId::drain).commands) << name_of(kind);
    const std::int64_t parts = vector.commands / (plan.rows * sweeps);
    EXPECT_EQ(parts, 3) << "the fewest of which one fits";
  }
}

TEST(RowProgram, RowsAreSharedByTheCores) {
  units::MachineParams machine = one_core();
  const RowPlan plan = plan_rows(OperationKind::residual, {.rows = 64, .width = 256});
  const auto alone = units::simulate(machine, row_program(plan, machine));
  machine.cores = 2;
  const auto shared = units::simulate(machine, row_program(plan, machine));
  EXPECT_EQ(shared.cores.size(), 2U);
  EXPECT_EQ(units::time_of(shared, PipeId::vector, 0).busy, units::time_of(shared, PipeId::vector, 1).busy);
  EXPECT_EQ(shared.traffic.hbm_read, alone.traffic.hbm_read);
}

// ------ attention

constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kStacked = 16;  // four tokens of four heads
constexpr std::int64_t kTile = 16;     // keys
constexpr AttentionTiling kTiling{kStacked, kTile, kHeadDim, kTile, 2 * kTile, 2, 1};

AttentionPlan one_job(std::int64_t keys) {
  return {{.sequences = 1, .heads = 4, .kv_heads = 1, .head_dim = kHeadDim, .queries = 4, .keys = keys},
          numerics::FormatId::bf16};
}

Cycles matmul(std::int64_t m, std::int64_t n, std::int64_t k) {
  return Cycles(tiles_of(m, 16) * tiles_of(n, 16) * tiles_of(k, 16)) + kStartup;
}

Cycles feed(std::int64_t a, std::int64_t b) {
  return kFeedSetup + transfer_time(Bytes(a), kFeedA) + transfer_time(Bytes(b), kFeedB);
}

Cycles softmax(bool last) {
  return kVectorSetup + transfer_time(softmax_bytes(kStacked, kTile, kHeadDim, last), kVector);
}

constexpr std::int64_t kQueryBytes = kStacked * kHeadDim * 2, kTileBytes = kTile * kHeadDim * 2;
const Cycles kScores = feed(kQueryBytes, kTileBytes) + matmul(kStacked, kTile, kHeadDim);
const Cycles kValues = feed(kStacked * kTile * 2, kTileBytes) + matmul(kStacked, kHeadDim, kTile);
const Cycles kDrain = kDrainSetup + memory(kStacked * kHeadDim * 2);

TEST(AttentionProgram, OneTileIsAChainThroughAllPipes) {
  const AttentionPlan plan = one_job(kTile);
  const auto result = units::simulate(one_core(), attention_program(plan, one_core(), kTiling));
  const Cycles keys_arrive = kLoadSetup + memory(kQueryBytes) + memory(kTileBytes) + kLatency;
  EXPECT_EQ(result.total, keys_arrive + kScores + softmax(true) + kValues + kDrain);
}

TEST(AttentionProgram, ScoresOfTheNextTileHideBehindTheSoftmax) {
  const AttentionPlan plan = one_job(2 * kTile);
  const auto result = units::simulate(one_core(), attention_program(plan, one_core(), kTiling));
  const Cycles keys_arrive = kLoadSetup + memory(kQueryBytes) + memory(2 * kTileBytes) + kLatency;
  EXPECT_EQ(result.total, keys_arrive + kScores + softmax(false) + softmax(true) + kValues + kDrain);
}

// Cubes of every tile of every job, counted here a second time.
Cycles cubes(const AttentionSizes& sizes, const AttentionTiling& tiling, const units::CubeShape& cube, int bits) {
  std::int64_t cycles = 0;
  for (std::int64_t row = 0; row < stacked_rows(sizes); row += tiling.rows) {
    const std::int64_t last_row = std::min(row + tiling.rows, stacked_rows(sizes)) - 1;
    const std::int64_t visible = sizes.causal ? sizes.keys - sizes.queries + last_row / sizes.group() + 1 : sizes.keys;
    const std::int64_t rows = tiles_of(last_row + 1 - row, cube.m0);
    const std::int64_t first_own = sizes.keys - sizes.queries + row / sizes.group();
    const std::int64_t first = sizes.window == 0 ? 0 : std::max<std::int64_t>(0, first_own + 1 - sizes.window);
    for (std::int64_t key = first / tiling.keys * tiling.keys; key < visible; key += tiling.keys) {
      const std::int64_t keys = std::min(tiling.keys, visible - key);
      for (std::int64_t d = 0; d < sizes.head_dim; d += tiling.step_d)
        cycles += rows * tiles_of(keys, cube.n0) * tiles_of(std::min(tiling.step_d, sizes.head_dim - d), cube.k0(bits));
      for (std::int64_t k = 0; k < keys; k += tiling.step_keys)
        cycles +=
            rows * tiles_of(sizes.head_dim, cube.n0) * tiles_of(std::min(tiling.step_keys, keys - k), cube.k0(bits));
    }
  }
  return Cycles(cycles * sizes.sequences * sizes.kv_heads);
}

TEST(AttentionProgram, MultipliesTheTilesBelowTheDiagonalAndReadsEveryOperandOnce) {
  const std::vector<AttentionSizes> all{{2, 8, 2, 128, 300, 300, true},    {1, 4, 4, 64, 100, 260, true},
                                        {3, 8, 2, 128, 1, 777, true},      {1, 6, 2, 80, 64, 200, false},
                                        {1, 4, 4, 64, 500, 500, true, 60}, {1, 8, 2, 128, 300, 399, true, 100}};
  for (const char* name : {"ascend_950pr", "edge_npu", "b200_like"}) {
    const auto machine = config::read_file_as<units::MachineParams>(config::locate("configs/machines", name));
    for (const AttentionSizes& sizes : all)
      for (const numerics::FormatId format : {numerics::FormatId::bf16, numerics::FormatId::fp8}) {
        SCOPED_TRACE(fmt::format("{} {} x {} {}", name, sizes.queries, sizes.keys, name_of(format)));
        const AttentionPlan plan{sizes, format};
        const int bits = numerics::format(format).element_bits;
        const AttentionTiling tiling = search_attention(plan, machine);
        const auto result = units::simulate(machine, attention_program(plan, machine, tiling));
        const PipeId pipe = unit_of(machine, attention_pass(plan)).pipe;
        Cycles busy{0};
        for (std::size_t core = 0; core < result.cores.size(); ++core) busy += units::time_of(result, pipe, core).busy;
        EXPECT_EQ(busy, cubes(sizes, tiling, machine.matrix(bits, false).cube, bits));
        const std::int64_t queries = sizes.sequences * sizes.heads * sizes.queries * sizes.head_dim;
        const std::int64_t keys = sizes.sequences * sizes.kv_heads * sizes.keys * sizes.head_dim;
        EXPECT_EQ(result.traffic.hbm_read, Bytes((queries + 2 * keys) * bits / 8));
        EXPECT_EQ(result.traffic.hbm_write, Bytes(queries * 2)) << "scores stay on the chip";
      }
  }
}

TEST(AttentionSearch, SaysThatNothingFits) {
  auto machine = config::read_file_as<units::MachineParams>(config::locate("configs/machines", "edge_npu"));
  machine.core.buffers.l0c = Bytes(1024);
  try {
    search_attention(one_job(64), machine);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "attention with heads of 64 does not fit the machine: 16 rows of queries and 16 keys need more than "
                 "its buffers");
  }
}

}  // namespace
}  // namespace oscsim
