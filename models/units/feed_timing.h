// SPDX-License-Identifier: Apache-2.0
// Feed pipe: L1 into the operand buffers L0A and L0B of a matrix unit.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct FeedParams {
  BytesPerCycle a_rate{256};
  BytesPerCycle b_rate{256};
  Cycles setup{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("a_rate", self.a_rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "L1 to L0A"});
    visit("b_rate", self.b_rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "L1 to L0B"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each pair of A and B"});
  }
};

// A and B share the read port of L1: one after the other.
inline Cycles feed_time(const FeedParams& params, Bytes a, Bytes b) {
  return params.setup + transfer_time(a, params.a_rate) + transfer_time(b, params.b_rate);
}

}  // namespace oscsim::units
