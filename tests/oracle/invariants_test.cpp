// SPDX-License-Identifier: Apache-2.0
// What holds for every run: bounds, conservation, coverage, repeatability, monotonicity.
#include <gmock/gmock.h>

#include <set>

#include "sim/run/timing.h"
#include "tests/oracle/variants.h"

namespace oscsim {
namespace {

using units::MachineParams;
using units::PipeTime;
using units::Region;
using units::SimulationResult;
using units::TensorId;

struct Case {
  std::string text;
  MachineParams machine;
  GemmPlan plan;
};

// Every scheme file on variants of every ready machine.
std::vector<Case> cases(std::uint32_t seed, int rounds = 2) {
  Variants variants(seed);
  std::vector<Case> cases;
  for (int round = 0; round < rounds; ++round)
    for (const auto& [machine_name, machine] : machines())
      for (const auto& [scheme_name, scheme] : schemes()) {
        const Shape shape = variants.shape();
        cases.push_back(
            {fmt::format("round {}: {} on a variant of {}, {}", round, scheme_name, machine_name, to_string(shape)),
             variants.machine(machine), plan_of(scheme, shape)});
      }
  return cases;
}

// ------ bounds and accounting

TEST(EveryRun, TakesAtLeastItsWorkAndItsBytes) {
  for (const Case& one : cases(1)) {
    SCOPED_TRACE(one.text);
    const auto total = static_cast<double>(simulate_gemm(one.machine, one.plan).total.count());
    EXPECT_GE(total, work_at_peak(one.machine, one.plan));
    EXPECT_GE(total + 1e-6, bytes_at_peak(one.machine, one.plan));
  }
}

TEST(EveryRun, MovesAtLeastTheCompulsoryBytes) {
  for (const Case& one : cases(2)) {
    SCOPED_TRACE(one.text);
    const units::Traffic traffic = simulate_gemm(one.machine, one.plan).traffic;
    EXPECT_GE(traffic.hbm_read, compulsory_read(one.machine, one.plan));
    EXPECT_GE(traffic.l2_read, traffic.hbm_read);
    EXPECT_EQ(traffic.hbm_write, compulsory_write(one.machine, one.plan));
    EXPECT_EQ(traffic.l2_write, traffic.hbm_write);
  }
}

TEST(EveryRun, AccountsForEachPipesTime) {
  for (const Case& one : cases(3)) {
    SCOPED_TRACE(one.text);
    const SimulationResult result = simulate_gemm(one.machine, one.plan);
    for (const auto& core : result.cores)
      for (const PipeTime& time : core) {
        EXPECT_LE(accounted(time), time.end.cycle());
        EXPECT_LE(time.end.cycle(), result.total.count());
        for (const Cycles waiting : time.waiting) EXPECT_GE(waiting, Cycles(0));
        EXPECT_GE(time.startup, Cycles(0));
      }
  }
}

TEST(EveryRun, HasACycleStackThatSumsToItsTotal) {
  for (const Case& one : cases(4)) {
    SCOPED_TRACE(one.text);
    const Tiling tiling = search_tiling(one.plan, one.machine, {});
    units::Program program = gemm_program(one.plan, one.machine, tiling);
    const units::PipeId primary = program.primary;
    const SideResult side = timing_of(one.machine, primary, units::simulate(one.machine, std::move(program)));
    std::int64_t sum = 0;
    for (const auto& [name, part] : side.cycle_stack) {
      EXPECT_GE(part, Cycles(0)) << name;
      sum += part.count();
    }
    EXPECT_EQ(sum, side.cycles.count());
    for (const auto& [name, busy] : side.busy_cycles) EXPECT_LE(busy, side.cycles) << name;
  }
}

TEST(EveryRun, TakesTheSameCyclesAgain) {
  for (const Case& one : cases(5, 1)) {
    const SimulationResult first = simulate_gemm(one.machine, one.plan);
    const SimulationResult second = simulate_gemm(one.machine, one.plan);
    EXPECT_EQ(first.total, second.total) << one.text;
    EXPECT_EQ(first.traffic.hbm_read, second.traffic.hbm_read) << one.text;
    EXPECT_EQ(first.commands, second.commands) << one.text;
  }
}

// ------ coverage

// How often each output element was drained.
void expect_each_output_once(const MachineParams& machine, const GemmPlan& plan, const Tiling& tiling) {
  std::vector<int> drained(static_cast<std::size_t>(plan.m * plan.n));
  const auto count = [&](const Region& tile) {
    ASSERT_EQ(tile.tensor, TensorId::output);
    ASSERT_TRUE(tile.row >= 0 && tile.rows > 0 && tile.row + tile.rows <= plan.m) << tile.text();
    ASSERT_TRUE(tile.k >= 0 && tile.depth > 0 && tile.k + tile.depth <= plan.n) << tile.text();
    for (std::int64_t row = tile.row; row < tile.row + tile.rows; ++row)
      for (std::int64_t col = tile.k; col < tile.k + tile.depth; ++col)
        ++drained[static_cast<std::size_t>(row * plan.n + col)];
  };
  simulate_gemm(machine, plan, tiling, {.on_output = count, .events = {}});
  EXPECT_EQ(std::ranges::count(drained, 1), plan.m * plan.n);
}

TEST(EveryRun, DrainsEachOutputOnce) {
  for (const Case& one : cases(6, 1)) {
    SCOPED_TRACE(one.text);
    expect_each_output_once(one.machine, one.plan, search_tiling(one.plan, one.machine, {}));
  }
}

// Any tile, loop order and core split that fits its machine works: no deadlock, no wrong region, every output once.
TEST(EveryPinnedTile, WorksOrIsRefusedForABufferOrCores) {
  Variants variants(7);
  std::set<LoopOrder> orders;
  int refused = 0;
  const int count = 150;
  for (int i = 0; i < count; ++i) {
    const auto& [machine_name, ready] = variants.any_of(machines());
    const auto& [scheme_name, scheme] = variants.any_of(schemes());
    const MachineParams machine = variants.machine(ready);
    const Shape shape = variants.shape();
    const GemmPlan plan = plan_of(scheme, shape);
    MappingParams pinned;
    pinned.m = variants.between(1, 12) * 8;
    pinned.n = variants.between(1, 12) * 8;
    pinned.order = EnumNames<LoopOrder>::kValues[variants.between(0, 3)].second;
    // A step holds whole blocks.
    const int block = std::max(32, numerics::format(plan.activation.format).block);
    if (variants.between(0, 1) == 1) pinned.k = block * variants.between(1, 4);
    if (pinned.k && variants.between(0, 1) == 1) pinned.stage_k = *pinned.k * variants.between(1, 3);
    if (variants.between(0, 1) == 1) pinned.l1_slots = variants.between(1, 3);
    if (variants.between(0, 1) == 1) pinned.scale_stages = variants.between(1, 3);
    if (variants.between(0, 1) == 1) pinned.parts_m = variants.between(1, 3);
    if (variants.between(0, 1) == 1) pinned.drain_follows = variants.between(0, 1) == 1;
    if (variants.between(0, 1) == 1) pinned.constants_folded = variants.between(0, 1) == 1;
    if (variants.between(0, 2) == 0) pinned.core_m = tiles_of(shape.m, variants.between(1, 2));
    if (variants.between(0, 2) == 0) pinned.core_n = tiles_of(shape.n, variants.between(1, 2));
    SCOPED_TRACE(fmt::format("{}: {} on a variant of {}, {}, tile {} x {} {}", i, scheme_name, machine_name,
                             to_string(shape), *pinned.m, *pinned.n, name_of(*pinned.order)));
    try {
      const Tiling tiling = search_tiling(plan, machine, pinned);
      orders.insert(tiling.order);
      expect_each_output_once(machine, plan, tiling);
    } catch (const InputError& error) {
      ++refused;
      EXPECT_THAT(error.what(), testing::AnyOf(testing::HasSubstr("core.buffers."), testing::HasSubstr("core.branch."),
                                               testing::ContainsRegex("tiles (along m )?on [0-9]+ cores")));
    }
  }
  EXPECT_EQ(orders.size(), 4U);
  EXPECT_LT(refused, count / 2);
}

// ------ monotonicity

// The largest ratio by which an improvement slows a program down; 1 when none does. Names the culprit.
std::pair<double, std::string> worst_improvement(const Case& one, const Tiling& tiling) {
  std::pair<double, std::string> worst{1, "none"};
  const Cycles before = simulate_gemm(one.machine, one.plan, tiling).total;
  for (const Improvement& improvement : improvements()) {
    MachineParams better = one.machine;
    improvement.apply(better);
    const double ratio = simulate_gemm(better, one.plan, tiling).total / before;
    if (ratio > worst.first) worst = {ratio, improvement.name};
  }
  return worst;
}

// One output tile on one core: loads, feeds and steps in a fixed order, a drain behind them. Ports of L1 are apart: on
// a shared one, a load that comes earlier may stand in the way of another feed.
TEST(BetterMachine, NeverSlowsOneTile) {
  for (Case& one : cases(8)) {
    one.machine.cores = 1;
    one.machine.core.feed.shared_port = BytesPerCycle(0);
    one.plan.m = std::min<std::int64_t>(one.plan.m, 32);
    one.plan.n = std::min<std::int64_t>(one.plan.n, 64);
    MappingParams pinned;
    pinned.m = 32;
    pinned.n = 64;
    const auto [ratio, culprit] = worst_improvement(one, search_tiling(one.plan, one.machine, pinned));
    EXPECT_EQ(ratio, 1) << culprit << "; " << one.text;
  }
}

// Where loads of several cores, or loads and drains, meet at a memory that serves in order of arrival, a faster unit
// may put a long transfer in front of an urgent one: the same program may lose a little.
TEST(BetterMachine, LosesLittleToTheOrderOfArrival) {
  for (const Case& one : cases(9)) {
    const auto [ratio, culprit] = worst_improvement(one, search_tiling(one.plan, one.machine, {}));
    EXPECT_LE(ratio, 1.08) << culprit << "; " << one.text;
  }
}

// The largest ratio by which a machine with twice the cores, and a search of its own, is slower; 1 when it never is.
double worst_slowdown(MachineParams machine, std::int64_t most_cores, const std::string& scheme, const Shape& shape) {
  double worst = 1, before = 0;
  for (std::int64_t cores = 1; cores <= most_cores; cores *= 2) {
    machine.cores = cores;
    const auto now = static_cast<double>(simulate_gemm(machine, plan_of(schemes().at(scheme), shape)).total.count());
    if (before > 0) worst = std::max(worst, now / before);
    before = now;
  }
  return worst;
}

const std::vector<Shape> kSearchedShapes{{16, 1024, 2048}, {512, 1024, 1024}, {300, 500, 700}};

TEST(MoreCores, UpToTheMachinesOwnAreNeverSlowerByMoreThanTwoPercent) {
  for (const auto& [name, machine] : machines())
    for (const std::string scheme : {"w8a8", "osc"})
      for (const Shape& shape : kSearchedShapes)
        EXPECT_LE(worst_slowdown(machine, std::min<std::int64_t>(machine.cores, 32), scheme, shape), 1.02)
            << name << ", " << scheme << ", " << to_string(shape);
}

// Four times the cores that its memory was made for.
TEST(MoreCores, ThanTheMemoryFeedsCostAtMostASixth) {
  for (const std::string scheme : {"w8a8", "osc"})
    for (const Shape& shape : kSearchedShapes)
      EXPECT_LE(worst_slowdown(machines().at("edge_npu"), 8, scheme, shape), 7.0 / 6)
          << scheme << ", " << to_string(shape);
}

}  // namespace
}  // namespace oscsim
