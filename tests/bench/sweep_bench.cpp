// SPDX-License-Identifier: Apache-2.0
// Speed of a sweep: points of configs/sweeps/ten_parameters.yaml per second of one process, with and without the memory
// of equal work, and where the time goes: search for the mapping, simulation, the rest (resolving, hashing, rows).
#include <benchmark/benchmark.h>

#include <chrono>

#include "sim/run/side_memo.h"
#include "sim/sweep/run_sweep.h"

namespace oscsim {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

// Reading the file, checking every value, drawing the points and hashing each.
void read_and_hash(benchmark::State& state) {
  std::size_t points = 0;
  for (auto _ : state) points += sweep::keys_of(sweep::read_sweep("ten_parameters")).size();
  state.counters["points/s"] = benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}

// Neighbouring points from the middle of the sweep, as a worker takes them.
void evaluate_points(benchmark::State& state, bool with_memo) {
  static const sweep::Sweep kSweep = sweep::read_sweep("ten_parameters");
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::size_t first = kSweep.points.size() / 2;
  SideMemo memo;
  double total = 0;
  for (auto _ : state) {
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < count; ++i)
      benchmark::DoNotOptimize(sweep::evaluate(kSweep, first + i, "key", with_memo ? &memo : nullptr));
    total += seconds(Clock::now() - begin);
  }
  const double points = static_cast<double>(count) * static_cast<double>(state.iterations());
  state.counters["points/s"] = points / total;
  if (!with_memo) return;
  const SideMemo::Counts& counts = memo.counts();
  state.counters["simulated/point"] = static_cast<double>(counts.simulated) / points;
  state.counters["search_%"] = 100 * seconds(counts.search) / total;
  state.counters["simulation_%"] = 100 * seconds(counts.simulation) / total;
  state.counters["rest_%"] = 100 * (1 - seconds(counts.search + counts.simulation) / total);
}

BENCHMARK(read_and_hash)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate_points, memo, true)->Arg(500)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(evaluate_points, anew, false)->Arg(50)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace oscsim

BENCHMARK_MAIN();
