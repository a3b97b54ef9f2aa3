// SPDX-License-Identifier: Apache-2.0
// The search over tilings: combinations of a small set of sizes, put in order by the estimate, judged by the core
// model; then once more around the best one.
#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <queue>

#include "sim/mapping/core_model.h"
#include "sim/mapping/estimate.h"
#include "sim/mapping/tile_sizes.h"

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

// What a tile must pass, in the order of the checks.
enum class Hurdle : std::uint8_t { operands, accumulators, loads, cores };

struct Candidate {
  double estimate;
  Tiling tiling;
};

// So many of the best by estimate are judged by the core model, few of each tile and of each depth of its loads, so
// that an estimate that is off for one of them leaves room for others.
constexpr std::size_t kModelled = 64;
constexpr std::int64_t kModelledOfTile = 16, kModelledOfStage = 4;
// What takes so many times the best estimate, by its own or by its busiest unit alone, is left out.
constexpr double kHopeless = 1.5;
// What a tile of no plain size must reach of the best plain one's cycles: the core model errs by 3 %, and more where
// rows are cut oddly.
constexpr double kOdd = 0.96;
// Cycles that differ by less are equal.
constexpr double kAsGood = 0.005;
constexpr std::int64_t kMostL1Slots = 4;  // of a streaming operand, that are searched

class Search {
 public:
  Search(const GemmPlan& plan, const MachineParams& machine, const MappingParams& pinned)
      : plan_(plan), machine_(machine), pinned_(pinned) {
    // What is not modelled, or not there, is not fused either.
    fuses_ = pinned.quantise == QuantisePlace::fused && machine.model_shared_work && plan.activation.quantises();
  }

  Tiling run() {
    const MatmulPass& main = plan_.passes.front();
    granule_ = units::tile_granule(machine_.matrix(main.bits(), main.branch), plan_.m, plan_.n);
    try_tiles(tile_sizes(plan_.m, granule_.m, machine_.cores, pinned_.m),
              tile_sizes(plan_.n, granule_.n, machine_.cores, pinned_.n));
    if (candidates_.empty())
      input_error("no tile of a {} x {} x {} GEMM fits the machine{}: {}", plan_.m, plan_.n, main.k, pins(), problem_);
    if (machine_.overlap == units::Overlap::perfect)
      return std::ranges::min_element(candidates_, {}, &Candidate::estimate)->tiling;
    judge();
    look_around();
    return best();
  }

 private:
  // Those with the smallest bound first; what is hopeless against the best estimate by then is left out.
  void try_tiles(const std::vector<std::int64_t>& sizes_m, const std::vector<std::int64_t>& sizes_n) {
    std::vector<std::pair<double, Tiling>> tiles;
    for (const std::int64_t m : sizes_m)
      for (const std::int64_t n : sizes_n)
        if (std::optional<Tiling> tiling = tile_of(m, n)) tiles.emplace_back(busiest_unit(*tiling), *tiling);
    std::ranges::stable_sort(tiles, {}, &std::pair<double, Tiling>::first);
    for (auto& [bound, tiling] : tiles) {
      if (bound > kHopeless * least_estimate_) break;
      try_steps(tiling);
    }
  }

  // Cycles of the busiest matrix unit or feed with the tile, when the tiles are spread over the cores as evenly as they
  // go.
  double busiest_unit(const Tiling& tiling) const {
    const TileCost cost = tile_cost(plan_, machine_, tiling);
    const std::int64_t tiles = tiles_of(plan_.m, tiling.m) * tiles_of(plan_.n, tiling.n);
    return static_cast<double>(tiles_of(tiles, machine_.cores)) * std::max({cost.tensor, cost.branch, cost.feed});
  }

