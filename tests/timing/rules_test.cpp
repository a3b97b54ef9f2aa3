// SPDX-License-Identifier: Apache-2.0
// The timing rule of every unit, without a simulation kernel.
#include <gtest/gtest.h>

#include "models/units/machine.h"

namespace oscsim::units {
namespace {

constexpr std::int16_t kNone = -1;

TEST(LoadTiming, PortIsBusyForSetupAndTransfer) {
  const LoadParams params{.rate = BytesPerCycle(64), .setup = Cycles(10)};
  const Cycles setup(10);
  EXPECT_EQ(load_time(params, Bytes(640)), setup + Cycles(640 / 64));
  EXPECT_EQ(load_time(params, Bytes(641)), setup + Cycles(640 / 64 + 1));
}

TEST(LoadTiming, FractionalRatesRoundUpOnce) {
  const LoadParams params{.rate = BytesPerCycle(85.6), .setup = Cycles(0)};
  EXPECT_EQ(load_time(params, Bytes(856)), Cycles(10));
  EXPECT_EQ(load_time(params, Bytes(857)), Cycles(11));
}

TEST(LoadTiming, RowsMoveInWholeGranulesAndCostTimeOfTheirOwn) {
  const LoadParams params{.rate = BytesPerCycle(64), .setup = Cycles(10), .granule = Bytes(128), .row = Bytes(32)};
  const Cycles setup(10);
  EXPECT_EQ(load_time(params, Bytes(4 * 128), 4), setup + Cycles(4 * (128 + 32) / 64));
  EXPECT_EQ(load_time(params, Bytes(4 * 129), 4), setup + Cycles(4 * (256 + 32) / 64));
}

TEST(LoadTiming, CoresThatWalkTheSameRowsTakeTurns) {
  const LoadParams params{.rate = BytesPerCycle(64), .setup = Cycles(10), .shared_row = Bytes(32)};
  const Cycles setup(10), alone(8 * 128 / 64);
  EXPECT_EQ(load_time(params, Bytes(8 * 128), 8, 4), setup + alone);
  EXPECT_EQ(load_time(params, Bytes(8 * 128), 8, 5), setup + Cycles(8 * 5 * 32 / 64));
}

TEST(LoadTiming, ReproducesThePublishedLoads) {
  // CANN matmul samples, one core: 64 and 256 rows of 128 bytes (950); 64 and 128 rows of 128 bytes (910B1).
  const LoadParams ascend_950{.rate = BytesPerCycle(128), .setup = Cycles(280), .row = Bytes(68)};
  EXPECT_EQ(load_time(ascend_950, Bytes(64 * 128), 64), Cycles(378));
  EXPECT_EQ(load_time(ascend_950, Bytes(256 * 128), 256), Cycles(672));
  const LoadParams ascend_910b{.rate = BytesPerCycle(151), .setup = Cycles(40), .granule = Bytes(512)};
  EXPECT_EQ(load_time(ascend_910b, Bytes(64 * 128), 64), Cycles(258));
  EXPECT_EQ(load_time(ascend_910b, Bytes(128 * 128), 128), Cycles(475));
}

TEST(FeedTiming, OperandsTakeTheReadPortOneAfterTheOther) {
  const FeedParams params{.a_rate = BytesPerCycle(128), .b_rate = BytesPerCycle(64), .setup = Cycles(5)};
  const Cycles setup(5), a(256 / 128), b(320 / 64);
  EXPECT_EQ(feed_time(params, Bytes(256), Bytes(320)), setup + a + b);
}

TEST(FeedTiming, ReproducesThePublishedPairs) {
  // CANN matmul samples: 64x64x64 and 256x256x64 (950), 64x64x64 and 128x256x64 (910B1), all 16 bit.
  const FeedParams ascend_950{.a_rate = BytesPerCycle(256), .b_rate = BytesPerCycle(256), .setup = Cycles(27)};
  EXPECT_EQ(feed_time(ascend_950, Bytes(64 * 64 * 2), Bytes(64 * 64 * 2)), Cycles(91));
  EXPECT_EQ(feed_time(ascend_950, Bytes(256 * 64 * 2), Bytes(256 * 64 * 2)), Cycles(283));
  const FeedParams ascend_910b{.a_rate = BytesPerCycle(256), .b_rate = BytesPerCycle(128), .setup = Cycles(47)};
  EXPECT_EQ(feed_time(ascend_910b, Bytes(64 * 64 * 2), Bytes(64 * 64 * 2)), Cycles(143));
  EXPECT_EQ(feed_time(ascend_910b, Bytes(128 * 64 * 2), Bytes(256 * 64 * 2)), Cycles(367));
}

TEST(FeedTiming, WaitsForTheBytesThatALoadWritesMeanwhile) {
  const FeedParams params{.a_rate = BytesPerCycle(128),
                          .b_rate = BytesPerCycle(128),
                          .setup = Cycles(5),
                          .shared_port = BytesPerCycle(256)};
  const Cycles setup(5), transfer(1024 / 128), written(1024 / 128 * 64 / 256);
  EXPECT_EQ(feed_time(params, Bytes(512), Bytes(512), BytesPerCycle(0)), setup + transfer);
  EXPECT_EQ(feed_time(params, Bytes(512), Bytes(512), BytesPerCycle(64)), setup + transfer + written);
  FeedParams separate = params;
  separate.shared_port = BytesPerCycle(0);
  EXPECT_EQ(feed_time(separate, Bytes(512), Bytes(512), BytesPerCycle(64)), setup + transfer);
}

TEST(IssueTiming, FoldedConstantsHaveCostsOfTheirOwn) {
  const IssueParams params{.step = Cycles(4), .tile = Cycles(30), .step_folded = Cycles(1), .tile_folded = Cycles(9)};
  EXPECT_EQ(params.per_step(false), Cycles(4));
  EXPECT_EQ(params.per_step(true), Cycles(1));
  EXPECT_EQ(params.per_tile(false), Cycles(30));
  EXPECT_EQ(params.per_tile(true), Cycles(9));
}

constexpr MatrixParams kCube{.cube = {.m0 = 16, .n0 = 16, .k0_4bit = 64, .k0_8bit = 32, .k0_16bit = 16},
                             .startup = Cycles(92),
                             .gap = Cycles(3)};

TEST(MatrixTiming, WidthSetsTheReductionDepthOfACube) {
  const std::int64_t tiles = (32 / 16) * (48 / 16);
  EXPECT_EQ(matrix_time(kCube, 4, 32, 48, 128).work, Cycles(tiles * 128 / 64));
  EXPECT_EQ(matrix_time(kCube, 8, 32, 48, 128).work, Cycles(tiles * 128 / 32));
  EXPECT_EQ(matrix_time(kCube, 16, 32, 48, 128).work, Cycles(tiles * 128 / 16));
}

TEST(MatrixTiming, TailsArePaddedToWholeCubes) {
  EXPECT_EQ(matrix_time(kCube, 16, 1, 1, 1).work, Cycles(1));
  EXPECT_EQ(matrix_time(kCube, 16, 17, 16, 16).work, Cycles(2));
  EXPECT_EQ(matrix_time(kCube, 16, 16, 33, 16).work, Cycles(3));
  EXPECT_EQ(matrix_time(kCube, 16, 16, 16, 49).work, Cycles(4));
}

TEST(MatrixTiming, UnitIsOccupiedForCubesAndGapAndAnswersAfterStartup) {
  const MatrixTime time = matrix_time(kCube, 16, 256, 256, 64);
  const Cycles cubes(16 * 16 * 4), gap(3), startup(92);
  EXPECT_EQ(time.work, cubes);
  EXPECT_EQ(time.occupancy, cubes + gap);
  EXPECT_EQ(time.latency, cubes + startup);
}

TEST(MatrixTiming, ResultIsNotThereBeforeTheUnitIsFree) {
  MatrixParams params = kCube;
  params.startup = Cycles(1);
  const MatrixTime time = matrix_time(params, 16, 16, 16, 16);
  EXPECT_EQ(time.latency, time.occupancy);
}

TEST(MatrixTiming, MissingWidthIsADefect) {
  MatrixParams params = kCube;
  params.cube.k0_4bit = 0;
  EXPECT_THROW(matrix_time(params, 4, 16, 16, 64), DefectError);
}

TEST(DrainTiming, EachAccumulatorIsRead) {
  const DrainParams params{.rate = BytesPerCycle(64), .setup = Cycles(6), .output_element = Bytes(2), .follows = true};
  const Cycles setup(6), tile(1024 / 64);
  EXPECT_EQ(drain_time(params, Bytes(1024), 1), setup + tile);
  EXPECT_EQ(drain_time(params, Bytes(1024), 2), setup + tile + tile);
}

TEST(VectorTiming, WorkTakesItsPasses) {
  const VectorParams params{.rate = BytesPerCycle(256), .setup = Cycles(7), .quantise_passes = {}};
  const Cycles setup(7), pass(2560 / 256);
  EXPECT_EQ(vector_time(params, Bytes(2560), 1), setup + pass);
  EXPECT_EQ(vector_time(params, Bytes(2560), 3), setup + pass * 3);
  EXPECT_EQ(vector_time(params, Bytes(1), 3), setup + Cycles(1));
  EXPECT_EQ(vector_time(params, Bytes(2560), 0), Cycles(0));
}

TEST(VectorTiming, EveryFormatCastsInMaximumScaleAndCastAndWhatItsBlocksNeedBesides) {
  const VectorParams params;
  const std::int64_t maximum = 1, scale = 1, cast = 1;
  for (const numerics::FormatInfo& format : numerics::formats()) {
    SCOPED_TRACE(format.name);
    std::int64_t all = maximum + scale + cast;
    if (format.element_bits == 16) all = 0;
    if (format.block_scale == numerics::BlockScale::hif4) all += 1;         // micro-exponents
    if (format.block_scale == numerics::BlockScale::signed_e5m2) all += 1;  // maximum of each sign
    if (format.block_scale == numerics::BlockScale::bf16_zero) all += 1;    // minimum
    EXPECT_EQ(cast_passes(params, format, CastPart::all), all);
    if (all == 0) continue;
    EXPECT_EQ(cast_passes(params, format, CastPart::maximum) + cast_passes(params, format, CastPart::rest), all);
  }
}

TEST(VectorTiming, PassesCanBeSet) {
  VectorParams params;
  for (const std::int64_t passes : {1, 2, 3, 7}) {
    params.quantise_passes = passes;
    const numerics::FormatInfo& fp8 = numerics::format(numerics::FormatId::fp8);
    EXPECT_EQ(cast_passes(params, fp8, CastPart::all), passes);
    EXPECT_EQ(cast_passes(params, fp8, CastPart::maximum), 1);
    EXPECT_EQ(cast_passes(params, fp8, CastPart::rest), std::max<std::int64_t>(1, passes - 1));
    EXPECT_EQ(cast_passes(params, numerics::format(numerics::FormatId::bf16), CastPart::all), 0);
  }
}

TEST(MemoryTiming, ServerQueuesWhatArrivesWhileItIsBusy) {
  BandwidthServer server(BytesPerCycle(32));
  EXPECT_EQ(server.serve(10, Bytes(320)), 10 + 320 / 32);
  EXPECT_EQ(server.serve(15, Bytes(64)), 20 + 64 / 32);
  EXPECT_EQ(server.serve(100, Bytes(32)), 100 + 1);
}

TEST(MemoryTiming, SmallRequestsAreNotEachRoundedUp) {
  BandwidthServer server(BytesPerCycle(64));
  double end = 0;
  for (int i = 0; i < 8; ++i) end = server.serve(0, Bytes(16));
  EXPECT_EQ(end, 2.0);
}

// ------ gather: 4 lanes over 4 banks of 32 bytes. A group of 32 two-byte channels covers two banks, so that channel 0
// of groups 0, 1, 2, 3 lies in banks 0, 2, 0, 2 and channel 16 in banks 1, 3, 1, 3.
struct GatherTiming : testing::Test {
  GatherParams params{.lanes = 4,
                      .banks = 4,
                      .bank_width = Bytes(32),
                      .table_entries = 8,
                      .table_reload = Cycles(50),
                      .zero_behind = true,
                      .setup = Cycles(9)};

