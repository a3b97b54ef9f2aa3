// SPDX-License-Identifier: Apache-2.0
// The search over tilings of attention: powers of two within the buffers' capacities, judged by an estimate that takes
// the slowest pipe.
#include <algorithm>
#include <numeric>

#include "sim/mapping/attention_jobs.h"
#include "sim/mapping/tiling.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeId;

constexpr std::int64_t kMostStageSlots = 8;
constexpr std::int64_t kMostTile = 1024;  // rows of queries, keys of a tile of scores

// Powers of two times `granule`, and `whole`; largest first: among equals the larger tile, with fewer commands, wins.
std::vector<std::int64_t> sizes_up_to(std::int64_t whole, std::int64_t granule) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = granule; size < whole && size <= kMostTile; size *= 2) sizes.push_back(size);
  if (whole <= kMostTile) sizes.push_back(whole);
  std::ranges::reverse(sizes);
  return sizes;
}

class AttentionSearch {
 public:
  AttentionSearch(const AttentionPlan& plan, const MachineParams& machine)
      : plan_(plan),
        machine_(machine),
        pass_(attention_pass(plan)),
        is_own_(unit_of(machine, pass_).pipe == PipeId::branch),
        unit_(machine.matrix(pass_.bits(), pass_.branch)),
        block_(std::max<std::int64_t>(1, numerics::format(plan.format).block)) {}

  AttentionTiling run() {
    const units::TileGranule tile = units::tile_granule(unit_, stacked_rows(sizes()), sizes().keys);
    const std::int64_t granule = round_up(tile.n, block_);  // keys are columns, and then reduction
    for (const std::int64_t rows : sizes_up_to(round_up(stacked_rows(sizes()), tile.m), tile.m))
      for (const std::int64_t keys : sizes_up_to(round_up(sizes().keys, granule), granule)) try_tile(rows, keys);
    if (best_.rows == 0)
      input_error(
          "attention with heads of {} does not fit the machine: {} rows of queries and {} keys need more than "
          "its buffers",
          sizes().head_dim, tile.m, granule);
    return best_;
  }

 private:
  const AttentionSizes& sizes() const { return plan_.sizes; }
  Bytes bytes(std::int64_t rows, std::int64_t depth) const { return operand_bytes(machine_, pass_, rows, depth); }

  // The deepest equal step of `extent` along k that fits the operand buffers double-buffered; 0 when none does.
  std::int64_t deepest_step(std::int64_t m, std::int64_t n, std::int64_t extent) const {
    const std::int64_t granule = std::lcm(units::depth_granule(unit_, pass_.bits()), block_);
    const numerics::FormatInfo& format = numerics::format(plan_.format);
    const units::BufferParams& buffers = machine_.core.buffers;
    const Bytes room_a = is_own_ ? machine_.core.branch.operand_buffer : buffers.l0a;
    const Bytes room_b = is_own_ ? machine_.core.branch.operand_buffer : buffers.l0b;
    for (std::int64_t steps = 1, whole = tiles_of(extent, granule); steps <= whole; ++steps) {
      const std::int64_t depth = tiles_of(whole, steps) * granule;
      const Bytes a = numerics::code_bytes(format, m, depth), b = numerics::code_bytes(format, n, depth);
      const Bytes scales = bytes(std::max(m, n), depth) - numerics::code_bytes(format, std::max(m, n), depth);
      if (a * 2 <= room_a && b * 2 <= room_b && scales * 2 <= buffers.l0_scales) return depth;
    }
    return 0;
  }

  void try_tile(std::int64_t rows, std::int64_t keys) {
    AttentionTiling tiling{.rows = rows, .keys = keys};
    tiling.step_d = deepest_step(rows, keys, sizes().head_dim);
    tiling.step_keys = deepest_step(rows, sizes().head_dim, keys);
    if (tiling.step_d == 0 || tiling.step_keys == 0) return;
    const Bytes accumulators = is_own_ ? machine_.core.branch.accumulator : machine_.core.buffers.l0c;
    const Bytes scores(kFp32 * rows * keys * 2), output(kFp32 * rows * sizes().head_dim);
    if (scores + output > accumulators) return;
    tiling.output_slots = std::min<std::int64_t>(2, (accumulators - scores).count() / output.count());
    const Bytes beside = bytes(rows, sizes().head_dim) * 2 + bytes(rows, keys) * 2;  // queries and probabilities
    // The first stage that holds all keys is the last one to try; a whole tile may be more than twice as many.
    for (tiling.stage = keys;; tiling.stage *= 2) {
      const Bytes pair = bytes(tiling.stage, sizes().head_dim) * 2;
      if (beside + pair * 2 > machine_.core.buffers.l1) break;
      const std::int64_t fitting = (machine_.core.buffers.l1 - beside).count() / pair.count();
      tiling.stage_slots = std::min(fitting, kMostStageSlots);
      const double estimate = estimate_cycles(tiling);
      if (best_.rows == 0 || estimate < best_estimate_) {
        best_ = tiling;
        best_estimate_ = estimate;
      }
      if (tiling.stage >= sizes().keys) break;
    }
  }

