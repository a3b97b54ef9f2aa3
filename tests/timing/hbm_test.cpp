// SPDX-License-Identifier: Apache-2.0
// What the pattern of a request costs in main memory: every rule alone, then on the chip.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

Access rows_of(std::int64_t rows, std::int64_t row_bytes, std::int64_t stride, std::uint64_t address = 0) {
  return {address, Bytes(rows * row_bytes), {Bytes(row_bytes), Bytes(stride)}};
}

Access piece(std::int64_t bytes, std::uint64_t address = 0) {
  return {address, Bytes(bytes), {}};
}

// 1 GB/s is a byte per cycle of the 1 GHz clock. Four channels of 8 bytes per cycle.
constexpr Hertz kClock(1e9);
HbmParams four_channels() {
  HbmParams params;
  params.bandwidth = BytesPerSecond(32e9);
  params.channels = 4;
  params.interleave = Bytes(256);
  params.burst = Bytes(32);
  params.page = Bytes(1024);
  return params;
}

TEST(BlocksTouched, AreThoseThatSomeByteLiesIn) {
  std::mt19937 bits(1);
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bits() % static_cast<std::uint32_t>(high - low + 1));
  };
  for (int i = 0; i < 3000; ++i) {
    const std::int64_t rows = between(1, 40), row = between(1, 150), stride = row + between(0, 300);
    const std::int64_t block = between(1, 200);
    const auto address = static_cast<std::uint64_t>(between(0, 1000));
    std::set<std::int64_t> touched;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t byte = 0; byte < row; ++byte)
        touched.insert((static_cast<std::int64_t>(address) + r * stride + byte) / block);
    EXPECT_EQ(blocks_touched(rows_of(rows, row, stride, address), Bytes(block)), std::ssize(touched))
        << rows << " rows of " << row << ", stride " << stride << ", from " << address << ", blocks of " << block;
  }
  EXPECT_EQ(blocks_touched(piece(65, 31), Bytes(32)), 1 + 2);  // the last byte of one, two whole ones
}

TEST(HbmShare, OfAnIdealMemoryIsTheBytes) {
  HbmParams params;
  params.bandwidth = BytesPerSecond(32e9);
  for (const Access& access : {piece(1), piece(6400, 77), rows_of(7, 33, 1000, 5)}) {
    EXPECT_EQ(hbm_share(params, access).bytes, static_cast<double>(access.bytes.count()));
    EXPECT_EQ(hbm_share(params, access).channels, 1);
  }
}

TEST(HbmShare, TouchedBurstsMoveWhole) {
  const HbmParams params = four_channels();
  EXPECT_EQ(hbm_share(params, piece(32)).bytes, 32);
  EXPECT_EQ(hbm_share(params, piece(32, 31)).bytes, 32 * 2);
  EXPECT_EQ(hbm_share(params, piece(33)).bytes, 32 * 2);
  EXPECT_EQ(hbm_share(params, rows_of(10, 16, 64)).bytes, 32 * 10);
  EXPECT_EQ(hbm_share(params, rows_of(10, 16, 64, 24)).bytes, 32 * 2 * 10);
  EXPECT_EQ(hbm_share(params, rows_of(10, 16, 32)).bytes, 32 * 10);  // a burst for each row, half of it used
  EXPECT_EQ(hbm_share(params, rows_of(10, 16, 16)).bytes, 16 * 10);  // rows in one piece
}

TEST(HbmShare, PieceWithinAnInterleaveUnitHasOneChannel) {
  const HbmParams params = four_channels();
  EXPECT_EQ(hbm_share(params, piece(256)).channels, 1.0 / 4);
  EXPECT_EQ(hbm_share(params, piece(256, 1)).channels, 2.0 / 4);
  EXPECT_EQ(hbm_share(params, piece(1024)).channels, 1);
  EXPECT_EQ(hbm_share(params, piece(1024 * 1024)).channels, 1);
  EXPECT_EQ(hbm_share(params, rows_of(3, 32, 1024 * 1024)).channels, 3.0 / 4);
}

// An activate every 10 cycles: 80 bytes of a channel.
TEST(HbmShare, ActivatesLimitWhatTouchesLittleOfAPage) {
  HbmParams params = four_channels();
  params.activate_interval = Nanoseconds(10);
  const double activate = 10 * 8;
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 8192)).bytes, 64 * activate);  // 32 bytes of every page
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 64, 8192)).bytes, 64 * activate);  // 64
  EXPECT_EQ(hbm_share(params, rows_of(64, 96, 8192)).bytes, 64 * 96);               // the bursts take longer
  EXPECT_EQ(hbm_share(params, piece(64 * 1024)).bytes, 64 * 1024);                  // 1024 bytes of every page
}

TEST(HbmShare, RowsInTheSamePagesShareTheirActivates) {
  HbmParams params = four_channels();
  params.activate_interval = Nanoseconds(100);
  const double activate = 100 * 8;
  // One page of each channel covers 4 KiB: two rows 2 KiB apart lie in it, in different channels; eight rows 512 bytes
  // apart fill the pages of all four.
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 4096)).bytes, 64 * activate);
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 2048)).bytes, 64 * activate);
  const int windows = 64 / 8;
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 512)).bytes, windows * 4 * activate);
}

TEST(HbmShare, BanksTakeTurnsSoThatTheRowCycleIsSpreadOverThem) {
  HbmParams params = four_channels();
  params.row_cycle = Nanoseconds(48);
  params.banks = 4;
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 8192)).bytes, 64 * (48.0 / 4) * 8);
  params.banks = 16;
  EXPECT_EQ(hbm_share(params, rows_of(64, 32, 8192)).bytes, 64 * 32);  // 3 cycles: less than the burst's 4
  params.activate_interval = Nanoseconds(5);
  EXPECT_DOUBLE_EQ(hbm_share(params, rows_of(64, 32, 8192)).bytes, 64 * 5 * 8);
}

