// SPDX-License-Identifier: Apache-2.0
// The search over tilings: every combination of a small set of sizes, judged by the estimate.
#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "sim/mapping/core_model.h"
#include "sim/mapping/estimate.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeId;

// Smallest useful step along k of a pass: whole cubes or folds, and whole scale blocks.
std::int64_t k_granule(const MachineParams& machine, const MatmulPass& pass) {
  const std::int64_t block = std::max(1, numerics::format(pass.format).block);
  return std::lcm(units::depth_granule(machine.matrix(pass.bits(), pass.branch), pass.bits()), block);
}

struct Operand {
  Bytes codes{0};
  Bytes scales{0};
};

Operand operand_of(const MachineParams& machine, const MatmulPass& pass, std::int64_t rows, std::int64_t depth) {
  const Bytes codes = numerics::code_bytes(numerics::format(pass.format), rows, depth);
  return {codes, operand_bytes(machine, pass, rows, depth) - codes};
}

// Whether a double-buffered step of a pass fits the operand buffers; otherwise which one is too small.
std::string step_problem(const MachineParams& machine, const MatmulPass& pass, std::int64_t m, std::int64_t n,
                         std::int64_t depth) {
  const bool own = unit_of(machine, pass).pipe == PipeId::branch;
  const units::BufferParams& buffers = machine.core.buffers;
  const Operand a = operand_of(machine, pass, m, depth);
  const Operand b = operand_of(machine, pass, n, depth);
  const auto check = [&](Bytes need, Bytes have, std::string_view name) -> std::string {
    if (need <= have) return {};
    return fmt::format("{} of {} bytes is too small for two steps of {} bytes", name, have.count(), need.count() / 2);
  };
  const Bytes buffer_a = own ? machine.core.branch.operand_buffer : buffers.l0a;
  const Bytes buffer_b = own ? machine.core.branch.operand_buffer : buffers.l0b;
  for (const std::string& problem :
       {check(a.codes * 2, buffer_a, own ? "core.branch.operand_buffer" : "core.buffers.l0a"),
        check(b.codes * 2, buffer_b, own ? "core.branch.operand_buffer" : "core.buffers.l0b"),
        check(a.scales * 2, buffers.l0_scales, "core.buffers.l0_scales"),
        check(b.scales * 2, buffers.l0_scales, "core.buffers.l0_scales")})
    if (!problem.empty()) return problem;
  return {};
}

// Whether loads of one step, `l1_slots` of them, fit L1.
bool fits_l1(const MachineParams& machine, const MatmulPass& pass, std::int64_t m, std::int64_t n, std::int64_t depth,
             std::int64_t l1_slots) {
  return (operand_bytes(machine, pass, m, depth) + operand_bytes(machine, pass, n, depth)) * l1_slots <=
         machine.core.buffers.l1;
}

// The deepest step of a pass that fits the operand buffers and L1, 0 when none does. Bounded by k.
std::int64_t deepest_step(const MachineParams& machine, const MatmulPass& pass, std::int64_t m, std::int64_t n,
                          std::int64_t l1_slots) {
  const std::int64_t granule = k_granule(machine, pass);
  std::int64_t low = 0;
  std::int64_t high = tiles_of(pass.k, granule);
  while (low < high) {
    const std::int64_t middle = (low + high + 1) / 2;
    if (step_problem(machine, pass, m, n, middle * granule).empty() &&
        fits_l1(machine, pass, m, n, middle * granule, l1_slots))
      low = middle;
    else
      high = middle - 1;
  }
  if (low == 0) return 0;
  // Equal steps rather than full ones and a short tail.
  const std::int64_t steps = tiles_of(tiles_of(pass.k, granule), low);
  return tiles_of(tiles_of(pass.k, granule), steps) * granule;
}

// Largest first: among equal estimates the larger tile, with fewer commands, wins.
std::vector<std::int64_t> tile_sizes(std::int64_t extent, std::int64_t granule,
                                     const std::optional<std::int64_t>& pinned) {
  if (pinned) return {*pinned};
  std::vector<std::int64_t> sizes;
  const std::int64_t whole = round_up(extent, granule);
  for (std::int64_t size = granule; size < whole && size <= 4096; size *= 2) sizes.push_back(size);
  if (whole <= 4096) sizes.push_back(whole);
  std::ranges::reverse(sizes);
  return sizes;
}

