// SPDX-License-Identifier: Apache-2.0
// Feed pipe: L1 into the operand buffers L0A and L0B of a matrix unit.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct FeedParams {
  BytesPerCycle a_rate{256};
  BytesPerCycle b_rate{256};
  Cycles setup{0};
  BytesPerCycle shared_port{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("a_rate", self.a_rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "L1 to L0A"});
    visit("b_rate", self.b_rate, {.min = 1e-3, .max = 1e9, .required = true, .meaning = "L1 to L0B"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each pair of A and B"});
    visit("shared_port", self.shared_port,
          {.min = 0,
           .max = 1e9,
           .meaning = "port of L1 on which feeds wait for the bytes that a load writes meanwhile; 0: separate ports",
           .source = "assumed"});
  }
};

// A and B share the read port of L1: one after the other.
inline Cycles feed_time(const FeedParams& params, Bytes a, Bytes b) {
  return params.setup + transfer_time(a, params.a_rate) + transfer_time(b, params.b_rate);
}

// The same while a load writes to L1 at `writing`: the bytes that it writes meanwhile go first.
inline Cycles feed_time(const FeedParams& params, Bytes a, Bytes b, BytesPerCycle writing) {
  const Cycles alone = feed_time(params, a, b);
  if (params.shared_port.count() == 0) return alone;
  const double written = static_cast<double>((alone - params.setup).count()) * writing.count();
  return alone + transfer_time(Bytes(static_cast<std::int64_t>(written)), params.shared_port);
}

}  // namespace oscsim::units