TEST(HbmShare, RefreshTakesItsShareOfTheTime) {
  HbmParams params = four_channels();
  params.refresh_time = Nanoseconds(250);
  params.refresh_interval = Nanoseconds(1000);
  EXPECT_EQ(hbm_share(params, piece(3072)).bytes, 3072 / 0.75);
}

TEST(HbmServer, RequestsOnFewChannelsOverlap) {
  HbmServer server(four_channels(), kClock);
  const double own = 256.0 / 8, share = 256.0 / 32;
  EXPECT_EQ(server.serve(0, false, piece(256)), own);
  EXPECT_EQ(server.serve(0, false, piece(256, 256)), share + own);
  EXPECT_EQ(server.serve(0, false, piece(1024, 4096)), share * 2 + 1024.0 / 32);
}

TEST(HbmServer, ChangeOfDirectionTakesTheTurnaround) {
  HbmParams params = four_channels();
  params.turnaround = Nanoseconds(15);
  HbmServer server(params, kClock);
  const double span = 1024.0 / 32, turnaround = 15;
  EXPECT_EQ(server.serve(0, true, piece(1024)), span);
  EXPECT_EQ(server.serve(0, true, piece(1024)), span * 2);
  EXPECT_EQ(server.serve(0, false, piece(1024)), span * 2 + turnaround + span);
  EXPECT_EQ(server.serve(0, false, piece(1024)), span * 2 + turnaround + span * 2);
  EXPECT_EQ(server.serve(0, true, piece(1024)), (span * 2 + turnaround) * 2 + span);
}

TEST(HbmServer, FewWritesBetweenReadsPayForTheirPartOfABatch) {
  HbmParams params = four_channels();
  params.turnaround = Nanoseconds(16);
  params.write_queue = Bytes(1024);  // 4096 of all channels
  HbmServer server(params, kClock);
  const double span = 1024.0 / 32, quarter = 16.0 / 4;
  double end = server.serve(0, false, piece(1024));
  EXPECT_EQ(server.serve(0, true, piece(1024)), end + quarter + span);
  EXPECT_EQ(server.serve(0, true, piece(1024)), end + quarter + span * 2);
  EXPECT_EQ(server.serve(0, false, piece(1024)), end + quarter + span * 2 + quarter * 2 + span);
  end += quarter + span * 2 + quarter * 2 + span;
  EXPECT_EQ(server.serve(0, true, piece(4096)), end + 16 + span * 4);  // a batch pays in full
}

TEST(HbmServer, TurnaroundPassesWhileTheMemoryIsIdle) {
  HbmParams params = four_channels();
  params.turnaround = Nanoseconds(15);
  const double span = 1024.0 / 32;
  for (const double idle : {0.0, 14.0, 15.0, 16.0}) {
    HbmServer server(params, kClock);
    server.serve(0, true, piece(1024));
    EXPECT_EQ(server.serve(span + idle, false, piece(1024)), span + std::max(idle, 15.0) + span);
  }
}

// ------ on the chip: 32 bytes per cycle, latencies 20 and 100

constexpr Cycles kSetup(10), kLatencies(20 + 100);

MachineParams machine_with(const HbmParams& hbm) {
  MachineParams machine = small_machine();
  machine.hbm = hbm;
  machine.hbm.latency = Nanoseconds(100);
  return machine;
}

Command load_rows(const Region& region, std::int64_t rows, std::int64_t row_bytes, std::int64_t stride) {
  Command command = load(region, Bytes(rows * row_bytes));
  std::get<LoadWork>(command.work).layout = {Bytes(row_bytes), Bytes(stride)};
  return command;
}

TEST(Hbm, ShortRowsMoveTheirWholeBursts) {
  CoreCommands core{{{PipeId::load, {load_rows(tile(TensorId::a, 0), 200, 16, 4096)}}}, {}};
  const auto result = run(machine_with(four_channels()), {std::move(core)});
  EXPECT_EQ(result.total, kSetup + Cycles(200 * 32 / 32) + kLatencies);
  EXPECT_EQ(result.traffic.hbm_read, Bytes(200 * 16));  // that were asked for
}

TEST(Hbm, DrainOfATileWritesItsRows) {
  HbmParams params = four_channels();
  params.activate_interval = Nanoseconds(10);
  Command command = drain(tile(TensorId::output, 0), Bytes(200 * 32));
  std::get<DrainWork>(command.work).layout = {Bytes(32), Bytes(8192)};
  CoreCommands core{{{PipeId::drain, {command}}}, {}};
  const Cycles drain_setup(6), activates(200 * 10 / 4);
  EXPECT_EQ(run(machine_with(params), {std::move(core)}).total, drain_setup + activates);
}

TEST(Hbm, ReadBehindAWriteTakesTheTurnaround) {
  HbmParams params = four_channels();
  params.turnaround = Nanoseconds(15);
  const Bytes bytes(6400);
  CoreCommands reader{{{PipeId::load, {load(tile(TensorId::a, 0), bytes)}}}, {}};
  CoreCommands writer{{{PipeId::drain, {drain(tile(TensorId::output, 0), bytes)}}}, {}};
  const auto result = run(machine_with(params), {std::move(reader), std::move(writer)});
  const Cycles transfer(6400 / 32), turnaround(15);
  EXPECT_EQ(time_of(result, PipeId::load, 0).end, Instant() + kSetup + transfer + kLatencies);
  EXPECT_EQ(time_of(result, PipeId::drain, 1).end, Instant() + kSetup + transfer + turnaround + transfer);
}

}  // namespace
}  // namespace oscsim::units