  // Cycles of each pipe, of one core; memory separately.
  struct Cost {
    double matrix = 0, feed = 0, vector = 0, load = 0, drain = 0, round_trip = 0;
    double slowest() const { return std::max({matrix, feed, vector, load, drain, round_trip}); }
    void add(const Cost& other, double times) {
      matrix += other.matrix * times;
      feed += other.feed * times;
      vector += other.vector * times;
      load += other.load * times;
      drain += other.drain * times;
      round_trip += other.round_trip * times;
    }
  };

  Cost job_cost(const AttentionTiling& tiling, const AttentionJob& job) const {
    const std::int64_t head_dim = sizes().head_dim;
    const auto tiles = static_cast<double>(job.pieces(tiling.keys));
    const auto stages = static_cast<double>(job.pieces(tiling.stage));
    const auto steps_d = static_cast<double>(tiles_of(head_dim, tiling.step_d));
    const auto steps_keys = static_cast<double>(tiles_of(tiling.keys, tiling.step_keys));
    const std::int64_t keys = std::min(tiling.keys, job.end_key);
    const auto matrix = [&](std::int64_t n, std::int64_t k, double steps) {
      return steps * units::matrix_time(unit_, pass_.bits(), job.rows, n, k).occupancy.real();
    };
    const auto feed = [&](std::int64_t n, std::int64_t k, double steps) {
      const Cycles time = units::feed_time(machine_.core.feed, bytes(job.rows, k), bytes(n, k));
      return steps * std::max(time, machine_.core.issue.per_step(true)).real();
    };
    const auto load = [&](std::int64_t rows) {
      return units::load_time(machine_.core.load, bytes(rows, head_dim), rows).real();
    };
    const std::int64_t stage = std::min(tiling.stage, sizes().keys);
    Cost cost;
    const std::int64_t depth_d = std::min(tiling.step_d, head_dim), depth_keys = std::min(tiling.step_keys, keys);
    cost.matrix = tiles * (matrix(keys, depth_d, steps_d) + matrix(head_dim, depth_keys, steps_keys));
    cost.feed = tiles * (feed(keys, depth_d, steps_d) + feed(head_dim, depth_keys, steps_keys));
    cost.vector =
        tiles * units::passes_time(machine_.core.vector, softmax_bytes(job.rows, keys, head_dim, false)).real();
    cost.load = machine_.core.issue.per_tile(true).real() + load(job.rows) + 2 * stages * load(stage);
    cost.drain =
        units::drain_time(machine_.core.drain, machine_.core.drain.output_element * (job.rows * head_dim), 1).real();
    // A slot is loaded, awaited and used up before it takes another stage.
    const double latency = (machine_.l2.latency.count() + machine_.hbm.latency.count()) * 1e-9 * machine_.clock.count();
    const double used = (cost.matrix + 2 * stages * load(stage)) / stages;
    cost.round_trip = stages * (latency + used) / static_cast<double>(tiling.stage_slots);
    return cost;
  }

  // Total work spread over the cores, but no less than whole jobs allow; and the shared memory.
  double estimate_cycles(const AttentionTiling& tiling) const {
    const std::int64_t blocks = row_blocks(sizes(), tiling.rows);
    const auto pairs = static_cast<double>(attention_pairs(sizes()));
    Cost total;
    double longest = 0, first_fill = 0;
    double loaded = 0;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const AttentionJob job = attention_job(sizes(), tiling.rows, 0, block);
      const Cost cost = job_cost(tiling, job);
      total.add(cost, pairs);
      longest = std::max(longest, cost.slowest());
      first_fill = cost.load / static_cast<double>(job.pieces(tiling.stage));
      loaded += pairs * static_cast<double>((bytes(job.rows, sizes().head_dim) +
                                             bytes(job.pieces(tiling.stage) * tiling.stage, sizes().head_dim) * 2)
                                                .count());
    }
    const auto jobs = pairs * static_cast<double>(blocks);
    const auto cores = static_cast<double>(machine_.cores);
    double busiest = std::max(total.slowest() / cores, longest);
    if (blocks == 1) busiest = std::ceil(jobs / cores) * longest;  // all jobs are equal
    const double l2 = loaded / per_cycle(machine_.l2.bandwidth, machine_.clock).count();
    const double once =
        pairs *
        static_cast<double>(
            (bytes(stacked_rows(sizes()), sizes().head_dim) + bytes(sizes().keys, sizes().head_dim) * 2).count());
    const double hbm = once / per_cycle(machine_.hbm.bandwidth, machine_.clock).count();
    return std::max({busiest, l2, hbm}) + (machine_.overlap == units::Overlap::perfect ? 0 : first_fill);
  }

  const AttentionPlan& plan_;
  const MachineParams& machine_;
  MatmulPass pass_;
  bool is_own_;  // the branch unit's buffers
  const units::MatrixParams& unit_;
  std::int64_t block_;  // of the format's scales
  AttentionTiling best_;
  double best_estimate_ = 0;
};

}  // namespace

AttentionTiling search_attention(const AttentionPlan& plan, const MachineParams& machine) {
  return AttentionSearch(plan, machine).run();
}

}  // namespace oscsim
