// SPDX-License-Identifier: Apache-2.0
// Speed of the machine: simulated tile steps (commands of the matrix unit) and commands of all pipes per second,
// against bare SC_METHODs that wake each other in the same process: the floor that SystemC sets.
#include <benchmark/benchmark.h>

#include <chrono>
#include <systemc>

#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

// A method that notifies itself `wakes` times, a nanosecond apart.
class Waker : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Waker);
  Waker(sc_core::sc_module_name name, std::int64_t wakes) : sc_module(name), left_(wakes) {
    SC_METHOD(step);
    sensitive << wake_;
  }

 private:
  void step() {
    if (left_-- > 0) wake_.notify(1, sc_core::SC_NS);
  }

  std::int64_t left_;
  sc_core::sc_event wake_{"wake"};
};

double seconds_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double bare_wakes_per_second() {
  constexpr std::int64_t kWakes = 2'000'000;
  sc_core::sc_simcontext* const previous = sc_core::sc_get_curr_simcontext();
  sc_core::sc_simcontext context;
  sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = &context;
  double seconds = 0;
  {
    Waker waker("waker", kWakes);
    seconds = seconds_of([] { sc_core::sc_start(); });
  }
  sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = previous;
  return static_cast<double>(kWakes) / seconds;
}

void simulate_on(benchmark::State& state, const std::string& machine_name, const std::string& scheme_name) {
  const units::MachineParams& machine = machines().at(machine_name);
  const GemmPlan plan = plan_of(schemes().at(scheme_name), {2048, 12288, 4096});
  const Tiling tiling = search_tiling(plan, machine, {});
  double steps = 0, commands = 0, seconds = 0;
  for (auto _ : state) {
    units::SimulationResult result;
    const double spent = seconds_of([&] { result = simulate_gemm(machine, plan, tiling); });
    state.SetIterationTime(spent);
    seconds += spent;
    commands += static_cast<double>(result.commands);
    for (const auto& core : result.cores)
      for (const units::PipeId pipe : {units::PipeId::tensor, units::PipeId::branch})
        steps += static_cast<double>(core[static_cast<std::size_t>(pipe)].commands);
  }
  state.counters["steps_per_second"] = steps / seconds;
  state.counters["commands_per_second"] = commands / seconds;
  state.counters["wakes_per_command"] = bare_wakes_per_second() / (commands / seconds);
}

}  // namespace
}  // namespace oscsim

int main(int argc, char** argv) {
  for (const std::string machine : {"ascend_950pr", "edge_npu"})
    for (const std::string scheme : {"w8a8", "osc"})
      benchmark::RegisterBenchmark(("simulate/" + machine + "/" + scheme).c_str(), [=](benchmark::State& state) {
        oscsim::simulate_on(state, machine, scheme);
      })->UseManualTime();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
