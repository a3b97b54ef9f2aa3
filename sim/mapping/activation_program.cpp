// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/mapping/activation_path.h"
#include "sim/mapping/gemm_program.h"

namespace oscsim {
namespace {

using units::CastPart;
using units::Command;
using units::CommandStream;
using units::MachineParams;
using units::PipeId;
using units::Publish;
using units::Region;
using units::RingId;
using units::TensorId;

// Chunks are whole rows where they fit. A row whose one scale needs all of it and that does not fit is loaded twice:
// chunks that only take part in its maximum, then the same chunks again. With `sweep`, every chunk of the tensor takes
// part in its maximum before the first one is cast; that cores wait for each other in between costs nothing.
struct Geometry {
  ActivationPath path;
  std::int64_t rows = 0, k = 0;
  std::int64_t tile_rows = 0;
  std::vector<std::vector<Chunk>> sweeps;  // over a core's tiles; the chunks of a tile in each
  std::int64_t written_row = 0;            // bytes of a row's chunks in memory

  Bytes out_row(const Chunk& chunk) const {
    return path.quantised_bytes(1, chunk.depth) + path.gathered_bytes(1, chunk.depth);
  }
};

// Bytes of the unified buffer that one row of `depth` channels takes, double-buffered.
Bytes row_footprint(const ActivationPath& path, std::int64_t depth) {
  return (Bytes(depth * kInputBytes) + path.quantised_bytes(1, depth) + path.gathered_bytes(1, depth)) *
         kActivationSlots;
}

// The widest chunk of channels of which one row fits the unified buffer.
std::int64_t chunk_depth(const ActivationPath& path, numerics::FormatId format_id, std::int64_t k, Bytes buffer) {
  if (row_footprint(path, k) <= buffer) return k;
  const numerics::FormatInfo& format = numerics::format(format_id);
  const std::int64_t granule = std::lcm(std::max<std::int64_t>(path.group(), 1), std::max(format.block, 1));
  std::int64_t depth = granule;
  if (row_footprint(path, depth) > buffer)
    input_error("core.buffers.ub of {} bytes does not hold one row of {} channels ({} bytes double-buffered)",
                buffer.count(), depth, row_footprint(path, depth).count());
  while (row_footprint(path, depth * 2) <= buffer) depth *= 2;
  return depth;
}

// All channels once, `depth` at a time.
void add_chunks(Geometry& g, std::vector<Chunk>& chunks, std::int64_t depth, CastPart part) {
  for (std::int64_t at = 0; at < g.k; at += depth) chunks.push_back(g.path.chunk(at, std::min(depth, g.k - at), part));
}

// Cycles of the busiest core when tiles have so many rows: the first tile passes all pipes, the others follow at the
// pace of the slowest of them or of a tile's way through its two slots; or the shared memory takes longer.
double pipelined_cycles(const Geometry& g, const MachineParams& machine, std::int64_t tile_rows) {
  const ActivationPath& path = g.path;
  const units::CoreParams& core = machine.core;
  const Chunk& chunk = g.sweeps.back().back();
  const std::int64_t rows = std::min(tile_rows, g.rows);
  const std::int64_t tiles = tiles_of(g.rows, rows);
  const auto cores = static_cast<double>(std::min(tiles, machine.cores));

  const units::LoadWork x = path.load({TensorId::x, 0, rows, chunk.k, chunk.depth}, 0, chunk, g.k);
  double load = units::load_time(core.load, x.bytes, rows).real();
  if (path.strided()) load += units::strided_time(core.gather, core.load, rows * chunk.outliers).real();
  const double gather = path.gathers() ? units::gather_time(core.gather, chunk.row_time, rows, chunk.groups).real() : 0;
  if (x.gather) load = std::max(load, gather);
  const units::VectorWork work = path.vector(rows, chunk);
  const double vector = units::vector_time(core.vector, work.input, work.passes).real() + (work.gather ? gather : 0);
  const Bytes out = g.out_row(chunk) * rows;
  const double drain = units::drain_time(core.drain, out, 1).real();

  const auto shared = [&](Bytes bytes, std::int64_t row) {
    const units::Access access{0, bytes, units::rows_in(bytes, rows, Bytes(row))};
    return units::hbm_share(machine.hbm, access).bytes * cores /
           per_cycle(machine.hbm.bandwidth, machine.clock).count();
  };
  const double cycles_per_ns = machine.clock.count() * 1e-9;
  const double latency = (machine.hbm.latency.count() + machine.l2.latency.count()) * cycles_per_ns;
  const double read = shared(x.bytes, g.k * kInputBytes), written = shared(out, g.written_row);
  std::size_t chunks = 0;
  for (const std::vector<Chunk>& sweep : g.sweeps) chunks += sweep.size();
  const auto own = static_cast<double>(tiles_of(tiles, machine.cores)) * static_cast<double>(chunks);

  // Cores drift apart: with more than one tile, the memory turns for each write and back.
  const double batch = static_cast<double>(machine.hbm.write_queue.count() * machine.hbm.channels);
  const double turning = 2 * cores * machine.hbm.turnaround.count() * cycles_per_ns * std::min(1.0, out.real() / batch);
  const double memory = own * (read + written + (own > 1 ? turning : 0)) + latency;
  const double pass = vector + (path.engine() ? gather : 0);
  const double pace = std::max({load, vector, drain, path.engine() ? gather : 0,
                                (load + latency + pass) / kActivationSlots, (vector + drain) / kActivationSlots});
  return std::max(memory, std::max(load, read) + latency + pass + drain + (own - 1) * pace);
}

// What a split must save by the closed form; below that it tells nothing [assumed]: cores drift apart, writes delay
// reads.
constexpr double kSplitGain = 0.05;

// Of a core's share of the rows in equal parts, none larger than `most`: the part that is done soonest; the largest
// when others save next to nothing.
std::int64_t best_tile_rows(const Geometry& g, const MachineParams& machine, std::int64_t most) {
  const std::int64_t share = tiles_of(g.rows, machine.cores);
  const std::int64_t fewest = tiles_of(share, most);
  std::int64_t best = tiles_of(share, fewest);
  double least = pipelined_cycles(g, machine, best) * (1 - kSplitGain);
  for (std::int64_t parts = fewest + 1, last = best; parts <= share; ++parts) {
    const std::int64_t rows = tiles_of(share, parts);
    if (rows == std::exchange(last, rows)) continue;
    const double cycles = pipelined_cycles(g, machine, rows);
    if (cycles >= least) continue;
    best = rows;
    least = cycles;
  }
  return best;
}

std::shared_ptr<const Geometry> make_geometry(const ActivationPlan& plan, const MachineParams& machine,
                                              std::int64_t rows, std::int64_t k, const ChannelTable* table) {
  auto g = std::make_shared<Geometry>(Geometry{ActivationPath(plan, machine, table), rows, k, 0, {}, 0});
  const Bytes buffer = machine.core.buffers.ub;
  const std::int64_t depth = chunk_depth(g->path, plan.format, k, buffer);
  const numerics::OuterScale outer = numerics::format(plan.format).outer_scale;
  const bool sweep =
      outer == numerics::OuterScale::tensor && machine.core.vector.tensor_maximum == units::TensorMaximum::sweep;
  const bool twice = depth < k && outer == numerics::OuterScale::row;
  if (sweep) add_chunks(*g, g->sweeps.emplace_back(), depth, CastPart::maximum);
  std::vector<Chunk>& last = g->sweeps.emplace_back();
  if (twice) add_chunks(*g, last, depth, CastPart::maximum);
  add_chunks(*g, last, depth, twice || sweep ? CastPart::rest : CastPart::all);
  for (const Chunk& chunk : last)
    if (chunk.part != CastPart::maximum) g->written_row += g->out_row(chunk).count();
  g->tile_rows = best_tile_rows(*g, machine, buffer.count() / row_footprint(g->path, depth).count());
  return g;
}

// The tiles (row blocks x chunks) of one core, and the commands of one of its pipes for each.
class ActivationStream : public CommandStream {
 public:
  ActivationStream(std::shared_ptr<const Geometry> geometry, PipeId pipe, std::int64_t first_tile, std::int64_t tiles)
      : g_(std::move(geometry)), pipe_(pipe), first_tile_(first_tile), tiles_(tiles) {}

