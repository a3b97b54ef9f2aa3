// SPDX-License-Identifier: Apache-2.0
// Operations over rows: load, passes on the vector unit, drain, over blocks of whole rows, or of parts of a row where
// one does not fit the unified buffer.
#include <algorithm>

#include "sim/mapping/operation_program.h"

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

constexpr std::int64_t kRowSlots = 2;  // double buffering

// `total` bytes of a row in `parts` equal parts: where part `index` begins.
std::int64_t part_begin(Bytes total, std::int64_t index, std::int64_t parts) {
  return total.count() * index / parts;
}

// A visit to a part of a block of rows. A row that reduces and that does not fit is visited twice: all parts for the
// reducing passes, then all of them again, with output.
struct Visit {
  std::int64_t input_at = 0, input = 0;  // bytes of a row
  std::int64_t output_at = 0, output = 0;
  std::int64_t data = 0;  // bytes of a row that all passes together go over
  bool writes = false;
};

struct RowGeometry {
  RowPlan plan;
  std::int64_t tile_rows = 0;
  std::vector<Visit> visits;  // of one block of rows
  std::int64_t outputs = 0;   // the last visits of a block, which write
};

Bytes footprint(const RowPlan& plan, std::int64_t parts) {
  return Bytes((tiles_of(plan.input.count(), parts) + tiles_of(plan.output.count(), parts)) * kRowSlots);
}

// The fewest parts of a row of which one fits the unified buffer, double-buffered.
std::int64_t parts_of(const RowPlan& plan, Bytes buffer) {
  std::int64_t parts = 1;
  while (footprint(plan, parts) > buffer) ++parts;
  return parts;
}

void add_visits(RowGeometry& g, std::int64_t parts, std::int64_t passes, bool writes) {
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto span = [&](Bytes total) { return part_begin(total, i + 1, parts) - part_begin(total, i, parts); };
    Visit visit{part_begin(g.plan.input, i, parts), span(g.plan.input), 0, 0, span(g.plan.data) * passes, writes};
    if (writes) {
      visit.output_at = part_begin(g.plan.output, i, parts);
      visit.output = span(g.plan.output);
      ++g.outputs;
    }
    g.visits.push_back(visit);
  }
}

std::shared_ptr<const RowGeometry> make_geometry(const RowPlan& plan, const MachineParams& machine) {
  auto g = std::make_shared<RowGeometry>();
  g->plan = plan;
  const Bytes buffer = machine.core.buffers.ub;
  const std::int64_t parts = parts_of(plan, buffer);
  const bool twice = parts > 1 && plan.reduce > 0;
  if (twice) add_visits(*g, parts, plan.reduce, false);
  add_visits(*g, parts, plan.apply + (twice ? 0 : plan.reduce), true);
  const std::int64_t fitting = buffer.count() / footprint(plan, parts).count();
  g->tile_rows = std::clamp<std::int64_t>(tiles_of(plan.rows, machine.cores), 1, fitting);
  return g;
}

// The visits of one core, and the command of one of its pipes for each.
class RowStream : public CommandStream {
 public:
  RowStream(std::shared_ptr<const RowGeometry> geometry, PipeId pipe, std::int64_t first_tile, std::int64_t tiles)
      : g_(std::move(geometry)), pipe_(pipe), first_tile_(first_tile), tiles_(tiles) {}

  bool next(Command& command) override {
    const auto visits = static_cast<std::int64_t>(g_->visits.size());
    if (pipe_ == PipeId::drain && index_ % visits == 0) index_ += visits - g_->outputs;
    if (index_ >= tiles_ * visits) return false;
    emit(command, g_->visits[static_cast<std::size_t>(index_ % visits)], index_ / visits);
    ++index_;
    return true;
  }

 private:
  // In bytes. Whole rows lie one behind another: one stretch of memory.
  static Region region(TensorId tensor, std::int64_t row, std::int64_t rows, Bytes row_bytes, std::int64_t at,
                       std::int64_t bytes) {
    if (bytes < row_bytes.count()) return {tensor, row, rows, at, bytes};
    return {tensor, 0, 1, row * bytes, rows * bytes};
  }

  void emit(Command& command, const Visit& visit, std::int64_t tile) const {
    const std::int64_t row = (first_tile_ + tile) * g_->tile_rows;
    const std::int64_t rows = std::min(g_->tile_rows, g_->plan.rows - row);
    const Region in = region(TensorId::x, row, rows, g_->plan.input, visit.input_at, visit.input);
    const Region out = region(TensorId::x_out, row, rows, g_->plan.output, visit.output_at, visit.output);
    const auto visits = static_cast<std::int64_t>(g_->visits.size());
    const std::int64_t in_slot = index_ % kRowSlots;
    const std::int64_t out_slot = (tile * g_->outputs + index_ % visits - (visits - g_->outputs)) % kRowSlots;
    const auto address = [](const Region& part, Bytes row_bytes) {
      return ((static_cast<std::uint64_t>(part.tensor) + 1) << 44) +
             static_cast<std::uint64_t>(part.row * row_bytes.count() + part.k);
    };
    if (pipe_ == PipeId::load) {
      units::LoadWork load;
      load.region = in;
      load.address = address(in, g_->plan.input);
      load.bytes = Bytes(rows * visit.input);
      load.layout = units::rows_in(load.bytes, rows, g_->plan.input);
      command.work = load;
      command.writes.push_back({RingId::ub_in, in_slot, in, std::nullopt, true, Publish::at_end});
    } else if (pipe_ == PipeId::vector) {
      command.work = units::PassesWork{Bytes(rows * visit.data)};
      command.reads.push_back({RingId::ub_in, in_slot, in, std::nullopt, true, true});
      if (visit.writes) command.writes.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, Publish::at_end});
    } else {
      units::DrainWork work;
      work.region = out;
      work.address = address(out, g_->plan.output);
      work.bytes = Bytes(rows * visit.output);
      work.layout = units::rows_in(work.bytes, rows, g_->plan.output);
      command.work = work;
      command.reads.push_back({RingId::ub_out, out_slot, out, std::nullopt, true, true});
    }
  }

  std::shared_ptr<const RowGeometry> g_;
  PipeId pipe_;
  std::int64_t first_tile_, tiles_;
  std::int64_t index_ = 0;
};

}  // namespace

units::Program row_program(const RowPlan& plan, const MachineParams& machine) {
  ensure(plan.rows > 0 && plan.input > Bytes(0) && plan.output > Bytes(0), "an operation over {} rows", plan.rows);
  const auto geometry = make_geometry(plan, machine);
  const std::int64_t tiles = tiles_of(plan.rows, geometry->tile_rows);
  const std::int64_t cores = std::min(tiles, machine.cores);
  units::Program program;
  program.primary = PipeId::vector;
  for (std::int64_t core = 0; core < cores; ++core) {
    const std::int64_t first = tiles * core / cores;
    const std::int64_t count = tiles * (core + 1) / cores - first;
    units::CoreProgram& part = program.cores.emplace_back();
    for (const PipeId pipe : {PipeId::load, PipeId::vector, PipeId::drain})
      part.streams[static_cast<std::size_t>(pipe)] = std::make_unique<RowStream>(geometry, pipe, first, count);
    for (const RingId ring : {RingId::ub_in, RingId::ub_out}) part.slots[static_cast<std::size_t>(ring)] = kRowSlots;
  }
  return program;
}

}  // namespace oscsim
