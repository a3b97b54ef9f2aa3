// SPDX-License-Identifier: Apache-2.0
// L2 and HBM as the core model sees them: a core's request, with those of all other cores right behind it. Times in
// core cycles; the rules are those of models/units/memory.h and hbm_timing.h.
#pragma once

#include <algorithm>
#include <vector>

#include "sim/mapping/tiling.h"

namespace oscsim {

// What of the reads that come again is no longer in L2, which throws out what was used the longest ago: between two
// reads all that all cores touch meanwhile passes it.
struct L2Misses {
  double inner = 0;    // share, of the operand of the inner loop, by the same core for the next turn of the outer one
  double outer = 0;    // share, of the operand of the outer loop, by the same core for the next tile
  bool apart = false;  // a stage, by the cores of the same row or column: each fetches it for itself
};

// Cores drift apart and load ahead: from 0.8 of L2's capacity on some is lost, from 1.2 of it on all [fit: simulations
// of edge_npu with 4 and 6 cores].
inline double missed_share(double bytes, double capacity) {
  if (bytes <= 0.8 * capacity) return 0;
  return bytes >= 1.2 * capacity ? 1 : (bytes / capacity - 0.8) / 0.4;
}

// `a`, `b`: bytes of a row of A, of a column of B.
inline L2Misses l2_misses(const units::MachineParams& machine, const GemmPlan& plan, const Tiling& tiling, double a,
                          double b) {
  const auto m = static_cast<double>(plan.m), n = static_cast<double>(plan.n);
  const double strip_m = std::min(m, static_cast<double>(tiling.m * tiling.cores_m));
  const double strip_n = std::min(n, static_cast<double>(tiling.n * tiling.cores_n));
  const auto out = machine.core.drain.output_element.real(), capacity = machine.l2.capacity.real();
  const bool m_outside = tiling.order == LoopOrder::m_outer || tiling.order == LoopOrder::a_resident;
  const double turn_m = m_outside ? strip_m : m, turn_n = m_outside ? n : strip_n;
  const double stage = static_cast<double>(tiling.passes.front().stage) / static_cast<double>(plan.passes.front().k);
  return {missed_share(a * turn_m + b * turn_n + out * turn_m * turn_n, capacity),
          missed_share(a * strip_m + b * strip_n + out * strip_m * strip_n, capacity),
          (a * strip_m + b * strip_n) * std::min(1.0, stage) > 0.8 * capacity};
}

// A request of this core, and of all cores together, to the shared memory; cycles of each server.
struct Request {
  double l2 = 0, l2_all = 0;
  double hbm = 0, hbm_end = 0, hbm_all = 0;  // end: until the last byte, when few channels work on it
  double bytes_all = 0;                      // to HBM
};

// L2 and HBM as servers in the order of arrival; the other cores' requests come right behind this one's.
class SharedMemory {
 public:
  explicit SharedMemory(const units::MachineParams& machine)
      : cycles_per_ns_(machine.clock.count() * 1e-9),
        turnaround_(machine.hbm.turnaround.count() * cycles_per_ns_),
        batch_(static_cast<double>(machine.hbm.write_queue.count() * machine.hbm.channels)),
        l2_latency_(machine.l2.latency.count() * cycles_per_ns_),
        hbm_latency_(machine.hbm.latency.count() * cycles_per_ns_) {}

  double read(double arrival, const Request& request, bool miss) {
    while (written_ < writes_.size() && writes_[written_].arrival <= arrival) serve(writes_[written_++]);
    double end = serve_l2(arrival, request);
    if (miss) end = std::max(end, serve_hbm(arrival, request, false) + hbm_latency_);
    return end + l2_latency_;
  }
  // Writes wait here until a read comes later than they do: the core's loads run ahead of its drains. Returns when the
  // bytes are taken, as far as is known by now.
  double write(double arrival, const Request& request) {
    writes_.push_back({arrival, request});
    return std::max(std::max(arrival, l2_free_) + request.l2, std::max(arrival, hbm_free_) + request.hbm_end);
  }
  // When the last core has what it has asked for so far.
  double last_served() const { return hbm_free_ + hbm_latency_ + l2_latency_; }
  double finish() {
    while (written_ < writes_.size()) serve(writes_[written_++]);
    return hbm_free_;
  }

 private:
  struct Write {
    double arrival;
    Request request;
  };

  void serve(const Write& write) {
    serve_l2(write.arrival, write.request);
    serve_hbm(write.arrival, write.request, true);
  }
  double serve_l2(double arrival, const Request& request) {
    const double start = std::max(arrival, l2_free_);
    l2_free_ = start + request.l2_all;
    return start + request.l2;
  }
  double serve_hbm(double arrival, const Request& request, bool write) {
    double start = std::max(arrival, hbm_free_);
    if (write != writing_) {
      if (write) batched_ = 0;
      start =
          std::max(arrival, hbm_free_ + turnaround_ * std::min(1.0, (write ? request.bytes_all : batched_) / batch_));
    }
    if (write) batched_ += request.bytes_all;
    writing_ = write;
    hbm_free_ = start + request.hbm_all;
    return start + request.hbm_end;
  }

  double cycles_per_ns_, turnaround_, batch_, l2_latency_, hbm_latency_;
  double l2_free_ = 0, hbm_free_ = 0;
  double batched_ = 0;  // bytes written since the last read
  bool writing_ = false;
  std::vector<Write> writes_;
  std::size_t written_ = 0;
};

}  // namespace oscsim