// What a tile must pass, in the order of the checks.
enum class Hurdle : std::uint8_t { operands, accumulators, loads, cores };

struct Candidate {
  double estimate;
  Tiling tiling;
};

// So many of the best by estimate are judged by the core model.
constexpr std::size_t kModelled = 48;

class Search {
 public:
  Search(const GemmPlan& plan, const MachineParams& machine, const MappingParams& pinned)
      : plan_(plan), machine_(machine), pinned_(pinned) {
    // What is not modelled, or not there, is not fused either.
    fuses_ = pinned.quantise == QuantisePlace::fused && machine.model_shared_work && plan.activation.quantises();
  }

  Tiling run() {
    const units::MatrixParams& unit = machine_.matrix(plan_.passes.front().bits(), plan_.passes.front().branch);
    const units::TileGranule granule = units::tile_granule(unit, plan_.m, plan_.n);
    const auto sizes_n = tile_sizes(plan_.n, granule.n, pinned_.n);
    for (const std::int64_t m : tile_sizes(plan_.m, granule.m, pinned_.m))
      for (const std::int64_t n : sizes_n) try_tile(m, n);
    if (candidates_.empty())
      input_error("no tile of a {} x {} x {} GEMM fits the machine{}: {}", plan_.m, plan_.n, plan_.passes.front().k,
                  pins(), problem_);
    return machine_.overlap == units::Overlap::perfect
               ? std::ranges::min_element(candidates_, {}, &Candidate::estimate)->tiling
               : best();
  }

 private:
  void try_tile(std::int64_t m, std::int64_t n) {
    Tiling tiling;
    tiling.m = m;
    tiling.n = n;
    tiling.l1_slots = l1_slots();
    tiling.parts_m = pinned_.parts_m.value_or(1);
    tiling.drain_follows = pinned_.drain_follows.value_or(machine_.core.drain.follows);
    tiling.constants_folded = pinned_.constants_folded.value_or(true);
    if (fuses_) tiling.quantise = QuantisePlace::fused;
    for (const MatmulPass& pass : plan_.passes) {
      const bool main = !pass.branch;
      const std::int64_t depth =
          main ? main_step(pass, m, n)
               : std::max(deepest_step(machine_, pass, m, n, l1_slots()), k_granule(machine_, pass));
      if (const std::string problem = step_problem(machine_, pass, m, n, depth); !problem.empty())
        return reject(Hurdle::operands, "tile of m {} n {} k {}: {}", m, n, depth, problem);
      if (main && depth % std::max(1, numerics::format(pass.format).block) != 0)
        return reject(Hurdle::operands, "mapping.k of {} is not a multiple of the {}-element block of {}", depth,
                      numerics::format(pass.format).block, name_of(pass.format));
      tiling.passes.push_back({depth, depth});
    }
    for (const LoopOrder order :
         {LoopOrder::m_outer, LoopOrder::n_outer, LoopOrder::a_resident, LoopOrder::b_resident}) {
      if (pinned_.order && *pinned_.order != order) continue;
      tiling.order = order;
      try_stages(tiling);
    }
  }

  std::int64_t l1_slots() const { return pinned_.l1_slots.value_or(2); }

  // The pinned step of the main pass, else the deepest that fits and that a pinned stage_k is a multiple of.
  std::int64_t main_step(const MatmulPass& pass, std::int64_t m, std::int64_t n) const {
    if (pinned_.k) return *pinned_.k;
    const std::int64_t granule = k_granule(machine_, pass);
    std::int64_t depth = std::max(deepest_step(machine_, pass, m, n, l1_slots()), granule);
    if (pinned_.stage_k)
      while (depth > granule && *pinned_.stage_k % depth != 0) depth -= granule;
    return depth;
  }

