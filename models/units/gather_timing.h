// SPDX-License-Identifier: Apache-2.0
// Gather engine: copies the outlier channel of each group out of an activation tile in the unified buffer into a dense
// tile, and zeroes it behind. Lanes read in parallel; lanes that meet in a bank take turns, so the time follows from
// the real channel table.
#pragma once

#include <span>
#include <vector>

#include "models/base/schema.h"

namespace oscsim::units {

struct GatherParams {
  std::int64_t lanes = 16;
  std::int64_t banks = 16;
  Bytes bank_width{32};
  std::int64_t table_entries = 1024;
  Cycles table_reload{64};
  bool zero_behind = true;
  Cycles setup{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("lanes", self.lanes,
          {.min = 1, .max = 65536, .meaning = "channels gathered per cycle without conflicts", .source = "assumed"});
    visit("banks", self.banks,
          {.min = 1,
           .max = 65536,
           .meaning = "banks of the buffer it reads",
           .source = "Ascend 950 UB: 8 groups of 2 banks"});
    visit("bank_width", self.bank_width,
          {.min = 1, .max = 65536, .meaning = "consecutive bytes that lie in one bank", .source = "assumed"});
    visit("table_entries", self.table_entries,
          {.min = 1,
           .max = 1 << 24,
           .meaning = "capacity of the channel table; a larger table is reloaded in parts for each tile",
           .source = "assumed"});
    visit("table_reload", self.table_reload,
          {.min = 0, .max = 1e6, .meaning = "time to load the table once", .source = "assumed"});
    visit("zero_behind", self.zero_behind,
          {.meaning = "the write that zeroes the channel shares the read's cycle; false: it costs a second access",
           .source = "assumed"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each tile", .source = "assumed"});
  }
};

// Cycles to gather one token's channels: for each batch of `lanes` channels, the fullest bank decides.
// `channels` holds the local index of each group of `group` 2-byte channels; -1 is skipped but keeps its lane.
inline Cycles gather_row_time(const GatherParams& params, std::span<const std::int16_t> channels, std::int64_t group) {
  const std::int64_t accesses = params.zero_behind ? 1 : 2;
  std::vector<std::int64_t> hits(static_cast<std::size_t>(params.banks));
  std::int64_t cycles = 0;
  const auto count = static_cast<std::int64_t>(channels.size());
  for (std::int64_t first = 0; first < count; first += params.lanes) {
    std::fill(hits.begin(), hits.end(), 0);
    std::int64_t fullest = 1;  // a batch without a single outlier still takes its turn
    for (std::int64_t i = first; i < std::min(count, first + params.lanes); ++i) {
      if (channels[i] < 0) continue;
      const std::int64_t byte = (i * group + channels[i]) * 2;
      fullest = std::max(fullest, ++hits[(byte / params.bank_width.count()) % params.banks]);
    }
    cycles += fullest * accesses;
  }
  return Cycles(cycles);
}

// Gathering `rows` tokens of a tile; the table is loaded once per tile and part.
inline Cycles gather_time(const GatherParams& params, Cycles row_time, std::int64_t rows, std::int64_t groups) {
  return params.setup + params.table_reload * tiles_of(groups, params.table_entries) + row_time * rows;
}

}  // namespace oscsim::units
