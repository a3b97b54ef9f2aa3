// SPDX-License-Identifier: Apache-2.0
// Load pipe: memory (through L2) into L1. Times in core cycles, sizes in bytes.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct LoadParams {
  BytesPerCycle rate{64};
  Cycles setup{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("rate", self.rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "port of one core into L1"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "pipe time of each load before its bytes move"});
  }
};

// Time that one load keeps the core's port busy; shared memory may stretch it.
inline Cycles load_time(const LoadParams& params, Bytes bytes) {
  return params.setup + transfer_time(bytes, params.rate);
}

}  // namespace oscsim::units
