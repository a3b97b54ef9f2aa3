// SPDX-License-Identifier: Apache-2.0
// Vector pipe: online quantisation (block maximum, scale, cast) and the operations between the GEMMs, as passes over
// 16-bit data in the unified buffer.
#pragma once

#include <algorithm>

#include "models/base/schema.h"

namespace oscsim::units {

struct VectorParams {
  BytesPerCycle rate{256};
  Cycles setup{0};
  std::int64_t quantise_passes = 3;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("rate", self.rate,
          {.min = 1e-3,
           .max = 1e9,
           .required = true,
           .meaning = "bytes of 16-bit input per cycle and pass, all vector units of a core"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each tile", .source = "assumed"});
    visit(
        "quantise_passes", self.quantise_passes,
        {.min = 1, .max = 64, .meaning = "passes over the data of a cast: maximum, scale, cast", .source = "assumed"});
  }
};

// A row that does not fit the unified buffer is cast in two sweeps: its maximum first, the rest when the scale is
// known.
enum class CastPart : std::uint8_t { all, maximum, rest };

// Quantising a tile of `bytes` bytes of 16-bit input.
inline Cycles quantise_time(const VectorParams& params, Bytes bytes, CastPart part = CastPart::all) {
  const std::int64_t passes = part == CastPart::all       ? params.quantise_passes
                              : part == CastPart::maximum ? 1
                                                          : std::max<std::int64_t>(1, params.quantise_passes - 1);
  return params.setup + transfer_time(bytes * passes, params.rate);
}

// Instructions that go over `data` bytes, all together: normalisation, softmax, element-wise operations.
inline Cycles passes_time(const VectorParams& params, Bytes data) {
  return params.setup + transfer_time(data, params.rate);
}

}  // namespace oscsim::units
