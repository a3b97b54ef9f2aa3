// SPDX-License-Identifier: Apache-2.0
// Pipes and tokens: exact cycles of programs of a few commands, as sums of named terms.
#include <gtest/gtest.h>

#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

// 32 x 32 x 64 in 16 bit on the small machine's tensor unit.
constexpr Cycles kCubes(2 * 2 * 4);
constexpr Cycles kGap(3);
constexpr Cycles kStartup(40);

Command step() {
  return matmul(16, 32, 32, 64);
}

// `count` feeds into a ring of operand pairs and the matrix steps that read them.
CoreCommands fed_steps(int count, std::int64_t slots, Bytes a, Bytes b) {
  CoreCommands core;
  std::vector<Command> feeds, steps;
  for (int i = 0; i < count; ++i) {
    const Region pair = tile(TensorId::a, i);
    feeds.push_back(with(feed(a, b), {}, {writing(RingId::l0, i % slots, pair)}));
    steps.push_back(with(step(), {reading(RingId::l0, i % slots, pair)}));
  }
  core.pipes = {{PipeId::feed, std::move(feeds)}, {PipeId::tensor, std::move(steps)}};
  core.rings = {{RingId::l0, slots}};
  return core;
}

TEST(TensorUnit, StartupCountsOnceAndGapsLieBetween) {
  for (const int count : {1, 2, 7}) {
    const auto result = run(small_machine(), {{{{PipeId::tensor, std::vector<Command>(count, step())}}, {}}});
    EXPECT_EQ(result.total, kCubes * count + kGap * (count - 1) + kStartup);
    EXPECT_EQ(time_of(result, PipeId::tensor).busy, kCubes * count);
    EXPECT_EQ(time_of(result, PipeId::tensor).startup, kGap * count);
    EXPECT_EQ(result.commands, count);
  }
}

TEST(TensorUnit, BranchStepsAreAccountedApart) {
  Command branch = step();
  std::get<MatmulWork>(branch.work).branch = true;
  const auto result = run(small_machine(), {{{{PipeId::tensor, {step(), branch, branch}}}, {}}});
  EXPECT_EQ(time_of(result, PipeId::tensor).busy, kCubes);
  EXPECT_EQ(time_of(result, PipeId::tensor).branch, kCubes * 2);
}

TEST(BranchUnit, RunsBesideTheTensorUnit) {
  const Cycles branch_cubes(4 * 4 * 8), branch_gap(2), branch_startup(20);
  const auto result =
      run(small_machine(), {{{{PipeId::tensor, {step(), step()}}, {PipeId::branch, {step(), step()}}}, {}}});
  EXPECT_EQ(time_of(result, PipeId::tensor).end, Instant() + kCubes * 2 + kGap + kStartup);
  EXPECT_EQ(result.total, branch_cubes * 2 + branch_gap + branch_startup);
}

TEST(DoubleBuffering, HidesTheFeedBehindTheTensorUnit) {
  const Bytes a(512), b(256);
  const Cycles feed_span = Cycles(5) + Cycles(512 / 128) + Cycles(256 / 64);
  ASSERT_LT(feed_span, kCubes);
  const int count = 6;
  const auto result = run(small_machine(), {fed_steps(count, 2, a, b)});
  EXPECT_EQ(result.total, feed_span + (kCubes + kGap) * (count - 1) + kCubes + kStartup);
}

TEST(DoubleBuffering, SlowerFeedSetsThePace) {
  const Bytes a(2048), b(1024);
  const Cycles feed_span = Cycles(5) + Cycles(2048 / 128) + Cycles(1024 / 64);
  ASSERT_GT(feed_span, kCubes + kGap);
  const int count = 6;
  const auto result = run(small_machine(), {fed_steps(count, 2, a, b)});
  EXPECT_EQ(result.total, feed_span * count + kCubes + kStartup);
  const PipeTime& tensor = time_of(result, PipeId::tensor);
  const Cycles first_wait = feed_span, later_wait = feed_span - (kCubes + kGap);
  EXPECT_EQ(tensor.waiting[static_cast<std::size_t>(PipeId::feed)], first_wait + later_wait * (count - 1));
}

TEST(SingleBuffer, FeedAndTensorUnitTakeTurns) {
  const Bytes a(512), b(256);
  const Cycles feed_span = Cycles(5) + Cycles(512 / 128) + Cycles(256 / 64);
  const int count = 5;
  const auto result = run(small_machine(), {fed_steps(count, 1, a, b)});
  EXPECT_EQ(result.total, (feed_span + kCubes + kGap) * (count - 1) + feed_span + kCubes + kStartup);
  const PipeTime& feed_time = time_of(result, PipeId::feed);
  EXPECT_EQ(feed_time.waiting[static_cast<std::size_t>(PipeId::tensor)], (kCubes + kGap) * (count - 1));
}