  Cycles row_time(std::vector<std::int16_t> channels, std::int64_t group = 32) const {
    return gather_row_time(params, channels, group);
  }
};

TEST_F(GatherTiming, LanesInDifferentBanksShareACycle) {
  EXPECT_EQ(row_time({0, 0, 16, 16}), Cycles(1));    // banks 0 2 1 3
  EXPECT_EQ(row_time({15, 31, 16, 15}), Cycles(1));  // banks 0 3 1 2
}

TEST_F(GatherTiming, LanesInOneBankTakeTurns) {
  EXPECT_EQ(row_time({0, 0, 0, 0}), Cycles(2));        // banks 0 2 0 2
  EXPECT_EQ(row_time({0, 16, 0, 0}), Cycles(2));       // banks 0 3 0 2
  EXPECT_EQ(row_time({0, 0, 0, 0}, 64), Cycles(4));    // a group covers all banks: 0 0 0 0
  EXPECT_EQ(row_time({0, 16, 32, 0}, 64), Cycles(2));  // 0 1 2 0
}

TEST_F(GatherTiming, BatchesFollowOneAnother) {
  EXPECT_EQ(row_time({0, 0, 0, 0, 0}), Cycles(2 + 1));
  EXPECT_EQ(row_time({0, 0, 16, 16, 0, 0, 0, 0}), Cycles(1 + 2));
}

TEST_F(GatherTiming, GroupWithoutOutlierKeepsItsLaneAndAccessesNothing) {
  EXPECT_EQ(row_time({0, kNone, 0, kNone}), Cycles(2));   // banks 0 . 0 .
  EXPECT_EQ(row_time({0, kNone, 16, kNone}), Cycles(1));  // banks 0 . 1 .
  EXPECT_EQ(row_time({kNone, kNone, kNone, kNone, 0}), Cycles(1 + 1));
}

TEST_F(GatherTiming, ZeroingBySecondAccessDoublesTheTime) {
  params.zero_behind = false;
  EXPECT_EQ(row_time({0, 0, 16, 16}), Cycles(1) * 2);
  EXPECT_EQ(row_time({0, 0, 0, 0, 0}), Cycles(2 + 1) * 2);
}

TEST_F(GatherTiming, TableIsLoadedOncePerTileAndPart) {
  const Cycles setup(9), reload(50), row(3);
  EXPECT_EQ(gather_time(params, row, 10, 8), setup + reload + row * 10);
  EXPECT_EQ(gather_time(params, row, 10, 9), setup + reload * 2 + row * 10);
}

TEST_F(GatherTiming, MoreLanesOrBanksNeverTakeLonger) {
  const std::vector<std::int16_t> channels{3, 17, kNone, 30, 0, 0, 31, 16, 5, kNone, 9, 22};
  for (std::int64_t lanes = 1; lanes < 16; lanes *= 2)
    for (std::int64_t banks = 1; banks < 32; banks *= 2) {
      params.lanes = lanes;
      params.banks = banks;
      const Cycles now = row_time(channels);
      params.banks = banks * 2;
      EXPECT_LE(row_time(channels), now) << lanes << " lanes, " << banks << " banks";
      params.banks = banks;
      params.lanes = lanes * 2;
      EXPECT_LE(row_time(channels), now) << lanes << " lanes, " << banks << " banks";
    }
}

}  // namespace
}  // namespace oscsim::units
