// SPDX-License-Identifier: Apache-2.0
// Gather: copies the outlier channel of each group out of an activation tile into a dense tile, and zeroes it behind.
// An engine beside the unified buffer or on the load path has lanes that read in parallel; lanes that meet in a bank
// take turns, so its time follows from the real channel table. Without an engine the load pipe fetches the channels
// element by element.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "models/base/schema.h"
#include "models/units/load_timing.h"

namespace oscsim::units {

enum class GatherMode : std::uint8_t {
  on_chip,      // an engine between the unified buffer and the vector unit: a pass of its own, beside the others
  on_load,      // an engine on the load path: works while the tile streams in, and slows it where it is slower
  strided_dma,  // no engine: strided reads of single elements by the load pipe; the vector unit zeroes them
  none,         // the machine cannot gather
};

enum class GatherPorts : std::uint8_t {
  own,     // the engine and the vector unit use the unified buffer at the same time
  shared,  // they take turns: the engine's time is the vector unit's too
};

struct GatherParams {
  GatherMode mode = GatherMode::on_chip;
  GatherPorts ports = GatherPorts::own;
  std::int64_t lanes = 16;
  std::int64_t banks = 16;
  Bytes bank_width{32};
  std::int64_t table_entries = 1024;
  Cycles table_reload{64};
  bool zero_behind = true;
  Cycles setup{0};
  Bytes dma_granule{32};
  Cycles dma_element{1};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("mode", self.mode,
          {.meaning = "where channels are gathered: an engine beside the unified buffer or on the load path, strided "
                      "reads by the load pipe, or nowhere",
           .source = "assumed"});
    visit(
        "ports", self.ports,
        {.meaning = "on_chip: ports of the unified buffer of its own, or shared with the vector unit (they take turns)",
         .source = "assumed"});
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
          {.meaning = "the write that zeroes channels shares the read's cycle; false: a batch with outliers writes as "
                      "often as it reads, one without writes nothing",
           .source = "assumed"});
    visit("setup", self.setup, {.min = 0, .max = 1e6, .meaning = "once for each tile", .source = "assumed"});
    visit("dma_granule", self.dma_granule,
          {.min = 2,
           .max = 1 << 20,
           .meaning = "strided_dma: bytes that fetching one element moves",
           .source = "HBM3: bursts of 8 on pseudo-channels of 32 bits"});
    visit("dma_element", self.dma_element,
          {.min = 0,
           .max = 1e6,
           .meaning = "strided_dma: least time of the load pipe for one element",
           .source = "assumed"});
  }
};

// A batch of `lanes` channels whose fullest bank holds `fullest` of them: it reads that often, once where it holds no
// outlier, and writes back what it has read, where that takes an access of its own.
constexpr Cycles gather_batch_time(const GatherParams& params, std::int64_t fullest) {
  return Cycles(std::max<std::int64_t>(fullest, 1) + (params.zero_behind ? 0 : fullest));
}

// Cycles to gather one token's channels, batch after batch.
// `channels` holds the local index of each group of `group` 2-byte channels; -1 is skipped but keeps its lane.
inline Cycles gather_row_time(const GatherParams& params, std::span<const std::int16_t> channels, std::int64_t group) {
  std::vector<std::int64_t> hits(static_cast<std::size_t>(params.banks));
  Cycles cycles(0);
  const auto count = static_cast<std::int64_t>(channels.size());
  for (std::int64_t first = 0; first < count; first += params.lanes) {
    std::fill(hits.begin(), hits.end(), 0);
    std::int64_t fullest = 0;
    for (std::int64_t i = first; i < std::min(count, first + params.lanes); ++i) {
      if (channels[i] < 0) continue;
      const std::int64_t byte = (i * group + channels[i]) * 2;
      fullest = std::max(fullest, ++hits[(byte / params.bank_width.count()) % params.banks]);
    }
    cycles += gather_batch_time(params, fullest);
  }
  return cycles;
}

// The same before the table is known: an outlier in each of `groups` groups, no two of a batch in one bank.
constexpr Cycles gather_row_time(const GatherParams& params, std::int64_t groups) {
  return gather_batch_time(params, 1) * tiles_of(groups, params.lanes);
}

// Gathering `rows` tokens of a tile; the table is loaded once per tile and part.
inline Cycles gather_time(const GatherParams& params, Cycles row_time, std::int64_t rows, std::int64_t groups) {
  return params.setup + params.table_reload * tiles_of(groups, params.table_entries) + row_time * rows;
}

// strided_dma: the load pipe's time for `elements` elements, each a row of its own, and the bytes that they move.
inline Cycles strided_time(const GatherParams& params, const LoadParams& load, std::int64_t elements) {
  if (elements == 0) return Cycles(0);
  const Bytes bytes = port_bytes(load, params.dma_granule * elements, elements, 1);
  return load.setup + std::max(params.dma_element * elements, transfer_time(bytes, load.rate));
}
inline Bytes strided_bytes(const GatherParams& params, std::int64_t elements) {
  return params.dma_granule * elements;
}

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::GatherMode> {
  using Mode = oscsim::units::GatherMode;
  static constexpr std::pair<std::string_view, Mode> kValues[] = {
      {"on_chip", Mode::on_chip}, {"on_load", Mode::on_load}, {"strided_dma", Mode::strided_dma}, {"none", Mode::none}};
};
template <>
struct oscsim::EnumNames<oscsim::units::GatherPorts> {
  using Ports = oscsim::units::GatherPorts;
  static constexpr std::pair<std::string_view, Ports> kValues[] = {{"own", Ports::own}, {"shared", Ports::shared}};
};