TEST(FullRing, HoldsTheWriterBackUntilASlotIsFree) {
  // Two slots: the third feed starts when the first step has freed its slot, not a cycle earlier.
  const Bytes a(128), b(64);
  const Cycles feed_span = Cycles(5) + Cycles(1) + Cycles(1);
  const auto result = run(small_machine(), {fed_steps(3, 2, a, b)});
  const Cycles first_step_ends = feed_span + kCubes + kGap;
  EXPECT_EQ(time_of(result, PipeId::feed).end, Instant() + first_step_ends + feed_span);
  EXPECT_EQ(time_of(result, PipeId::feed).waiting[static_cast<std::size_t>(PipeId::tensor)],
            first_step_ends - feed_span * 2);
}

TEST(FullRing, BackPressureReachesTheLoad) {
  MachineParams machine = small_machine();
  machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
  machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15);
  const Cycles load_span = Cycles(10) + Cycles(1), feed_span = Cycles(5) + Cycles(1) + Cycles(1);
  CoreCommands core = fed_steps(5, 1, Bytes(128), Bytes(64));
  std::vector<Command> loads;
  for (int i = 0; i < 5; ++i) {
    loads.push_back(with(load(tile(TensorId::a, i), Bytes(64)), {}, {writing(RingId::l1_a, 0, tile(TensorId::a, i))}));
    core.pipes[0].second[static_cast<std::size_t>(i)].reads.push_back(reading(RingId::l1_a, 0, tile(TensorId::a, i)));
  }
  core.pipes.emplace_back(PipeId::load, std::move(loads));
  core.rings.emplace_back(RingId::l1_a, 1);
  const auto result = run(machine, {std::move(core)});
  // The step and the feed take turns; the load of the next tile fits beside the step.
  ASSERT_LT(load_span, kCubes + kGap);
  EXPECT_EQ(result.total, load_span + (feed_span + kCubes + kGap) * 4 + feed_span + kCubes + kStartup);
  const PipeTime& load_time = time_of(result, PipeId::load);
  // Load 1 waits for feed 0 to empty the slot; loads 2 to 4 wait until the step of two tiles before lets a feed start.
  Cycles waited(0);
  for (const Cycles waiting : load_time.waiting) waited += waiting;
  EXPECT_EQ(waited, feed_span * 4 + (kCubes + kGap - load_span) * 3);
  EXPECT_EQ(load_time.waiting[static_cast<std::size_t>(PipeId::feed)], feed_span * 4);
}

// ------ drains. Two tiles of two steps each, accumulated in a ring of `slots`.
struct Drains : testing::Test {
  MachineParams machine = small_machine();
  const Bytes bytes{2048};
  const Cycles port = Cycles(6) + Cycles(2048 / 64);
  const Cycles follow_step = Cycles(512 / 64);

  Drains() { machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15); }

  SimulationResult run_tiles(int tiles, std::int64_t slots, Cycles first_step) const {
    CoreCommands core;
    std::vector<Command> steps, drains;
    for (int i = 0; i < tiles; ++i) {
      const Region out = tile(TensorId::output, i);
      Write first = writing(RingId::l0c, i % slots, out, Publish::no);
      Write last =
          writing(RingId::l0c, i % slots, out, machine.core.drain.follows ? Publish::at_start : Publish::at_end);
      last.take = false;
      steps.push_back(with(step(), {}, {first}));
      steps.push_back(with(step(), {}, {last}));
      drains.push_back(with(drain(out, bytes, first_step), {reading(RingId::l0c, i % slots, out)}));
    }
    core.pipes = {{PipeId::tensor, std::move(steps)}, {PipeId::drain, std::move(drains)}};
    core.rings = {{RingId::l0c, slots}};
    return run(machine, {std::move(core)});
  }
};

TEST_F(Drains, WaitForTheEndOfTheTile) {
  const Cycles tile_span = kCubes * 2 + kGap + kStartup;
  EXPECT_EQ(run_tiles(1, 1, Cycles(0)).total, tile_span + port);
}

TEST_F(Drains, HoldTheOnlyAccumulatorUntilTheirEnd) {
  const Cycles tile_span = kCubes * 2 + kGap + kStartup;
  EXPECT_EQ(run_tiles(2, 1, Cycles(0)).total, tile_span + port + tile_span + port);
}

TEST_F(Drains, RunBesideTheNextTileWithASecondAccumulator) {
  const Cycles second_tile_ends = kCubes * 4 + kGap * 3 + kStartup;
  const Cycles first_drain_ends = kCubes * 2 + kGap + kStartup + port;
  ASSERT_GE(first_drain_ends, second_tile_ends);
  EXPECT_EQ(run_tiles(2, 2, kCubes).total, first_drain_ends + port);
}

TEST_F(Drains, ThatFollowStartWithTheLastStep) {
  machine.core.drain.follows = true;
  const Cycles last_step_starts = kCubes + kGap;
  const Cycles tile_ends = last_step_starts + kCubes + kStartup;
  ASSERT_GT(tile_ends + follow_step, last_step_starts + port);
  EXPECT_EQ(run_tiles(1, 1, kCubes).total, tile_ends + follow_step);
}