  // A tile with the deepest steps that fit.
  std::optional<Tiling> tile_of(std::int64_t m, std::int64_t n) {
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
      if (const std::string problem = step_problem(machine_, pass, m, n, depth); !problem.empty()) {
        reject(Hurdle::operands, "tile of m {} n {} k {}: {}", m, n, depth, problem);
        return std::nullopt;
      }
      if (main && depth % std::max(1, numerics::format(pass.format).block) != 0) {
        reject(Hurdle::operands, "mapping.k of {} is not a multiple of the {}-element block of {}", depth,
               numerics::format(pass.format).block, name_of(pass.format));
        return std::nullopt;
      }
      tiling.passes.push_back({depth, depth});
    }
    return tiling;
  }

  // The deepest steps of the main pass, and half of them: the first load is there sooner.
  void try_steps(Tiling& tiling) {
    const std::int64_t granule = k_granule(machine_, plan_.passes.front());
    try_orders(tiling);
    if (pinned_.k || pinned_.stage_k || tiling.passes.front().step <= granule) return;
    tiling.passes.front().step = round_up(tiles_of(tiling.passes.front().step, 2), granule);
    tiling.passes.front().stage = tiling.passes.front().step;
    try_orders(tiling);
  }

  void try_orders(Tiling& tiling) {
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
      if (pinned_m ? *pinned_m != cores_m : !is_even_split(tiles_m, cores_m)) continue;
      const std::int64_t most = machine_.cores / cores_m;
      for (const std::int64_t cores_n : pinned_n ? std::vector{*pinned_n} : even_splits(tiles_n, most)) {
        if (cores_n > tiles_n || cores_n > most) {
          reject(Hurdle::cores, "{} x {} cores for {} x {} tiles on {} cores", cores_m, cores_n, tiles_m, tiles_n,
                 machine_.cores);
          continue;
        }
        tiling.cores_m = cores_m;
        tiling.cores_n = cores_n;
        if (!cost || machine_.core.load.shared_row > Bytes(0)) cost = tile_cost(plan_, machine_, tiling);
        const double estimate = estimate_cycles(plan_, machine_, tiling, *cost);
        if (estimate > kHopeless * least_estimate_) continue;
        least_estimate_ = std::min(least_estimate_, estimate);
        candidates_.push_back({estimate, tiling});
      }
    }
    if (pinned_m && *pinned_m > std::min(tiles_m, machine_.cores))
      reject(Hurdle::cores, "mapping.cores_m of {} for {} tiles along m on {} cores", *pinned_m, tiles_m,
             machine_.cores);
  }

  // Models the best of the candidates by estimate, and forgets them.
  void judge() {
    using Ranked = std::pair<double, std::size_t>;
    std::vector<Ranked> places;
    for (std::size_t i = 0; i < candidates_.size(); ++i) places.emplace_back(candidates_[i].estimate, i);
    std::priority_queue<Ranked, std::vector<Ranked>, std::greater<>> order(std::greater<>(), std::move(places));
    std::map<std::array<std::int64_t, 3>, std::int64_t> modelled;  // m, n, stage; 0: all stages
    for (std::size_t left = kModelled; left > 0 && !order.empty(); order.pop()) {
      const Tiling& tiling = candidates_[order.top().second].tiling;
      if (++modelled[{tiling.m, tiling.n, tiling.passes.front().stage}] > kModelledOfStage) continue;
      if (++modelled[{tiling.m, tiling.n, 0}] > kModelledOfTile) continue;
      take_if_better(tiling);
      --left;
    }
    candidates_.clear();
  }

  // Keeps the fewest cycles of its kind by the core model; of what is as good on as many
  // cores, the larger tile: fewer commands.
  void take_if_better(const Tiling& tiling) {
    const bool plain = is_plain_size(tiling.m, plan_.m, granule_.m) && is_plain_size(tiling.n, plan_.n, granule_.n) &&
                       tiling.l1_slots == l1_slots();
    double& least = plain ? least_plain_ : least_;
    Tiling& best = plain ? best_plain_ : best_;
    const double limit = plain ? least : std::min(least, kOdd * least_plain_);
    const double cycles = core_model_cycles(plan_, machine_, tiling, limit * (1 + kAsGood));
    if (cycles >= limit * (1 + kAsGood)) return;
    const bool larger = best.m > 0 && tiling.m * tiling.n > best.m * best.n &&
                        tiling.cores_m * tiling.cores_n >= best.cores_m * best.cores_n;
    if (cycles >= limit * (1 - kAsGood) && !larger) return;
    best = tiling;
    least = std::min(least, cycles);
  }

  const Tiling& best() const { return least_ < kOdd * least_plain_ ? best_ : best_plain_; }

  // Tiles one granule away from the best one, and more loads in flight.
  void look_around() {
    const auto around = [](std::int64_t size, std::int64_t extent, std::int64_t granule, bool pinned) {
      std::vector<std::int64_t> sizes{size};
      if (pinned) return sizes;
      if (size + granule <= round_up(extent, granule)) sizes.push_back(size + granule);
      if (size > granule) sizes.push_back(size - granule);
      return sizes;
    };
    const Tiling first = best();
    for (const std::int64_t m : around(first.m, plan_.m, granule_.m, pinned_.m.has_value()))
      for (const std::int64_t n : around(first.n, plan_.n, granule_.n, pinned_.n.has_value()))
        if (std::optional<Tiling> tiling = tile_of(m, n); tiling && (m != first.m || n != first.n)) try_steps(*tiling);
    judge();
    if (pinned_.l1_slots) return;
    for (Tiling tiling = best(); tiling.l1_slots < kMostL1Slots;) {
      ++tiling.l1_slots;
      if (ring_slots(plan_, machine_, tiling).l1_a > 0) take_if_better(tiling);
    }
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
  units::TileGranule granule_{};
  std::vector<Candidate> candidates_;
  double least_estimate_ = std::numeric_limits<double>::infinity();
  Tiling best_plain_, best_;  // tiles of plain sizes, and of others
  double least_plain_ = std::numeric_limits<double>::infinity(),
         least_ = least_plain_;  // their cycles by the core model
  Hurdle hurdle_ = Hurdle::operands;
  std::string problem_;                                        // why no tile fits
  double least_l1_ = std::numeric_limits<double>::infinity();  // bytes of L1 that a refused tile asked for
};

}  // namespace

Tiling search_tiling(const GemmPlan& plan, const MachineParams& machine, const MappingParams& pinned) {
  return Search(plan, machine, pinned).run();
}

}  // namespace oscsim
