// SPDX-License-Identifier: Apache-2.0
// What units count of their commands.
#include "models/units/activity.h"

#include <gtest/gtest.h>

#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

MatrixParams cube() {
  return small_machine().core.tensor;  // 16 x 16, by 64, 32 and 16 deep
}

MatrixParams systolic(Dataflow dataflow) {
  MatrixParams params = cube();
  params.kind = MatrixKind::systolic;
  params.cube.k0_8bit = 2;
  params.systolic = {.rows = 4, .columns = 8, .dataflow = dataflow};
  return params;
}

TEST(MatrixActivity, CubesCountTheirPadding) {
  const MatrixActivity did = matrix_activity(cube(), 4, 17, 16, 65);
  const std::int64_t tiles = 2, cubes = tiles * 2;
  EXPECT_EQ(did.macs, Macs(cubes * 16 * 16 * 64));
  EXPECT_EQ(did.dots, cubes * 16 * 16);
  EXPECT_EQ(did.operands, Bytes(cubes * (16 + 16) * 64 / 2));
  EXPECT_EQ(did.accumulators, Bytes(2 * 4 * tiles * 16 * 16));
}

TEST(MatrixActivity, StationaryOperandsOfAnArrayAreReadOnceAFold) {
  // 5 rows of A stream; 8 x 8 of B in steps of 2 fill the array once.
  const MatrixActivity did = matrix_activity(systolic(Dataflow::weight_stationary), 8, 5, 8, 8);
  EXPECT_EQ(did.macs, Macs(5 * 4 * 8 * 2));
  EXPECT_EQ(did.dots, 5 * 4 * 8);
  EXPECT_EQ(did.operands, Bytes((4 * 8 + 5 * 4) * 2));
  EXPECT_EQ(did.accumulators, Bytes(2 * 4 * 5 * 8));
}

TEST(MatrixActivity, AnOutputStationaryArrayKeepsItsSums) {
  const MatrixActivity did = matrix_activity(systolic(Dataflow::output_stationary), 8, 4, 8, 20);
  EXPECT_EQ(did.macs, Macs(10 * 4 * 8 * 2));
  EXPECT_EQ(did.operands, Bytes(10 * (4 + 8) * 2));
  EXPECT_EQ(did.accumulators, Bytes(2 * 4 * 4 * 8));
}

TEST(Activity, AChipsIsTheSumOfItsCoresCommands) {
  const auto core = [] {
    Command matmul;
    matmul.work = MatmulWork{4, 16, 16, 64, false};
    Command branch;
    branch.work = MatmulWork{16, 16, 16, 16, true};
    Command gather;
    gather.work = GatherWork{Cycles(2), 8, 4};
    Command vector;
    vector.work = VectorWork{Bytes(128), 3};
    return CoreCommands{{{PipeId::tensor, {matmul, branch}}, {PipeId::gather, {gather}}, {PipeId::vector, {vector}}},
                        {}};
  };
  const Activity did = run(small_machine(), {core(), core()}).activity;
  EXPECT_EQ(did.tensor.bits4, Macs(2 * 16 * 16 * 64));
  EXPECT_EQ(did.tensor.bits16, Macs(0));
  EXPECT_EQ(did.branch.bits16, Macs(2 * 16 * 16 * 16));
  EXPECT_EQ(did.tensor_dots.bits4, 2 * 16 * 16);
  EXPECT_EQ(did.branch_dots.bits16, 2 * 16 * 16);
  EXPECT_EQ(did.l0, Bytes(2 * ((16 + 16) * 64 / 2 + (16 + 16) * 16 * 2)));
  EXPECT_EQ(did.l0c, Bytes(2 * 2 * (2 * 4 * 16 * 16)));
  EXPECT_EQ(did.gathered, 2 * 8 * 4);
  EXPECT_EQ(did.vector_elements, 2 * 3 * 64);
  // Each gathered element is read, written and zeroed; each pass reads its input.
  EXPECT_EQ(did.ub, Bytes(2 * (3 * 2 * 8 * 4 + 3 * 128)));
}

TEST(Activity, AnEngineOnTheLoadPathGathersWhileTheTileComesIn) {
  Command load;
  load.work = LoadWork{.region = tile(TensorId::x, 0), .bytes = Bytes(2048), .gather = GatherWork{Cycles(1), 16, 2}};
  load.writes.push_back({RingId::ub_in, 0, tile(TensorId::x, 0), std::nullopt, true, Publish::at_end});
  const Activity did = run(small_machine(), {{{{PipeId::load, {load}}}, {{RingId::ub_in, 1}}}}).activity;
  EXPECT_EQ(did.gathered, 16 * 2);
  EXPECT_EQ(did.ub, Bytes(2048 + 2 * 16 * 2));
  EXPECT_EQ(did.l1, Bytes(0));
}

}  // namespace
}  // namespace oscsim::units
