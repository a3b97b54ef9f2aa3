// SPDX-License-Identifier: Apache-2.0
// Drain pipe: accumulators (or the unified buffer, for quantised activations) to memory, with the conversion to the
// output's type.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct DrainParams {
  BytesPerCycle rate{64};
  Cycles setup{0};
  Bytes output_element{2};
  bool follows = true;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("rate", self.rate,
          {.min = 1e-3, .max = 1e9, .required = true, .meaning = "bytes written per cycle, one core"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each tile"});
    visit("output_element", self.output_element,
          {.min = 1, .max = 4, .meaning = "bytes of one output in memory: 2 (16 bit) or 4 (FP32)"});
    visit("follows", self.follows,
          {.meaning = "the drain follows the matrix unit through the tile instead of waiting for its end"});
  }
};

// `accumulators`: tiles read for one output tile (2 when the branch joins in the epilogue).
inline Cycles drain_time(const DrainParams& params, Bytes bytes, std::int64_t accumulators) {
  return params.setup + transfer_time(bytes * accumulators, params.rate);
}

}  // namespace oscsim::units