  bool next(Command& command) override {
    while (sweep_ < g_->sweeps.size()) {
      const Chunk& now = chunk();
      const bool writes = now.part != CastPart::maximum;
      if (pipe_ == PipeId::drain && !writes) {
        advance();
        continue;
      }
      const bool fetches = pipe_ == PipeId::load && g_->path.strided() && writes && !loaded_;
      emit(command, now, writes);
      loaded_ = fetches;  // its outliers are next
      if (!fetches) advance();
      return true;
    }
    return false;
  }

 private:
  const Chunk& chunk() const { return g_->sweeps[sweep_][chunk_]; }

  void advance() {
    if (chunk().part != CastPart::maximum) {
      ++written_;
      row_offset_ += g_->out_row(chunk()).count();
    }
    ++read_;
    if (++chunk_ < g_->sweeps[sweep_].size()) return;
    chunk_ = 0;
    row_offset_ = 0;
    if (++tile_ < tiles_) return;
    tile_ = 0;
    ++sweep_;
  }

  static std::uint64_t address(const Region& region, std::int64_t row_bytes, std::int64_t offset) {
    return ((static_cast<std::uint64_t>(region.tensor) + 1) << 44) +
           static_cast<std::uint64_t>(region.row * row_bytes + offset);
  }

  void emit(Command& command, const Chunk& now, bool writes) const {
    const ActivationPath& path = g_->path;
    const std::int64_t row = (first_tile_ + tile_) * g_->tile_rows;
    const std::int64_t rows = std::min(g_->tile_rows, g_->rows - row);
    const Region in{TensorId::x, row, rows, now.k, now.depth};
    const Region out{TensorId::x_out, row, rows, now.k, now.depth};
    const std::int64_t slot = read_ % kActivationSlots;
    const std::int64_t out_slot = written_ % kActivationSlots;
    // Of outliers that are loads of their own only where they are written; an engine passes every tile on.
    const bool gathered = path.engine() || (path.strided() && writes);
    const std::int64_t gathered_slot = path.engine() ? slot : out_slot;
    switch (pipe_) {
      case PipeId::load: {
        const std::uint64_t at = address(in, g_->k * kInputBytes, now.k * kInputBytes);
        if (loaded_) {
          command.work = path.strided_load(in, at, now.outliers);
          command.writes.push_back({RingId::ub_gathered, gathered_slot, in, std::nullopt, true, Publish::at_end});
        } else {
          command.work = path.load(in, at, now, g_->k);
          command.writes.push_back({RingId::ub_in, slot, in, std::nullopt, true, Publish::at_end});
        }
        break;
      }
      case PipeId::gather:
        command.work = path.gather(rows, now);
        command.reads.push_back({RingId::ub_in, slot, in, std::nullopt, true, false});
        command.writes.push_back({RingId::ub_gathered, gathered_slot, in, std::nullopt, true, Publish::at_end});
        break;
      case PipeId::vector:
        command.work = path.vector(rows, now);
        command.reads.push_back({RingId::ub_in, slot, in, std::nullopt, !path.engine(), true});
        if (gathered) command.reads.push_back({RingId::ub_gathered, gathered_slot, in, std::nullopt, true, true});
        if (writes) command.writes.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, Publish::at_end});
        break;
      case PipeId::drain: {
        units::DrainWork work;
        work.region = out;
        work.bytes = g_->out_row(now) * rows;
        work.address = address(out, g_->written_row, row_offset_);
        work.layout = units::rows_in(work.bytes, rows, Bytes(g_->written_row));
        command.work = work;
        command.reads.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, true});
        break;
      }
      default:
        ensure(false, "an activation program has no work for pipe {}", name_of(pipe_));
    }
  }

  std::shared_ptr<const Geometry> g_;
  PipeId pipe_;
  std::int64_t first_tile_, tiles_;
  std::size_t sweep_ = 0, chunk_ = 0;
  std::int64_t tile_ = 0;
  std::int64_t read_ = 0, written_ = 0;  // chunks so far
  std::int64_t row_offset_ = 0;          // bytes of a row's chunks written before this one
  bool loaded_ = false;                  // the chunk itself, before its outliers
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
      if (pipe == PipeId::gather && !geometry->path.engine()) continue;
      part.streams[static_cast<std::size_t>(pipe)] = std::make_unique<ActivationStream>(geometry, pipe, first, count);
    }
    for (const RingId ring : {RingId::ub_in, RingId::ub_gathered, RingId::ub_out})
      part.slots[static_cast<std::size_t>(ring)] = kActivationSlots;
  }
  return program;
}

}  // namespace oscsim
