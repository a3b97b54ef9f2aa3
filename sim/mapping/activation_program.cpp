// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "sim/mapping/gemm_program.h"

namespace oscsim {
namespace {

using units::Command;
using units::CommandStream;
using units::MachineParams;
using units::PipeId;
using units::Publish;
using units::Region;
using units::RingId;
using units::TensorId;

// A chunk of channels: whole rows where they fit; the gather's time for one row of it. A row whose one scale needs all
// of it and that does not fit is loaded twice: chunks that only take part in its maximum, then the same chunks again.
struct Chunk {
  std::int64_t k = 0, depth = 0;
  units::CastPart part = units::CastPart::all;
  std::int64_t groups = 0;
  Cycles row_time{0};
  Bytes out_row{0};  // quantised row with scales, and the gathered row
};

struct Geometry {
  ActivationPlan plan;
  MachineParams machine;
  std::int64_t rows = 0, k = 0;
  std::int64_t tile_rows = 0;
  std::vector<Chunk> chunks;
  std::int64_t writes = 0;  // chunks that write their cast
};

constexpr std::int64_t kInputBytes = 2;  // activations arrive in 16 bit
constexpr std::int64_t kSlots = 2;       // double buffering

Bytes quantised_bytes(const Geometry& g, std::int64_t rows, std::int64_t depth) {
  const numerics::FormatInfo& format = numerics::format(g.plan.format);
  Bytes bytes = numerics::code_bytes(format, rows, depth);
  if (g.machine.count_scale_bytes) bytes += numerics::scale_bytes(format, rows, depth);
  return bytes;
}

// Bytes of the unified buffer that one row of `depth` channels takes, double-buffered.
Bytes row_footprint(const Geometry& g, std::int64_t depth) {
  Bytes out = quantised_bytes(g, 1, depth);
  if (g.plan.gather_group > 0) out += Bytes(tiles_of(depth, g.plan.gather_group) * 2);
  return (Bytes(depth * kInputBytes) + out) * kSlots;
}

// The widest chunk of channels of which one row fits the unified buffer.
std::int64_t chunk_depth(const Geometry& g) {
  const Bytes buffer = g.machine.core.buffers.ub;
  if (row_footprint(g, g.k) <= buffer) return g.k;
  const numerics::FormatInfo& format = numerics::format(g.plan.format);
  const std::int64_t granule = std::lcm(std::max<std::int64_t>(g.plan.gather_group, 1), std::max(format.block, 1));
  std::int64_t depth = granule;
  if (row_footprint(g, depth) > buffer)
    input_error("core.buffers.ub of {} bytes does not hold one row of {} channels ({} bytes double-buffered)",
                buffer.count(), depth, row_footprint(g, depth).count());
  while (row_footprint(g, depth * 2) <= buffer) depth *= 2;
  return depth;
}

// All channels once, `depth` at a time.
void add_chunks(Geometry& g, std::int64_t depth, units::CastPart part, const ChannelTable* table) {
  const std::int64_t group = g.plan.gather_group;
  for (std::int64_t at = 0; at < g.k; at += depth) {
    Chunk chunk{at, std::min(depth, g.k - at), part, 0, Cycles(0), Bytes(0)};
    chunk.out_row = quantised_bytes(g, 1, chunk.depth);
    if (group > 0) {
      ensure(table != nullptr && table->group == group, "a gather needs a table for groups of {}", group);
      chunk.groups = tiles_of(chunk.depth, group);
      chunk.row_time = units::gather_row_time(
          g.machine.core.gather,
          std::span(table->channels)
              .subspan(static_cast<std::size_t>(at / group), static_cast<std::size_t>(chunk.groups)),
          group);
      chunk.out_row += Bytes(chunk.groups * 2);
    }
    g.chunks.push_back(chunk);
  }
}

std::shared_ptr<const Geometry> make_geometry(const ActivationPlan& plan, const MachineParams& machine,
                                              std::int64_t rows, std::int64_t k, const ChannelTable* table) {
  auto g = std::make_shared<Geometry>(Geometry{plan, machine, rows, k, 0, {}, 0});
  const std::int64_t depth = chunk_depth(*g);
  const bool twice = depth < k && numerics::format(plan.format).outer_scale == numerics::OuterScale::row;
  if (twice) add_chunks(*g, depth, units::CastPart::maximum, table);
  add_chunks(*g, depth, twice ? units::CastPart::rest : units::CastPart::all, table);
  g->writes = tiles_of(k, depth);
  const std::int64_t fitting = machine.core.buffers.ub.count() / row_footprint(*g, depth).count();
  g->tile_rows = std::clamp<std::int64_t>(tiles_of(rows, machine.cores), 1, fitting);
  return g;
}

// The tiles (row blocks x chunks) of one core, and the commands of one of its pipes for each.
class ActivationStream : public CommandStream {
 public:
  ActivationStream(std::shared_ptr<const Geometry> geometry, PipeId pipe, std::int64_t first_tile, std::int64_t tiles)
      : g_(std::move(geometry)), pipe_(pipe), first_tile_(first_tile), tiles_(tiles) {}