  // Loads of 1, 2, 4, ... steps, the same for every pass.
  void try_stages(Tiling& tiling) {
    const std::vector<PassTiling> single = tiling.passes;
    std::int64_t deepest = 1;
    for (std::size_t i = 0; i < single.size(); ++i)
      deepest = std::max(deepest, tiles_of(plan_.passes[i].k, single[i].step));
    for (std::int64_t steps = 1; steps < 2 * deepest; steps *= 2) {
      for (std::size_t i = 0; i < single.size(); ++i)
        tiling.passes[i].stage = single[i].step * std::min(steps, tiles_of(plan_.passes[i].k, single[i].step));
      if (pinned_.stage_k) {
        tiling.passes.front().stage = *pinned_.stage_k;
        if (*pinned_.stage_k % single.front().step != 0) {
          reject(Hurdle::operands, "mapping.stage_k of {} is not a multiple of the step of {}", *pinned_.stage_k,
                 single.front().step);
          break;
        }
      }
      if (Bytes need{0}; fuses_ && fused_rows(plan_, machine_, tiling, need) == 0) {
        reject(Hurdle::operands,
               "tile of m {} with loads of depth {}: core.buffers.ub of {} bytes is too small for {} bytes", tiling.m,
               tiling.passes.front().stage, machine_.core.buffers.ub.count(), need.count());
        break;
      }
      const RingSlots slots = widest_scales(tiling);
      if (slots.accumulators + slots.branch_accumulators == 0) {
        reject(Hurdle::accumulators, "tile of m {} n {}: {}", tiling.m, tiling.n, accumulator_problem(tiling));
        break;
      }
      if (slots.l1_a == 0) {
        if (slots.l1_bytes <= least_l1_) {
          least_l1_ = slots.l1_bytes;
          reject(Hurdle::loads,
                 "tile of m {} n {} with loads of depth {}: core.buffers.l1 of {} bytes is too small for {:.0f} bytes",
                 tiling.m, tiling.n, tiling.passes.front().stage, machine_.core.buffers.l1.count(), slots.l1_bytes);
        }
        if (tiling.order == LoopOrder::m_outer || tiling.order == LoopOrder::n_outer) break;
      } else {
        try_cores(tiling);
      }
      if (pinned_.stage_k) break;
    }
    tiling.passes = single;
  }

  // Loads of scales as deep as L1 holds: fewer commands, longer rows. Returns the slots.
  RingSlots widest_scales(Tiling& tiling) const {
    RingSlots slots;
    std::int64_t stages = pinned_.scale_stages.value_or(
        std::bit_ceil(static_cast<std::uint64_t>(tiles_of(plan_.passes.front().k, tiling.passes.front().stage))));
    for (; stages > 0; stages /= 2) {
      for (PassTiling& pass : tiling.passes) pass.scale_stages = stages;
      slots = ring_slots(plan_, machine_, tiling);
      if (slots.l1_a > 0 || pinned_.scale_stages) break;
    }
    return slots;
  }

  void try_cores(Tiling& tiling) {
    tiling.core_m = pinned_.core_m.value_or(0);
    tiling.core_n = pinned_.core_n.value_or(0);
    const std::int64_t part_tiles = tiles_of(tiles_of(plan_.m, tiling.m), tiling.parts_m);  // of the largest part
    const std::int64_t rows = std::min(plan_.m, part_tiles * tiling.m);
    const std::int64_t tiles_m = tiling.core_m > 0 ? tiles_of(rows, tiling.core_m) : tiles_of(rows, tiling.m);
    const std::int64_t tiles_n = tiles_of(plan_.n, tiling.core_n > 0 ? tiling.core_n : tiling.n);
    const std::optional<std::int64_t> pinned_m = tiling.core_m > 0 ? tiles_m : pinned_.cores_m;
    const std::optional<std::int64_t> pinned_n = tiling.core_n > 0 ? tiles_n : pinned_.cores_n;
    std::optional<TileCost> cost;
    for (std::int64_t cores_m = 1; cores_m <= std::min(tiles_m, machine_.cores); ++cores_m) {
      if (pinned_m && *pinned_m != cores_m) continue;
      // Every split of equal height: the widest that leaves no core without a tile.
      const std::int64_t cores_n = pinned_n ? *pinned_n : std::min(tiles_n, machine_.cores / cores_m);
      if (cores_n > tiles_n || cores_n * cores_m > machine_.cores) {
        reject(Hurdle::cores, "{} x {} cores for {} x {} tiles on {} cores", cores_m, cores_n, tiles_m, tiles_n,
               machine_.cores);
        continue;
      }
      tiling.cores_m = cores_m;
      tiling.cores_n = cores_n;
      if (!cost || machine_.core.load.shared_row > Bytes(0)) cost = tile_cost(plan_, machine_, tiling);
      const double estimate = estimate_cycles(plan_, machine_, tiling, *cost);
      candidates_.push_back({estimate, tiling});
    }
    if (pinned_m && *pinned_m > std::min(tiles_m, machine_.cores))
      reject(Hurdle::cores, "mapping.cores_m of {} for {} tiles along m on {} cores", *pinned_m, tiles_m,
             machine_.cores);
  }

