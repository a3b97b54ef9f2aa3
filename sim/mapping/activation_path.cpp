// SPDX-License-Identifier: Apache-2.0
#include "sim/mapping/activation_path.h"

#include <algorithm>

namespace oscsim {

using units::GatherMode;
using units::MachineParams;

ActivationPath::ActivationPath(const ActivationPlan& plan, const MachineParams& machine, const ChannelTable* table)
    : format_(numerics::format(plan.format)),
      vector_(machine.core.vector),
      gather_(machine.core.gather),
      mode_(gather_.mode),
      own_ports_(gather_.ports == units::GatherPorts::own),
      count_scales_(machine.count_scale_bytes),
      group_(plan.gather_group) {
  if (!gathers()) return;
  if (mode_ == GatherMode::none)
    input_error("core.gather.mode is none: the machine cannot gather; allowed: on_chip, on_load, strided_dma");
  ensure(table != nullptr && table->group == group_, "a gather needs a table for groups of {}", group_);
  table_ = *table;
}

Chunk ActivationPath::chunk(std::int64_t k, std::int64_t depth, units::CastPart part) const {
  Chunk chunk{k, depth, part};
  if (!gathers()) return chunk;
  const std::int64_t first = k / group_;
  chunk.groups = tiles_of(k + depth, group_) - first;
  std::vector<std::int16_t> channels(static_cast<std::size_t>(chunk.groups), -1);
  for (std::int64_t i = 0; i < chunk.groups; ++i) {
    const std::int16_t local = table_.channels[static_cast<std::size_t>(first + i)];
    const std::int64_t channel = (first + i) * group_ + local;
    if (local < 0 || channel < k || channel >= k + depth) continue;  // a chunk may cut through a group
    channels[static_cast<std::size_t>(i)] = local;
    ++chunk.outliers;
  }
  chunk.row_time = units::gather_row_time(gather_, channels, group_);
  return chunk;
}

Bytes ActivationPath::quantised_bytes(std::int64_t rows, std::int64_t depth) const {
  Bytes bytes = numerics::code_bytes(format_, rows, depth);
  if (count_scales_) bytes += numerics::scale_bytes(format_, rows, depth);
  return bytes;
}

Bytes ActivationPath::gathered_bytes(std::int64_t rows, std::int64_t depth) const {
  return Bytes(gathers() ? rows * tiles_of(depth, group_) * kInputBytes : 0);
}

units::LoadWork ActivationPath::load(const units::Region& x, std::uint64_t address, const Chunk& chunk,
                                     std::int64_t k) const {
  units::LoadWork work{x, address, Bytes(x.rows * x.depth * kInputBytes)};
  work.layout = units::rows_in(work.bytes, x.rows, Bytes(k * kInputBytes));
  if (gathers() && mode_ == GatherMode::on_load) work.gather = gather(x.rows, chunk);
  return work;
}

units::LoadWork ActivationPath::strided_load(const units::Region& x, std::uint64_t address,
                                             std::int64_t outliers) const {
  units::LoadWork work{x, address, units::strided_bytes(gather_, x.rows * outliers)};
  work.elements = x.rows * outliers;
  if (const Bytes stride(group_ * kInputBytes); gather_.dma_granule < stride)
    work.layout = {gather_.dma_granule, stride};
  return work;
}

units::GatherWork ActivationPath::gather(std::int64_t rows, const Chunk& chunk) const {
  return {chunk.row_time, rows, chunk.groups, chunk.groups - chunk.outliers};
}

units::VectorWork ActivationPath::vector(std::int64_t rows, const Chunk& chunk) const {
  units::VectorWork work{Bytes(rows * chunk.depth * kInputBytes), units::cast_passes(vector_, format_, chunk.part)};
  work.part = chunk.part;
  if (strided() && chunk.outliers > 0) work.passes += units::kZeroingPasses;
  if (gathers() && mode_ == GatherMode::on_chip && !own_ports_) work.gather = gather(rows, chunk);
  return work;
}

}  // namespace oscsim