  bool next(Command& command) override {
    const auto chunks = static_cast<std::int64_t>(g_->chunks.size());
    if (pipe_ == PipeId::drain && index_ % chunks == 0) index_ += chunks - g_->writes;
    if (index_ >= tiles_ * chunks) return false;
    const Chunk& chunk = g_->chunks[static_cast<std::size_t>(index_ % chunks)];
    const bool writes = chunk.part != units::CastPart::maximum;
    const std::int64_t written = index_ % chunks - (chunks - g_->writes);  // of this row block, before this chunk
    const std::int64_t out_slot = (index_ / chunks * g_->writes + written) % kSlots;
    const std::int64_t row = (first_tile_ + index_ / chunks) * g_->tile_rows;
    const std::int64_t rows = std::min(g_->tile_rows, g_->rows - row);
    const Region in{TensorId::x, row, rows, chunk.k, chunk.depth};
    const Region out{TensorId::x_out, row, rows, chunk.k, chunk.depth};
    const std::int64_t slot = index_ % kSlots;
    const bool gathers = g_->plan.gather_group > 0;
    const auto address = [&](const Region& region, std::int64_t row_bytes, std::int64_t offset) {
      return ((static_cast<std::uint64_t>(region.tensor) + 1) << 44) +
             static_cast<std::uint64_t>(row * row_bytes + offset);
    };
    switch (pipe_) {
      case PipeId::load: {
        units::LoadWork work;
        work.region = in;
        work.address = address(in, g_->k * kInputBytes, chunk.k * kInputBytes);
        work.bytes = Bytes(rows * chunk.depth * kInputBytes);
        work.layout = units::rows_in(work.bytes, rows, Bytes(g_->k * kInputBytes));
        command.work = work;
        command.writes.push_back({RingId::ub_in, slot, in, std::nullopt, true, Publish::at_end});
        break;
      }
      case PipeId::gather:
        command.work = units::GatherWork{chunk.row_time, rows, chunk.groups};
        command.reads.push_back({RingId::ub_in, slot, in, std::nullopt, true, false});
        command.writes.push_back({RingId::ub_gathered, slot, in, std::nullopt, true, Publish::at_end});
        break;
      case PipeId::vector:
        command.work = units::VectorWork{Bytes(rows * chunk.depth * kInputBytes), chunk.part};
        command.reads.push_back({RingId::ub_in, slot, in, std::nullopt, !gathers, true});
        if (gathers) command.reads.push_back({RingId::ub_gathered, slot, in, std::nullopt, true, true});
        if (writes) command.writes.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, Publish::at_end});
        break;
      case PipeId::drain: {
        units::DrainWork work;
        work.region = out;
        work.bytes = chunk.out_row * rows;
        work.address = address(out, chunk.out_row.count() * g_->writes, written * chunk.out_row.count());
        work.layout = units::rows_in(work.bytes, rows, chunk.out_row * g_->writes);
        command.work = work;
        command.reads.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, true});
        break;
      }
      default:
        ensure(false, "an activation program has no work for pipe {}", name_of(pipe_));
    }
    ++index_;
    return true;
  }

 private:
  std::shared_ptr<const Geometry> g_;
  PipeId pipe_;
  std::int64_t first_tile_, tiles_;
  std::int64_t index_ = 0;
};

}  // namespace

units::Program activation_program(const ActivationPlan& plan, const MachineParams& machine, std::int64_t rows,
                                  std::int64_t k, const ChannelTable* table) {
  const auto geometry = make_geometry(plan, machine, rows, k, table);
  const std::int64_t tiles = tiles_of(rows, geometry->tile_rows);
  const std::int64_t cores = std::min(tiles, machine.cores);
  units::Program program;
  program.primary = PipeId::vector;
  for (std::int64_t core = 0; core < cores; ++core) {
    const std::int64_t first = tiles * core / cores;
    const std::int64_t count = tiles * (core + 1) / cores - first;
    units::CoreProgram& part = program.cores.emplace_back();
    for (const PipeId pipe : {PipeId::load, PipeId::gather, PipeId::vector, PipeId::drain}) {
      if (pipe == PipeId::gather && plan.gather_group == 0) continue;
      part.streams[static_cast<std::size_t>(pipe)] = std::make_unique<ActivationStream>(geometry, pipe, first, count);
    }
    for (const RingId ring : {RingId::ub_in, RingId::ub_gathered, RingId::ub_out})
      part.slots[static_cast<std::size_t>(ring)] = kSlots;
  }
  return program;
}

}  // namespace oscsim
