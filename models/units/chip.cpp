// SPDX-License-Identifier: Apache-2.0
#include "models/units/chip.h"

#include <memory>

#include "models/units/units.h"

// libsystemc's own main() calls this; programs that link it have a main() of their own.
int sc_main(int, char*[]) {
  return 0;
}

namespace oscsim::units {
namespace {

// Contract
//   The seven pipes of a core and the rings between them. Ports: load.memory and drain.memory.
class Core : public sc_core::sc_module {
 public:
  CoreRings rings;
  LoadUnit load;
  GatherUnit gather;
  VectorUnit vector;
  FeedUnit feed;
  MatrixUnit tensor;
  MatrixUnit branch;
  DrainUnit drain;

  Core(sc_core::sc_module_name name, const MachineParams& machine, const ClockDomain& clock, CoreProgram program)
      : sc_module(name),
        load("load", {PipeId::load, rings, clock, machine.overlap}, machine.core.load, machine.core.gather),
        gather("gather", {PipeId::gather, rings, clock, machine.overlap}, machine.core.gather),
        vector("vector", {PipeId::vector, rings, clock, machine.overlap}, machine.core.vector, machine.core.gather),
        feed("feed", {PipeId::feed, rings, clock, machine.overlap}, machine.core.feed),
        tensor("tensor", {PipeId::tensor, rings, clock, machine.overlap}, machine.core.tensor),
        branch("branch", {PipeId::branch, rings, clock, machine.overlap}, machine.core.branch),
        drain("drain", {PipeId::drain, rings, clock, machine.overlap}, machine.core.drain),
        program_(std::move(program)) {
    for (std::size_t i = 0; i < kRings; ++i)
      if (program_.slots[i] > 0) rings.rings[i].emplace(program_.slots[i]);
    for (std::size_t i = 0; i < kPipes; ++i) pipes()[i]->run(program_.streams[i].get());
  }

  std::array<Pipe*, kPipes> pipes() { return {&load, &gather, &vector, &feed, &tensor, &branch, &drain}; }

 private:
  CoreProgram program_;
};

class Chip : public sc_core::sc_module {
 public:
  Chip(sc_core::sc_module_name name, const MachineParams& machine, Program program, const Observers& observers)
      : sc_module(name), clock_(machine.clock), l2_("l2", machine.l2, clock_), hbm_("hbm", machine.hbm, clock_) {
    l2_.hbm.bind(hbm_.socket);
    for (Observer* observer : observers.events) observer->begin(program);
    l2_.show_to(observers.events);
    hbm_.show_to(observers.events);
    for (CoreProgram& core_program : program.cores) {
      const std::string core_name = fmt::format("core{}", cores_.size());
      Core& core =
          *cores_.emplace_back(std::make_unique<Core>(core_name.c_str(), machine, clock_, std::move(core_program)));
      core.load.memory.bind(l2_.cores);
      core.drain.memory.bind(l2_.cores);
      for (Pipe* pipe : core.pipes()) pipe->show_to(observers.events, cores_.size() - 1);
      if (observers.on_output)
        core.drain.on_retire([&on_output = observers.on_output](const Command& command) {
          const auto& work = std::get<DrainWork>(command.work);
          if (work.output) on_output(work.region);
        });
    }
  }

  // Simulates; false when cycle `most` has passed and there is more to come.
  bool run(std::optional<Cycles> most) {
    constexpr std::int64_t kNever = std::int64_t{1} << 62;  // fs: simulated time has 64 bits
    const std::int64_t period = static_cast<std::int64_t>(clock_.span(Cycles(1)).value());
    if (!most || most->count() >= kNever / period) {
      sc_core::sc_start();
      return true;
    }
    // Work of exactly `most` cycles ends at their end: one cycle more shows it.
    sc_core::sc_start(clock_.span(*most + Cycles(1)), sc_core::SC_EXIT_ON_STARVATION);
    return !sc_core::sc_pending_activity();
  }

  void rethrow_failure() {
    for (auto& core : cores_)
      for (const Pipe* pipe : core->pipes()) pipe->rethrow_failure();
  }

  SimulationResult result() {
    bool finished = true;
    for (auto& core : cores_)
      for (const Pipe* pipe : core->pipes()) {
        finished = finished && pipe->finished();
      }
    if (!finished) ensure(false, "no progress at cycle {}:\n{}", clock_.now().cycle(), states());
    SimulationResult result;
    result.traffic = {hbm_.read(), hbm_.written(), l2_.read(), l2_.written()};
    Instant end;
    for (auto& core : cores_) {
      auto& times = result.cores.emplace_back();
      for (std::size_t i = 0; i < kPipes; ++i) {
        const Pipe& pipe = *core->pipes()[i];
        times[i] = pipe.time();
        result.activity += pipe.activity();
        end = std::max(end, pipe.time().end);
        result.commands += pipe.time().commands;
      }
    }
    result.total = end - Instant();
    return result;
  }

 private:
  std::string states() {
    std::string text;
    for (auto& core : cores_)
      for (Pipe* pipe : core->pipes()) text += "  " + pipe->state() + "\n";
    return text;
  }

  ClockDomain clock_;
  L2 l2_;
  Hbm hbm_;
  std::vector<std::unique_ptr<Core>> cores_;
};

// A SystemC context for one simulation. The process's first context is never deleted.
class Context {
 public:
  Context() : previous_(sc_core::sc_get_curr_simcontext()), own_(std::make_unique<sc_core::sc_simcontext>()) {
    sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = own_.get();
    sc_core::sc_set_time_resolution(1, sc_core::SC_FS);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    own_.reset();
    sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = previous_;
  }

 private:
  sc_core::sc_simcontext* previous_;
  std::unique_ptr<sc_core::sc_simcontext> own_;
};

}  // namespace

SimulationResult simulate(const MachineParams& machine, Program program, const Observers& observers,
                          std::optional<Cycles> most) {
  ensure(static_cast<std::int64_t>(program.cores.size()) <= machine.cores, "program for {} cores on a machine of {}",
         program.cores.size(), machine.cores);
  const Context context;
  SimulationResult result;
  {
    Chip chip("chip", machine, std::move(program), observers);
    const bool is_over = chip.run(most);
    chip.rethrow_failure();
    if (is_over) result = chip.result();
    result.is_cut = !is_over || (most && result.total > *most);
  }
  return result;
}

}  // namespace oscsim::units
