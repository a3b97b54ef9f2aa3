// SPDX-License-Identifier: Apache-2.0
// Load pipe: memory (through L2) into L1. Times in core cycles, sizes in bytes.
#pragma once

#include <algorithm>

#include "models/base/schema.h"

namespace oscsim::units {

struct LoadParams {
  BytesPerCycle rate{64};
  Cycles setup{0};
  Bytes granule{1};
  Bytes row{0};
  Bytes shared_row{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("rate", self.rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "port of one core into L1"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "pipe time of each load before its bytes move"});
    visit("granule", self.granule,
          {.min = 1, .max = 1 << 20, .meaning = "each row of a tile moves in whole granules", .source = "assumed"});
    visit("row", self.row,
          {.min = 0,
           .max = 1 << 20,
           .meaning = "bytes' worth of port time that each row costs beside its own bytes",
           .source = "assumed"});
    visit("shared_row", self.shared_row,
          {.min = 0,
           .max = 1 << 20,
           .meaning = "bytes' worth of port time of a row for each core that walks the same rows: they take turns",
           .source = "assumed"});
  }
};

// Bytes' worth of port time of a load of `rows` equal rows that `sharers` cores read in step.
inline Bytes port_bytes(const LoadParams& params, Bytes bytes, std::int64_t rows, std::int64_t sharers) {
  const Bytes own = Bytes(round_up(tiles_of(bytes.count(), rows), params.granule.count())) + params.row;
  return std::max(own, params.shared_row * sharers) * rows;
}

// Time that one load keeps the core's port busy; shared memory may stretch it.
inline Cycles load_time(const LoadParams& params, Bytes bytes, std::int64_t rows = 1, std::int64_t sharers = 1) {
  return params.setup + transfer_time(port_bytes(params, bytes, rows, sharers), params.rate);
}

}  // namespace oscsim::units
