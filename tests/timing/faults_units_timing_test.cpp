// SPDX-License-Identifier: Apache-2.0
// Timing rules against faults that users of such models have found; each name has the fault's number.
#include <gtest/gtest.h>

#include "sim/mapping/fused_activation.h"
#include "tests/oracle/variants.h"
#include "tests/timing/small_programs.h"

namespace oscsim {
namespace {

using units::gather_row_time;
using units::gather_time;
using units::GatherParams;
using units::MachineParams;

// Batches of 8 groups of 32 channels over 32 banks of 32 bytes: a group is two banks, so that channel 0 of groups 16
// apart lie in one bank, and no two groups of a batch do.
constexpr std::int64_t kOutlierGroup = 32;
constexpr std::int16_t kNoOutlier = -1;

GatherParams eight_lanes(bool zero_behind) {
  GatherParams params;
  params.lanes = 8;
  params.banks = 32;
  params.zero_behind = zero_behind;
  return params;
}

void add_batches(std::vector<std::int16_t>& row, int count, bool has_outliers) {
  for (int i = 0; i < count * 8; ++i) row.push_back(has_outliers && i % 3 == 0 ? std::int16_t{0} : kNoOutlier);
}

// 300 rows of 1840 batches in all, 311 of them without an outlier: 1529 are read and written, 311 only read.
Cycles of_300_rows(const GatherParams& params) {
  std::vector<std::int16_t> row, last;
  add_batches(row, 5, true);
  add_batches(row, 1, false);
  add_batches(last, 34, true);
  add_batches(last, 12, false);
  return gather_row_time(params, row, kOutlierGroup) * 299 + gather_row_time(params, last, kOutlierGroup);
}

TEST(FaultA10, ABatchWithoutOutliersWritesNothing) {
  EXPECT_EQ(of_300_rows(eight_lanes(false)), Cycles(3369));
  EXPECT_EQ(of_300_rows(eight_lanes(true)), Cycles(1840));
}

TEST(FaultA10, VariantConflictsPartBatchesAndEmptyTables) {
  GatherParams params = eight_lanes(false);
  const auto row_time = [&params](std::vector<std::int16_t> row, std::int64_t group) {
    return gather_row_time(params, row, group);
  };
  EXPECT_EQ(row_time({kNoOutlier, kNoOutlier, kNoOutlier}, kOutlierGroup), Cycles(1));
  EXPECT_EQ(row_time({kNoOutlier, 3, kNoOutlier}, kOutlierGroup), Cycles(1 + 1));
  // Groups of 512 channels are a kibibyte: all in one bank. Three outliers of four are three reads and three writes.
  EXPECT_EQ(row_time({0, 0, kNoOutlier, 0}, 512), Cycles(3 + 3));
  EXPECT_EQ(row_time(std::vector<std::int16_t>(17, kNoOutlier), kOutlierGroup), Cycles(3));
  EXPECT_EQ(row_time({}, kOutlierGroup), Cycles(0));
  params.zero_behind = true;
  EXPECT_EQ(row_time({0, 0, kNoOutlier, 0}, 512), Cycles(3));
}

TEST(FaultA10, VariantATableThatIsNotKnownYetHasAnOutlierInEachGroupAndNoConflicts) {
  for (const bool zero_behind : {true, false}) {
    const GatherParams params = eight_lanes(zero_behind);
    for (const std::int64_t groups : {1, 8, 9, 200})
      EXPECT_EQ(gather_row_time(params, groups),
                gather_row_time(params, std::vector<std::int16_t>(static_cast<std::size_t>(groups), 0), 16))
          << groups;
  }
}

// What the search takes a fused cast's gather for is the engine's own rule, tile by tile.
TEST(FaultA10, VariantAFusedCastIsPricedByTheEnginesRule) {
  MachineParams machine = machines().at("edge_npu");
  machine.core.gather = eight_lanes(false);
  machine.core.gather.table_entries = 4;
  machine.core.gather.table_reload = Cycles(64);
  machine.core.gather.setup = Cycles(3);
  const Shape shape{64, 64, 1024};
  const GemmPlan plan = plan_of(schemes().at("osc"), shape);
  ASSERT_EQ(plan.activation.gather_group, kOutlierGroup);
  MappingParams pins;
  pins.quantise = QuantisePlace::fused;
  pins.stage_k = 512;
  const Tiling tiling = search_tiling(plan, machine, pins);
  Bytes need{0};
  const std::int64_t rows = fused_rows(plan, machine, tiling, need), stage = tiling.passes.front().stage;
  ASSERT_EQ(stage, 512);
  const std::int64_t groups = stage / kOutlierGroup, stages = shape.k / stage, tiles = 2;
  // 16 groups: two batches of a read and a write each, four parts of the table.
  const Cycles expected = (Cycles(3) + Cycles(64) * 4 + Cycles(2 * 2) * rows) * (stages * tiles);
  EXPECT_EQ(fused_cost(plan, machine, tiling, rows * tiles).gather, expected.real());
  EXPECT_EQ(expected, gather_time(machine.core.gather, gather_row_time(machine.core.gather, groups), rows, groups) *
                          (stages * tiles));
}

}  // namespace
}  // namespace oscsim
