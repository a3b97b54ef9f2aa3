// SPDX-License-Identifier: Apache-2.0
// Main memory: how long its channels are busy with a request, from the pattern of the request's addresses. Closed
// forms, no loop over bursts or channels. Terms as in JESD235 (HBM2) and JESD238 (HBM3).
#pragma once

#include <algorithm>
#include <numeric>

#include "models/base/memory_kind.h"
#include "models/base/schema.h"

namespace oscsim::units {

struct HbmParams {
  BytesPerSecond bandwidth{0};
  Nanoseconds latency{0};
  std::int64_t channels = 1;
  Bytes interleave{256};
  Bytes burst{1};
  Bytes page{1024};
  std::int64_t banks = 16;
  Nanoseconds row_cycle{0};
  Nanoseconds activate_interval{0};
  Nanoseconds turnaround{0};
  Bytes write_queue{1};
  Nanoseconds refresh_time{0};
  Nanoseconds refresh_interval{3900};
  MemoryKind kind = MemoryKind::hbm2;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("bandwidth", self.bandwidth,
          {.min = 1, .max = 1e18, .required = true, .meaning = "peak of all channels, reads and writes together"});
    visit("latency", self.latency, {.min = 0, .max = 1e6, .meaning = "of one request"});
    visit("channels", self.channels,
          {.min = 1, .max = 65536, .meaning = "independent channels (pseudo-channels of HBM)", .source = "ideal"});
    visit("interleave", self.interleave,
          {.min = 1, .max = 1e9, .meaning = "bytes in one channel before the next one's", .source = "assumed"});
    visit("burst", self.burst,
          {.min = 1,
           .max = 4096,
           .meaning = "bytes of one access to a channel; touched ones move whole",
           .source = "ideal"});
    visit("page", self.page, {.min = 1, .max = 1e9, .meaning = "row buffer of a bank", .source = "JESD235: 1 KiB"});
    visit("banks", self.banks, {.min = 1, .max = 1024, .meaning = "of a channel", .source = "JESD235: 16"});
    visit(
        "row_cycle", self.row_cycle,
        {.min = 0, .max = 1e6, .meaning = "tRC: between two activates of a bank; banks take turns", .source = "ideal"});
    visit("activate_interval", self.activate_interval,
          {.min = 0, .max = 1e6, .meaning = "max(tRRD, tFAW / 4): between activates of a channel", .source = "ideal"});
    visit("turnaround", self.turnaround,
          {.min = 0, .max = 1e6, .meaning = "lost when reads follow writes or writes follow reads", .source = "ideal"});
    visit("write_queue", self.write_queue,
          {.min = 1, .max = 1e9, .meaning = "writes of a channel gathered before it turns", .source = "ideal"});
    visit("refresh_time", self.refresh_time,
          {.min = 0, .max = 1e6, .meaning = "tRFC: a channel's time for one refresh", .source = "ideal"});
    visit("refresh_interval", self.refresh_interval,
          {.min = 1, .max = 1e9, .meaning = "tREFI: from one refresh to the next", .source = "JESD235: 3.9 us"});
    visit("kind", self.kind, {.meaning = "what it is, for its energy; its time follows from the numbers above"});
  }
  void check(std::vector<std::string>& problems) const {
    if (refresh_time >= refresh_interval)
      problems.push_back(fmt::format("refresh_time of {} ns leaves nothing of refresh_interval of {} ns",
                                     refresh_time.count(), refresh_interval.count()));
    if (interleave > page)
      problems.push_back(
          fmt::format("interleave of {} bytes is more than a page of {}", interleave.count(), page.count()));
  }
};

// The bytes of a request: rows of `row_bytes`, `stride` apart; 0: all in one piece.
struct Layout {
  Bytes row_bytes{0};
  Bytes stride{0};
};

// The layout of `rows` parts of rows that lie `row_pitch` apart in memory; whole rows lie in one piece.
constexpr Layout rows_in(Bytes bytes, std::int64_t rows, Bytes row_pitch) {
  const Bytes row(tiles_of(bytes.count(), rows));
  if (rows == 1 || row >= row_pitch) return {};
  return {row, row_pitch};
}

struct Access {
  std::uint64_t address = 0;
  Bytes bytes{0};
  Layout layout{};
};

