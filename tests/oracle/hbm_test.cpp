// SPDX-License-Identifier: Apache-2.0
// Main memory of the ready machines: what streams, strides and mixtures of reads and writes reach of the peak.
#include <gtest/gtest.h>

#include "tests/oracle/variants.h"

namespace oscsim {
namespace {

using units::Access;
using units::HbmParams;
using units::HbmServer;

constexpr Hertz kClock(1e9);

// Bytes per second over peak of requests that are all there from the start; every `batch` of them the direction turns.
double reached(const HbmParams& params, const std::vector<Access>& requests, std::int64_t batch = 1 << 30) {
  HbmServer server(params, kClock);
  double bytes = 0, end = 0;
  for (std::int64_t i = 0; i < std::ssize(requests); ++i) {
    const Access& access = requests[static_cast<std::size_t>(i)];
    bytes += static_cast<double>(access.bytes.count());
    end = std::max(end, server.serve(0, i / batch % 2 == 1, access));
  }
  return bytes / end / per_cycle(params.bandwidth, kClock).count();
}

// Tiles of 1024 rows of `row_bytes`, 8 KiB apart; or in one piece.
std::vector<Access> tiles(std::int64_t row_bytes, bool in_one_piece = false) {
  std::vector<Access> requests;
  for (std::uint64_t i = 0; i < 64; ++i) {
    const std::uint64_t address = i * 1024 * 8192;
    const units::Layout rows{Bytes(row_bytes), Bytes(8192)};
    requests.push_back({address, Bytes(1024 * row_bytes), in_one_piece ? units::Layout{} : rows});
  }
  return requests;
}

// Machines whose memory has channels.
std::map<std::string, HbmParams> memories() {
  std::map<std::string, HbmParams> memories;
  for (const auto& [name, machine] : machines())
    if (machine.hbm.channels > 1) memories.emplace(name, machine.hbm);
  return memories;
}

TEST(ReadyMemory, ExistsForEveryMachineButTheIdealOne) {
  EXPECT_EQ(memories().size() + 1, machines().size());
}

TEST(ReadyMemory, NeverMovesBytesFasterThanItsPeak) {
  Variants variants(11);
  for (const auto& [name, params] : memories())
    for (int i = 0; i < 1000; ++i) {
      const std::int64_t row = variants.between(1, 5000), stride = row + variants.between(0, 20000);
      const Access access{static_cast<std::uint64_t>(variants.between(0, 1 << 20)),
                          Bytes(row * variants.between(1, 500)),
                          {Bytes(row), Bytes(stride)}};
      EXPECT_LE(reached(params, {access}), 1) << name;
      EXPECT_LE(reached(params, std::vector(20, access)), 1) << name;
    }
}

TEST(ReadyMemory, StreamsAtNineTenthsOfItsPeak) {
  for (const auto& [name, params] : memories()) {
    EXPECT_GE(reached(params, tiles(1024, true)), 0.9) << name;
    EXPECT_LT(reached(params, tiles(1024, true)), 1) << name;
  }
}

TEST(ReadyMemory, ShortRowsReachLessTheShorterTheyAre) {
  for (const auto& [name, params] : memories()) {
    const double stream = reached(params, tiles(64, true));
    const double long_rows = reached(params, tiles(512)), rows_64 = reached(params, tiles(64)),
                 rows_32 = reached(params, tiles(32)), rows_16 = reached(params, tiles(16));
    EXPECT_GE(long_rows, 0.98 * stream) << name;
    const bool lpddr = name == "edge_npu";  // slower channels, activates as fast
    EXPECT_LE(rows_64, (lpddr ? 1 : 0.7) * stream) << name;
    EXPECT_LE(rows_32, 0.55 * stream) << name;
    EXPECT_LE(rows_16, 0.3 * stream) << name;
    EXPECT_LE(rows_32, rows_64) << name;
  }
}

// ------ burst by burst: each channel opens pages as early as it may, bank after bank, and moves one burst after
// another

std::uint64_t hashed(std::uint64_t x) {  // splitmix64
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

class Channel {
 public:
  explicit Channel(const HbmParams& params) : params_(params), banks_(static_cast<std::size_t>(params.banks)) {
    burst_ns_ = static_cast<double>(params.burst.count() * params.channels) * 1e9 / params.bandwidth.count();
  }
  void move(std::int64_t page) {
    auto bank = std::ranges::find(banks_, page, &Bank::page);
    if (bank == banks_.end()) {
      bank = banks_.begin() + static_cast<std::ptrdiff_t>(opened_++ % banks_.size());
      last_activate_ =
          std::max(last_activate_ + params_.activate_interval.count(), bank->activated + params_.row_cycle.count());
      *bank = {page, last_activate_};
    }
    end_ns = std::max(end_ns, bank->activated) + burst_ns_;
  }
  double end_ns = 0;

 private:
  struct Bank {
    std::int64_t page = -1;
    double activated = 0;
  };
  const HbmParams& params_;
  std::vector<Bank> banks_;
  double burst_ns_;
  double last_activate_ = 0;
  std::size_t opened_ = 0;
};

double burst_by_burst_ns(const HbmParams& params, const std::vector<Access>& requests) {
  std::vector<Channel> channels(static_cast<std::size_t>(params.channels), Channel(params));
  for (const Access& access : requests) {
    const bool rows = access.layout.row_bytes.count() > 0;
    const std::int64_t row = rows ? access.layout.row_bytes.count() : access.bytes.count();
    std::int64_t last = -1;
    for (std::int64_t done = 0, start = static_cast<std::int64_t>(access.address); done < access.bytes.count();
         done += row, start += access.layout.stride.count())
      for (std::int64_t burst = start / params.burst.count(); burst <= (start + row - 1) / params.burst.count();
           ++burst) {
        if (burst == last) continue;
        last = burst;
        const std::int64_t address = burst * params.burst.count();
        const auto unit = static_cast<std::uint64_t>(address / params.interleave.count());
        channels[hashed(unit) % channels.size()].move(address / (params.page.count() * params.channels));
      }
  }
  double end = 0;
  for (const Channel& channel : channels) end = std::max(end, channel.end_ns);
  return end;
}

// The closed forms take channels for evenly loaded; a hash does that only nearly.
TEST(ReadyMemory, TakesAboutAsLongAsBurstByBurst) {
  for (auto [name, params] : memories()) {
    params.refresh_time = Nanoseconds(0);
    for (const std::int64_t row : {16, 32, 48, 64, 100, 256, 1000, 4096}) {
      const std::vector<Access> requests = tiles(row);
      double bytes = 0;
      for (const Access& access : requests) bytes += hbm_share(params, access).bytes;
      const double closed_ns = bytes * 1e9 / params.bandwidth.count();
      const double ratio = burst_by_burst_ns(params, requests) / closed_ns;
      EXPECT_GE(ratio, 0.95) << name << ", rows of " << row;
      EXPECT_LE(ratio, 1.25) << name << ", rows of " << row;
    }
  }
}

TEST(ReadyMemory, AlternatingReadsAndWritesReachLessThanBatches) {
  for (const auto& [name, params] : memories()) {
    const std::vector<Access> requests = tiles(32, true);
    const double alternating = reached(params, requests, 1), fours = reached(params, requests, 4),
                 sixteens = reached(params, requests, 16);
    EXPECT_LT(alternating, fours) << name;
    EXPECT_LT(fours, sixteens) << name;
    EXPECT_LT(sixteens, reached(params, requests)) << name;
  }
}

TEST(ReadyMemory, LosesNothingWithMoreBanksOrLargerPages) {
  Variants variants(12);
  for (const auto& [name, params] : memories())
    for (int i = 0; i < 200; ++i) {
      const std::int64_t row = variants.between(1, 600);
      const Access access{static_cast<std::uint64_t>(variants.between(0, 1 << 20)),
                          Bytes(row * variants.between(1, 500)),
                          {Bytes(row), Bytes(row + variants.between(0, 9000))}};
      HbmParams better = params;
      better.banks *= 2;
      EXPECT_LE(hbm_share(better, access).bytes, hbm_share(params, access).bytes) << name;
      better.page = better.page * 2;
      EXPECT_LE(hbm_share(better, access).bytes, hbm_share(params, access).bytes) << name;
    }
}

}  // namespace
}  // namespace oscsim
