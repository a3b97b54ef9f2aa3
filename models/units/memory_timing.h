// SPDX-License-Identifier: Apache-2.0
// Shared cache: a server that takes requests in the order of arrival at its full bandwidth; latency adds to each
// request and overlaps between requests.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct L2Params {
  Bytes capacity{0};
  BytesPerSecond bandwidth{0};
  Nanoseconds latency{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit(
        "capacity", self.capacity,
        {.min = 0, .max = 1e15, .required = true, .meaning = "bytes kept, whole tiles, least recently used out first"});
    visit("bandwidth", self.bandwidth, {.min = 1, .max = 1e18, .required = true, .meaning = "all cores together"});
    visit("latency", self.latency, {.min = 0, .max = 1e6, .meaning = "of one request"});
  }
};

// A server of fixed bandwidth. Time in cycles of the core clock, kept fractional so that many small requests are not
// each rounded up.
class BandwidthServer {
 public:
  explicit BandwidthServer(BytesPerCycle rate) : rate_(rate) {}
  // Serves `bytes` that arrive at `arrival`, returns when the last one has passed.
  double serve(double arrival, Bytes bytes) {
    free_at_ = std::max(arrival, free_at_) + static_cast<double>(bytes.count()) / rate_.count();
    return free_at_;
  }
  BytesPerCycle rate() const { return rate_; }

 private:
  BytesPerCycle rate_;
  double free_at_ = 0;
};

}  // namespace oscsim::units