  Tiling best() {
    const std::size_t n = std::min(kModelled, candidates_.size());
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t i = 0; i < candidates_.size(); ++i) order.emplace_back(candidates_[i].estimate, i);
    std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(n));
    double least = std::numeric_limits<double>::infinity();
    std::size_t found = order.front().second;
    for (std::size_t i = 0; i < n; ++i) {
      const double cycles = core_model_cycles(plan_, machine_, candidates_[order[i].second].tiling, least);
      if (cycles >= least) continue;
      least = cycles;
      found = order[i].second;
    }
    return candidates_[found].tiling;
  }

  // Which accumulator buffer does not hold the tile.
  std::string accumulator_problem(const Tiling& tiling) const {
    const Bytes tile = accumulator_bytes(plan_, machine_, tiling);
    const bool tensor = std::ranges::any_of(
        plan_.passes, [&](const MatmulPass& pass) { return unit_of(machine_, pass).pipe == PipeId::tensor; });
    const bool in_l0c = tensor && machine_.core.buffers.l0c < tile;
    return fmt::format("{} of {} bytes does not hold its FP32 accumulators of {} bytes",
                       in_l0c ? "core.buffers.l0c" : "core.branch.accumulator",
                       (in_l0c ? machine_.core.buffers.l0c : machine_.core.branch.accumulator).count(), tile.count());
  }

  // Keeps the reason of the tile that came furthest; the last of these is the smallest.
  template <class... Args>
  void reject(Hurdle hurdle, fmt::format_string<Args...> text, Args&&... args) {
    if (!problem_.empty() && hurdle < hurdle_) return;
    hurdle_ = hurdle;
    problem_ = fmt::format(text, std::forward<Args>(args)...);
  }

  std::string pins() const {
    std::string text;
    const auto add = [&](std::string_view name, const std::optional<std::int64_t>& value) {
      if (value) text += fmt::format("{}{} {}", text.empty() ? " with " : ", ", name, *value);
    };
    add("mapping.m", pinned_.m);
    add("mapping.n", pinned_.n);
    add("mapping.k", pinned_.k);
    add("mapping.stage_k", pinned_.stage_k);
    add("mapping.cores_m", pinned_.cores_m);
    add("mapping.cores_n", pinned_.cores_n);
    add("mapping.core_m", pinned_.core_m);
    add("mapping.core_n", pinned_.core_n);
    add("mapping.l1_slots", pinned_.l1_slots);
    add("mapping.scale_stages", pinned_.scale_stages);
    add("mapping.parts_m", pinned_.parts_m);
    if (pinned_.order)
      text += fmt::format("{}mapping.order {}", text.empty() ? " with " : ", ", name_of(*pinned_.order));
    return text;
  }

  const GemmPlan& plan_;
  const MachineParams& machine_;
  const MappingParams& pinned_;
  bool fuses_ = false;
  std::vector<Candidate> candidates_;
  Hurdle hurdle_ = Hurdle::operands;
  std::string problem_;                                        // why no tile fits
  double least_l1_ = std::numeric_limits<double>::infinity();  // bytes of L1 that a refused tile asked for
};

}  // namespace

Tiling search_tiling(const GemmPlan& plan, const MachineParams& machine, const MappingParams& pinned) {
  return Search(plan, machine, pinned).run();
}

}  // namespace oscsim
