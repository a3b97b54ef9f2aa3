// SPDX-License-Identifier: Apache-2.0
// Loads and drains through L2 and HBM: exact cycles and traffic of programs of a few transfers.
#include <gtest/gtest.h>

#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

// On the small machine: load port 64, L2 128, HBM 32 bytes per cycle; latencies 20 and 100 cycles.
constexpr Bytes kTile(6400);
constexpr Cycles kLoadSetup(10);
constexpr Cycles kPort(6400 / 64);
constexpr Cycles kL2(6400 / 128);
constexpr Cycles kHbm(6400 / 32);
constexpr Cycles kL2Latency(20);
constexpr Cycles kHbmLatency(100);

const Region kFirst = tile(TensorId::a, 0);
const Region kSecond = tile(TensorId::a, 1);
const Region kThird = tile(TensorId::a, 2);

CoreCommands loads(const std::vector<Region>& regions, Bytes bytes = kTile) {
  CoreCommands core;
  auto& commands = core.pipes.emplace_back(PipeId::load, std::vector<Command>{}).second;
  for (const Region& region : regions) commands.push_back(load(region, bytes));
  return core;
}

// Each load waits until the one before has arrived and been fed, which takes `feed_span`.
CoreCommands loads_one_by_one(const std::vector<Region>& regions, Bytes bytes) {
  CoreCommands core = loads(regions, bytes);
  std::vector<Command> feeds;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    core.pipes[0].second[i].writes.push_back(writing(RingId::l1_a, 0, regions[i]));
    feeds.push_back(with(feed(Bytes(128), Bytes(64)), {reading(RingId::l1_a, 0, regions[i])}));
  }
  core.pipes.emplace_back(PipeId::feed, std::move(feeds));
  core.rings = {{RingId::l1_a, 1}};
  return core;
}
constexpr Cycles kFeedSpan = Cycles(5) + Cycles(1) + Cycles(1);

TEST(Load, FirstTouchTakesHbmTransferAndBothLatencies) {
  const auto result = run(small_machine(), {loads({kFirst})});
  EXPECT_EQ(result.total, kLoadSetup + kHbm + kHbmLatency + kL2Latency);
  EXPECT_EQ(time_of(result, PipeId::load).busy, kLoadSetup + kPort);
  EXPECT_EQ(result.traffic.hbm_read, kTile);
  EXPECT_EQ(result.traffic.l2_read, kTile);
}

TEST(Load, SlowPortDecidesWhenMemoryIsFast) {
  MachineParams machine = small_machine();
  machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
  machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15);
  EXPECT_EQ(run(machine, {loads({kFirst, kSecond})}).total, (kLoadSetup + kPort) * 2);
}

TEST(Load, LatencyOverlapsBetweenLoads) {
  MachineParams machine = small_machine();
  machine.hbm.bandwidth = machine.l2.bandwidth;
  const auto result = run(machine, {loads({kFirst, kSecond, kThird})});
  EXPECT_EQ(result.total, (kLoadSetup + kPort) * 2 + kLoadSetup + kL2 + kHbmLatency + kL2Latency);
}

TEST(Load, AtMostTheOutstandingLoadsAwaitTheirData) {
  MachineParams machine = small_machine();
  machine.hbm.bandwidth = machine.l2.bandwidth = BytesPerSecond(64e12);
  machine.hbm.latency = Nanoseconds(2000);
  machine.l2.latency = Nanoseconds(0);
  const Cycles span = kLoadSetup + Cycles(1);
  const Cycles latency = Cycles(2000) + Cycles(1);  // the transfer itself is a part of the last cycle
  std::vector<Region> regions;
  for (std::size_t i = 0; i <= Pipe::kOutstanding; ++i)
    regions.push_back(tile(TensorId::a, static_cast<std::int64_t>(i)));
  ASSERT_LT(span * Pipe::kOutstanding, latency);
  const auto one_too_many = run(machine, {loads(regions, Bytes(64))});
  regions.pop_back();
  const auto fitting = run(machine, {loads(regions, Bytes(64))});
  EXPECT_EQ(fitting.total, span * (Pipe::kOutstanding - 1) + kLoadSetup + latency);
  EXPECT_EQ(one_too_many.total, kLoadSetup + latency + kLoadSetup + latency);
}

TEST(L2, HitAfterMissTakesL2TimeOnly) {
  const Bytes bytes(640);
  const auto result = run(small_machine(), {loads_one_by_one({kFirst, kFirst}, bytes)});
  const Cycles miss = kLoadSetup + Cycles(640 / 32) + kHbmLatency + kL2Latency;
  const Cycles hit = kLoadSetup + Cycles(640 / 128) + kL2Latency;
  ASSERT_GT(hit, kLoadSetup + Cycles(640 / 64));  // memory, not the port
  EXPECT_EQ(result.total, miss + kFeedSpan + hit + kFeedSpan);
  EXPECT_EQ(result.traffic.hbm_read, bytes);
  EXPECT_EQ(result.traffic.l2_read, bytes * 2);
}

TEST(L2, SecondTouchOfATileUnderWayArrivesWithTheFirst) {
  const auto result = run(small_machine(), {loads({kFirst}), loads({kFirst})});
  const Instant arrival = Instant() + kLoadSetup + kHbm + kHbmLatency + kL2Latency;
  EXPECT_EQ(time_of(result, PipeId::load, 0).end, arrival);
  EXPECT_EQ(time_of(result, PipeId::load, 1).end, arrival);
  EXPECT_EQ(result.traffic.hbm_read, kTile);
  EXPECT_EQ(result.traffic.l2_read, kTile * 2);
}