TEST_F(Drains, ThatFollowStillTakeTheirPortTime) {
  machine.core.drain.follows = true;
  machine.core.drain.rate = BytesPerCycle(8);
  const Cycles slow_port = Cycles(6) + Cycles(2048 / 8);
  const Cycles last_step_starts = kCubes + kGap;
  EXPECT_EQ(run_tiles(1, 1, kCubes).total, last_step_starts + slow_port);
}

TEST_F(Drains, ThatFollowAreFollowedByTheNextTilesFirstStep) {
  machine.core.drain.follows = true;
  const Cycles first_step(10);
  const Cycles first_drain_ends = kCubes + kGap + kCubes + kStartup + follow_step;
  const Cycles second_tile_starts = first_drain_ends - first_step;
  EXPECT_EQ(run_tiles(2, 1, first_step).total, second_tile_starts + kCubes + kGap + kCubes + kStartup + follow_step);
}

TEST_F(Drains, ShorterThanTheNextTilesFirstStepDoNotDelayIt) {
  machine.core.drain.follows = true;
  const Cycles first_step(1000);  // longer than the drain: the next tile may follow from the drain's start on
  const auto result = run_tiles(2, 1, first_step);
  const Cycles back_to_back = kCubes * 4 + kGap * 3 + kStartup;
  EXPECT_EQ(time_of(result, PipeId::tensor).end, Instant() + back_to_back);
  EXPECT_EQ(result.total, back_to_back + follow_step);
}

TEST_F(Drains, ReadBothAccumulatorsOfAJoinInTheEpilogue) {
  Command both = drain(tile(TensorId::output, 0), bytes);
  std::get<DrainWork>(both.work).accumulators = 2;
  EXPECT_EQ(run(machine, {{{{PipeId::drain, {both}}}, {}}}).total, Cycles(6) + Cycles(2 * 2048 / 64));
}

// ------ activation pipes

TEST(ActivationPipes, GatherAndVectorWorkOnDifferentTilesAtOnce) {
  MachineParams machine = small_machine();
  machine.core.gather.setup = Cycles(4);
  machine.core.gather.table_reload = Cycles(16);
  const Cycles gather_span = Cycles(4) + Cycles(16) + Cycles(2) * 10;
  const Cycles cast_span = Cycles(7) + Cycles(2560 / 256) * 3;
  ASSERT_GT(gather_span, cast_span);
  CoreCommands core;
  std::vector<Command> gathers, casts;
  const int count = 4;
  for (int i = 0; i < count; ++i) {
    const Region x = tile(TensorId::x, i);
    gathers.push_back({GatherWork{.row_time = Cycles(2), .rows = 10, .groups = 8}, {}, {}});
    gathers.back().writes.push_back(writing(RingId::ub_gathered, i % 2, x));
    casts.push_back({VectorWork{.input = Bytes(2560), .passes = 3}, {}, {}});
    casts.back().reads.push_back(reading(RingId::ub_gathered, i % 2, x));
  }
  core.pipes = {{PipeId::gather, std::move(gathers)}, {PipeId::vector, std::move(casts)}};
  core.rings = {{RingId::ub_gathered, 2}};
  EXPECT_EQ(run(machine, {std::move(core)}).total, gather_span * count + cast_span);
}

TEST(PerfectOverlap, NoPipeWaitsForAnother) {
  MachineParams machine = small_machine();
  machine.overlap = Overlap::perfect;
  const Cycles feed_span = Cycles(5) + Cycles(2048 / 128) + Cycles(1024 / 64);
  const auto result = run(machine, {fed_steps(6, 1, Bytes(2048), Bytes(1024))});
  EXPECT_EQ(time_of(result, PipeId::tensor).end, Instant() + kCubes * 6 + kGap * 5 + kStartup);
  EXPECT_EQ(result.total, feed_span * 6);
}

TEST(Accounting, BusyStartupAndWaitsCoverThePipesTime) {
  const auto result = run(small_machine(), {fed_steps(9, 2, Bytes(2048), Bytes(1024))});
  for (const PipeId pipe : {PipeId::feed, PipeId::tensor}) {
    const PipeTime& time = time_of(result, pipe);
    Cycles sum = time.busy + time.branch + time.startup;
    for (const Cycles waiting : time.waiting) sum += waiting;
    const Cycles latency_of_last = pipe == PipeId::tensor ? kStartup - kGap : Cycles(0);
    EXPECT_EQ(Instant() + sum + latency_of_last, time.end) << name_of(pipe);
  }
}

TEST(Repetition, SameProgramTakesTheSameCyclesInOneProcess) {
  const auto first = run(small_machine(), {fed_steps(9, 2, Bytes(2048), Bytes(1024))});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(run(small_machine(), {fed_steps(9, 2, Bytes(2048), Bytes(1024))}).total, first.total);
}

}  // namespace
}  // namespace oscsim::units