// Sum of floor((step i + offset) / divisor) for i = 0 .. count - 1: lattice points under a line, by Euclid's algorithm.
constexpr std::int64_t sum_of_floors(std::int64_t count, std::int64_t divisor, std::int64_t step, std::int64_t offset) {
  std::int64_t sum = 0;
  while (true) {
    sum += count * (count - 1) / 2 * (step / divisor) + count * (offset / divisor);
    step %= divisor;
    offset %= divisor;
    const std::int64_t last = step * count + offset;
    if (last < divisor) return sum;
    count = last / divisor;
    offset = last % divisor;
    std::swap(step, divisor);
  }
}

// Aligned blocks of `block` bytes that an access touches, exactly. Rows less than a block apart leave no block between
// them out; rows further apart have none in common.
constexpr std::int64_t blocks_touched(const Access& access, Bytes block) {
  const std::int64_t size = block.count();
  const auto offset = static_cast<std::int64_t>(access.address % static_cast<std::uint64_t>(size));
  const std::int64_t row = access.layout.row_bytes.count(), stride = access.layout.stride.count();
  if (row == 0) return (offset + access.bytes.count() - 1) / size + 1;
  const std::int64_t rows = tiles_of(access.bytes.count(), row);
  if (stride - row < size) return (offset + (rows - 1) * stride + row - 1) / size + 1;
  return rows + sum_of_floors(rows, size, stride, offset + row - 1) - sum_of_floors(rows, size, stride, offset);
}

// What a request takes of the memory.
struct HbmShare {
  double bytes;     // that would move in the same time at peak bandwidth with all channels busy; at least its own
  double channels;  // share of the channels that work on it
};

// The channel of an address is taken for hashed, as controllers do against strides that hit few channels: a request's
// interleave units spread evenly over the channels, and so do those that lie in the same pages. A channel is busy
// with the bursts or with the activates, whichever takes longer.
inline HbmShare hbm_share(const HbmParams& params, const Access& access) {
  const std::int64_t units = params.channels > 1 ? blocks_touched(access, params.interleave) : 1;
  const bool whole = params.burst.count() == 1;  // nothing is wasted, also where rows do not divide the bytes
  double bytes =
      static_cast<double>(whole ? access.bytes.count() : blocks_touched(access, params.burst) * params.burst.count());
  const double activate_ns =
      std::max(params.activate_interval.count(), params.row_cycle.count() / static_cast<double>(params.banks));
  if (activate_ns > 0) {
    // One page of each channel covers page x channels bytes of addresses.
    const std::int64_t regions = blocks_touched(access, params.page * params.channels);
    const std::int64_t activates = std::clamp(units, regions, regions * params.channels);
    bytes = std::max(bytes, static_cast<double>(activates) * activate_ns * 1e-9 * params.bandwidth.count() /
                                static_cast<double>(params.channels));
  }
  const double refreshing = params.refresh_time / params.refresh_interval;
  return {bytes / (1 - refreshing),
          static_cast<double>(std::min(params.channels, units)) / static_cast<double>(params.channels)};
}

// The channels as one server in the order of the requests. Time in core cycles, fractional like BandwidthServer's.
class HbmServer {
 public:
  HbmServer(const HbmParams& params, Hertz clock)
      : params_(params),
        rate_(per_cycle(params.bandwidth, clock)),
        turnaround_(params.turnaround.count() * 1e-9 * clock.count()),
        batch_(static_cast<double>(params.write_queue.count() * params.channels)) {}

  // Serves an access that arrives at `arrival`; returns when its last byte has passed. What few channels work on lets
  // the next request start on the others. Writes are gathered until their queues are full, so that fewer than a batch
  // between reads pay for their part of it.
  double serve(double arrival, bool write, const Access& access) {
    const HbmShare share = hbm_share(params_, access);
    const bool turns = served_ && write != writing_;
    if (turns && write) written_ = 0;
    if (write) written_ += static_cast<double>(access.bytes.count());
    const double turning = turns ? turnaround_ * std::min(1.0, written_ / batch_) : 0;
    started_ = std::max(arrival, free_at_ + turning);
    const double span = share.bytes / rate_.count();
    free_at_ = started_ + span;
    writing_ = write;
    served_ = true;
    return started_ + span / share.channels;
  }
  // Of the access served last: when it started, and when the next one may.
  double started() const { return started_; }
  double free_at() const { return free_at_; }

 private:
  HbmParams params_;
  BytesPerCycle rate_;
  double turnaround_;   // cycles
  double batch_;        // bytes that all write queues hold
  double written_ = 0;  // since the last read
  double started_ = 0, free_at_ = 0;
  bool writing_ = false, served_ = false;
};

}  // namespace oscsim::units