TEST(L2, CoresShareItsBandwidth) {
  MachineParams machine = small_machine();
  machine.cores = 4;
  machine.hbm.bandwidth = BytesPerSecond(1e15);
  machine.hbm.latency = Nanoseconds(0);
  machine.core.load.rate = BytesPerCycle(6400);
  const auto result = run(machine, {loads({kFirst}), loads({kSecond}), loads({kThird})});
  EXPECT_EQ(result.total, kLoadSetup + kL2 * 3 + kL2Latency);
}

TEST(L2, LeastRecentlyUsedTileGivesWay) {
  MachineParams machine = small_machine();
  const Bytes bytes(640);
  machine.l2.capacity = bytes * 2;
  // The third load refreshes the first tile, so the third tile evicts the second.
  const auto result = run(machine, {loads_one_by_one({kFirst, kSecond, kFirst, kThird, kFirst, kSecond}, bytes)});
  EXPECT_EQ(result.traffic.hbm_read, bytes * 4);
  EXPECT_EQ(result.traffic.l2_read, bytes * 6);
}

TEST(L2, CapacityOfOneByteLessEvictsEarlier) {
  MachineParams machine = small_machine();
  const Bytes bytes(640);
  machine.l2.capacity = bytes * 2 - Bytes(1);
  EXPECT_EQ(run(machine, {loads_one_by_one({kFirst, kSecond, kFirst}, bytes)}).traffic.hbm_read, bytes * 3);
  machine.l2.capacity = bytes * 2;
  EXPECT_EQ(run(machine, {loads_one_by_one({kFirst, kSecond, kFirst}, bytes)}).traffic.hbm_read, bytes * 2);
}

TEST(L2, TileLargerThanItPassesThrough) {
  MachineParams machine = small_machine();
  machine.l2.capacity = kTile - Bytes(1);
  EXPECT_EQ(run(machine, {loads_one_by_one({kFirst, kFirst}, kTile)}).traffic.hbm_read, kTile * 2);
}

TEST(Hbm, CoresShareItsBandwidth) {
  const auto result = run(small_machine(), {loads({kFirst}), loads({kSecond})});
  EXPECT_EQ(time_of(result, PipeId::load, 0).end, Instant() + kLoadSetup + kHbm + kHbmLatency + kL2Latency);
  EXPECT_EQ(time_of(result, PipeId::load, 1).end, Instant() + kLoadSetup + kHbm * 2 + kHbmLatency + kL2Latency);
  EXPECT_EQ(result.traffic.hbm_read, kTile * 2);
}

TEST(Hbm, ReadsAndWritesShareItsBandwidth) {
  CoreCommands writer;
  writer.pipes.emplace_back(PipeId::drain, std::vector{drain(tile(TensorId::output, 0), kTile)});
  const auto result = run(small_machine(), {loads({kFirst}), std::move(writer)});
  // The drain's bytes are there 4 cycles earlier, but the load asked first.
  EXPECT_EQ(time_of(result, PipeId::drain, 1).end, Instant() + kLoadSetup + kHbm * 2);
}

TEST(Drain, IsPostedAndEndsWhenMemoryHasTakenItsBytes) {
  const Cycles drain_setup(6);
  const auto result = run(small_machine(), {{{{PipeId::drain, {drain(tile(TensorId::output, 0), kTile)}}}, {}}});
  EXPECT_EQ(result.total, drain_setup + kHbm);
  EXPECT_EQ(result.traffic.hbm_write, kTile);
  EXPECT_EQ(result.traffic.l2_write, kTile);
  EXPECT_EQ(result.traffic.hbm_read, Bytes(0));
}

TEST(Drain, LeavesItsTileInL2) {
  const Region out = tile(TensorId::output, 0);
  CoreCommands core;
  core.pipes.emplace_back(PipeId::drain, std::vector{with(drain(out, kTile), {}, {writing(RingId::l1_b, 0, out)})});
  core.pipes.emplace_back(PipeId::load, std::vector{with(load(out, kTile), {reading(RingId::l1_b, 0, out)})});
  core.rings = {{RingId::l1_b, 1}};
  const auto result = run(small_machine(), {std::move(core)});
  EXPECT_EQ(result.traffic.hbm_read, Bytes(0));
  EXPECT_EQ(result.traffic.l2_read, kTile);
  EXPECT_EQ(result.total, Cycles(6) + kHbm + kLoadSetup + kPort);
}

TEST(Observer, SeesEachOutputTileOnce) {
  std::vector<Region> seen;
  CoreCommands core;
  Command quantised = drain(tile(TensorId::x_out, 0), Bytes(64));
  std::get<DrainWork>(quantised.work).output = false;
  core.pipes.emplace_back(PipeId::drain, std::vector{drain(tile(TensorId::output, 0), kTile), quantised,
                                                     drain(tile(TensorId::output, 1), kTile)});
  std::vector<CoreCommands> cores;
  cores.push_back(std::move(core));
  const auto record = [&](const Region& region) { seen.push_back(region); };
  simulate(small_machine(), program_of(std::move(cores)), {.on_output = record, .events = {}});
  EXPECT_EQ(seen, (std::vector{tile(TensorId::output, 0), tile(TensorId::output, 1)}));
}

}  // namespace
}  // namespace oscsim::units
