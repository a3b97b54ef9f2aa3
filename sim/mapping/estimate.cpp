// SPDX-License-Identifier: Apache-2.0
// The analytic estimate: the slowest resource of the busiest core, or the shared memory, or the round trip of a load
// through its two slots, with what must come before its first work and after its last, plus the drain of the last tile.
#include "sim/mapping/estimate.h"

#include <algorithm>

#include "sim/mapping/shared_memory.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeId;

// A matrix unit's time for the steps of one pass over a tile: full ones and a tail.
struct StepTimes {
  double work = 0, occupancy = 0;
};

StepTimes step_times(const units::MatrixParams& unit, const MatmulPass& pass, std::int64_t m, std::int64_t n,
                     std::int64_t step) {
  StepTimes times;
  const auto add = [&](std::int64_t steps, std::int64_t depth) {
    if (steps == 0 || depth == 0) return;
    const units::MatrixTime one = units::matrix_time(unit, pass.bits(), m, n, depth);
    times.work += one.work.real() * static_cast<double>(steps);
    times.occupancy += one.occupancy.real() * static_cast<double>(steps);
  };
  add(pass.k / step, step);
  add(1, pass.k % step);
  return times;
}

// Bytes at HBM's peak that take as long as `bytes` in tiles of `tile` bytes, each `rows` parts of rows `pitch` apart.
double at_peak(const MachineParams& machine, double bytes, Bytes tile, std::int64_t rows, Bytes pitch) {
  const units::Access access{0, tile, units::rows_in(tile, rows, pitch)};
  return bytes * (units::hbm_share(machine.hbm, access).bytes / tile.real());
}

}  // namespace

TileCost tile_cost(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling) {
  const std::int64_t m = std::min(tiling.m, plan.m), n = std::min(tiling.n, plan.n);
  TileCost cost;
  cost.stages = stages_per_tile(plan, tiling);
  cost.single_accumulator = ring_slots(plan, machine, tiling).accumulators == 1;
  if (fuses(tiling)) {
    cost.fused = fused_cost(plan, machine, tiling, m);
    cost.load_a = cost.fused.load;
    cost.bytes_a = cost.hbm_a = cost.fused.bytes;
  }
  for (std::size_t i = 0; i < plan.passes.size(); ++i) {
    const MatmulPass& pass = plan.passes[i];
    const auto [step, stage, scale_stages] = tiling.passes[i];
    const double steps = static_cast<double>(tiles_of(pass.k, step));
    const double stages = static_cast<double>(tiles_of(pass.k, stage));
    const std::int64_t depth = std::min(step, pass.k);
    const units::MatrixParams& unit = machine.matrix(pass.bits(), pass.branch);
    const bool free_startup = pass.branch && !machine.model_branch_startup;
    const StepTimes matrix = step_times(unit, pass, m, n, step);
    const double feed = units::feed_time(machine.core.feed, operand_bytes(machine, pass, m, depth),
                                         operand_bytes(machine, pass, n, depth))
                            .real() -
                        (free_startup ? machine.core.feed.setup.real() : 0);
    (unit_of(machine, pass).pipe == PipeId::branch ? cost.branch : cost.tensor) +=
        free_startup ? matrix.work : matrix.occupancy;
    const double a = operand_bytes(machine, pass, m, pass.k).real();
    const double b = operand_bytes(machine, pass, n, pass.k).real();
    const units::LoadParams& load = machine.core.load;
    const std::int64_t stage_depth = std::min(stage, pass.k);
    const std::int64_t scale_depth = std::min(stage * scale_stages, pass.k);
    const auto load_of = [&](std::int64_t rows, std::int64_t sharers) {
      double cycles = stages * units::load_time(load, code_bytes(pass, rows, stage_depth), rows, sharers).real();
      if (has_scales(machine, pass))
        cycles += static_cast<double>(tiles_of(pass.k, scale_depth)) *
                  units::load_time(load, scale_bytes(machine, pass, rows, scale_depth), rows, sharers).real();
      return cycles;
    };
    cost.feed += std::max(feed, machine.core.issue.per_step(tiling.constants_folded).real()) * steps;
    const auto hbm_of = [&](std::int64_t rows) {
      double bytes = at_peak(machine, code_bytes(pass, rows, pass.k).real(), code_bytes(pass, rows, stage_depth), rows,
                             code_bytes(pass, 1, pass.k));
      if (has_scales(machine, pass))
        bytes += at_peak(machine, scale_bytes(machine, pass, rows, pass.k).real(),
                         scale_bytes(machine, pass, rows, scale_depth), rows, scale_bytes(machine, pass, 1, pass.k));
      return bytes;
    };
    if (!fuses(tiling)) {
      cost.load_a += load_of(m, tiling.cores_n);
      cost.bytes_a += a;
      cost.hbm_a += hbm_of(m);
    }
    if (!pass.branch || machine.count_branch_weights) {
      cost.load_b += load_of(n, tiling.cores_m);
      cost.bytes_b += b;
      cost.hbm_b += hbm_of(n);
    }
    if (i == 0) {
      cost.first_load = (cost.load_a + cost.load_b) / stages;
      cost.first_feed = feed;
      cost.first_step = matrix.work / steps;
    }
  }
  return cost;
}

double estimate_cycles(const GemmPlan& plan, const MachineParams& machine, const Tiling& tiling, const TileCost& cost) {
  const std::int64_t tiles_m = tiles_of(plan.m, tiling.m);
  const std::int64_t tiles_n = tiles_of(plan.n, tiling.n);
  const std::int64_t m = std::min(tiling.m, plan.m);
  const std::int64_t n = std::min(tiling.n, plan.n);
  const auto core_m = static_cast<double>(tiles_of(tiles_m, tiling.cores_m));
  const auto core_n = static_cast<double>(tiles_of(tiles_n, tiling.cores_n));
  const double tiles = core_m * core_n;

  const bool a_stays = tiling.order == LoopOrder::a_resident;
  const bool b_stays = tiling.order == LoopOrder::b_resident;
  const double a_loads = a_stays ? core_m : tiles;
  const double b_loads = b_stays ? core_n : tiles;
  const double issue = machine.core.issue.per_tile(tiling.constants_folded).real();
  const FusedCost& fused = cost.fused;
  const double load = a_loads * cost.load_a + b_loads * cost.load_b + tiles * issue + core_m * fused.sweep_load;
  const double vector = std::max(a_loads * fused.vector + core_m * fused.sweep_vector, a_loads * fused.gather);
  const Bytes out_tile = machine.core.drain.output_element * (m * n);
  const double drain = units::drain_time(machine.core.drain, out_tile, 1).real();

  // Shared memory: everything passes L2 once for each load; HBM once while it stays in L2.
  const double a_total = cost.bytes_a * static_cast<double>(plan.m) / static_cast<double>(m);
  const double b_total = cost.bytes_b * static_cast<double>(plan.n) / static_cast<double>(n);
  const double out_total =
      machine.core.drain.output_element.real() * static_cast<double>(plan.m) * static_cast<double>(plan.n);
  const auto sweeps_a = static_cast<double>(a_stays ? tiling.cores_n : tiles_n);
  const auto sweeps_b = static_cast<double>(b_stays ? tiling.cores_m : tiles_m);
  const bool m_outside = tiling.order == LoopOrder::m_outer || a_stays;
  // What does not survive in L2 comes from HBM again: the inner loop's operand for each turn of the outer one, the
  // outer loop's for each tile unless L1 holds it.
  const L2Misses missed =
      l2_misses(machine, plan, tiling, cost.bytes_a / static_cast<double>(m), cost.bytes_b / static_cast<double>(n));
  const double readers_a = missed.apart ? static_cast<double>(tiling.cores_n) : 1;
  const double readers_b = missed.apart ? static_cast<double>(tiling.cores_m) : 1;
  const double again_a = readers_a * (1 + (core_n - 1) * (!m_outside ? missed.inner : a_stays ? 0 : missed.outer));
  const double again_b = readers_b * (1 + (core_m - 1) * (m_outside ? missed.inner : b_stays ? 0 : missed.outer));
  const double row_sweeps =
      fused.sweep_bytes * static_cast<double>(plan.m) / static_cast<double>(m) * static_cast<double>(tiling.cores_n);
  const double l2 = (a_total * sweeps_a + row_sweeps + b_total * sweeps_b + out_total) /
                    per_cycle(machine.l2.bandwidth, machine.clock).count();
  const double hbm_a = a_total * (cost.hbm_a / cost.bytes_a), hbm_b = b_total * (cost.hbm_b / cost.bytes_b);
  const double hbm_out = at_peak(machine, out_total, out_tile, m, machine.core.drain.output_element * plan.n);
  const double hbm =
      (hbm_a * again_a + hbm_b * again_b + hbm_out) / per_cycle(machine.hbm.bandwidth, machine.clock).count();

  const double drain_exposed = tiling.drain_follows ? 0 : drain;
  double matrix = tiles * std::max(cost.tensor, cost.branch);
  if (cost.single_accumulator) matrix += (tiles - 1) * drain_exposed;
  const double throughput = std::max({matrix, tiles * cost.feed, load, vector, tiles * drain, l2, hbm});
  if (machine.overlap == units::Overlap::perfect) return throughput;
  const auto cycles_of = [&](Nanoseconds time) { return time.count() * 1e-9 * machine.clock.count(); };
  // A streamed operand has a few slots: a slot is loaded, awaited and fed before it takes its next stage.
  const double misses =
      std::min(1.0, (a_total * again_a + b_total * again_b) / (a_total * sweeps_a + b_total * sweeps_b));
  const double awaited = cycles_of(machine.l2.latency) + misses * cycles_of(machine.hbm.latency);
  const double streamed = (a_stays ? 0 : cost.load_a) + (b_stays ? 0 : cost.load_b);
  const double round_trips = tiles * (streamed + cost.feed + static_cast<double>(cost.stages) * awaited) /
                             static_cast<double>(tiling.l1_slots);
  // What comes before a resource's first work and after its last: the first load, the last load's steps.
  const double latency = cycles_of(machine.l2.latency) + cycles_of(machine.hbm.latency);
  const double lead = cost.first_load + latency;
  const double tail =
      cost.first_feed + std::max({cost.feed, cost.tensor, cost.branch}) / static_cast<double>(cost.stages);
  const double moved = std::max({load, l2, hbm, vector}) + latency + tail;
  const double multiplied =
      lead + std::max({cost.first_feed + matrix, tiles * cost.feed + cost.first_step, tiles * drain});
  return std::max({moved, multiplied, round_trips}) +
         (tiling.drain_follows ? drain - std::min(drain, cost.first_step) : drain);
}

}  // namespace oscsim
