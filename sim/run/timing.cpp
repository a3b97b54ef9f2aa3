// SPDX-License-Identifier: Apache-2.0
#include "sim/run/timing.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace oscsim {
namespace {

using Clock = std::chrono::steady_clock;
using units::kPipes;
using units::kWorkers;
using units::PipeId;
using units::PipeTime;
using units::Worker;
using units::worker_of;

// Sums over cores, divided by the number of cores so that the parts still sum to the total: largest remainders first.
CycleList mean_parts(const std::vector<std::pair<std::string, std::int64_t>>& sums, std::int64_t cores, Cycles total) {
  CycleList parts;
  std::vector<std::size_t> order(sums.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return sums[a].second % cores > sums[b].second % cores; });
  std::int64_t rest = total.count();
  for (const auto& [name, sum] : sums) {
    parts.emplace_back(name, Cycles(sum / cores));
    rest -= sum / cores;
  }
  ensure(rest >= 0 && rest <= static_cast<std::int64_t>(parts.size()), "cycle stack misses its total by {}", rest);
  for (std::int64_t i = 0; i < rest; ++i) parts[order[static_cast<std::size_t>(i)]].second += Cycles(1);
  return parts;
}

std::int64_t accounted(const PipeTime& time) {
  std::int64_t cycles = (time.busy + time.branch + time.startup).count();
  for (const Cycles waiting : time.waiting) cycles += waiting.count();
  return cycles;
}

// Stack parts in the order in which reports show them.
struct Stack {
  std::int64_t work = 0, branch = 0, startup = 0;
  std::array<std::int64_t, kWorkers> waiting{};
  std::int64_t idle = 0;

  void add_core(const std::array<PipeTime, kPipes>& pipes, PipeId primary, std::int64_t total) {
    const PipeTime& time = pipes[static_cast<std::size_t>(primary)];
    work += time.busy.count();
    branch += time.branch.count();
    startup += time.startup.count();
    // A wait whose root is the pipe itself is the latency of its own instructions.
    const auto wait = [&](Worker worker, Cycles span) {
      (worker == worker_of(primary) ? startup : waiting[static_cast<std::size_t>(worker)]) += span.count();
    };
    for (const auto& [name, worker] : EnumNames<Worker>::kValues)
      wait(worker, time.waiting[static_cast<std::size_t>(worker)]);
    std::size_t last = 0;
    for (std::size_t i = 0; i < kPipes; ++i)
      if (pipes[i].commands > 0 && pipes[i].end >= pipes[last].end) last = i;
    // After the pipe's last command the core's end is what is waited for.
    const Instant end = pipes[last].end;
    pipes[last].last.split(Instant(accounted(time)), end,
                           [&](Worker worker, Instant from, Instant until) { wait(worker, until - from); });
    idle += total - end.cycle();
  }

  std::vector<std::pair<std::string, std::int64_t>> parts(PipeId primary) const {
    std::vector<std::pair<std::string, std::int64_t>> parts{{std::string(name_of(primary)), work}};
    if (primary != PipeId::branch)
      parts.emplace_back("branch", branch + waiting[static_cast<std::size_t>(PipeId::branch)]);
    parts.emplace_back("startup", startup);
    for (const auto& [name, worker] : EnumNames<Worker>::kValues)
      if (worker != worker_of(primary) && worker != Worker::branch)
        parts.emplace_back("wait_" + std::string(name), waiting[static_cast<std::size_t>(worker)]);
    parts.emplace_back("idle", idle);
    return parts;
  }
};

std::string key_of(const ChannelTable& table) {
  return fmt::format(" {}", fmt::join(table.channels, ","));
}

std::string key_of(const GemmPlan& plan, const MappingParams& pinned) {
  std::string key = fmt::format("gemm {} {} {}", plan.m, plan.n, static_cast<int>(plan.join_place));
  for (const MatmulPass& pass : plan.passes) key += fmt::format(" {}:{}:{}", name_of(pass.format), pass.k, pass.branch);
  for (const auto& pin : {pinned.m, pinned.n, pinned.k, pinned.stage_k, pinned.cores_m, pinned.cores_n, pinned.core_m,
                          pinned.core_n, pinned.l1_slots, pinned.scale_stages, pinned.parts_m})
    key += fmt::format(" {}", pin.value_or(0));
  for (const auto& pin : {pinned.drain_follows, pinned.constants_folded}) key += pin ? (*pin ? " yes" : " no") : " -";
  if (pinned.order) key += name_of(*pinned.order);
  if (pinned.quantise == QuantisePlace::fused)
    key += fmt::format(" fused {} {}", name_of(plan.activation.format), plan.activation.gather_group);
  return key;
}

std::string key_of(const ActivationPlan& plan, std::int64_t rows, std::int64_t k, const ChannelTable* table) {
  std::string key = fmt::format("activation {} {} {} {}", name_of(plan.format), plan.gather_group, rows, k);
  if (plan.gather_group > 0 && table != nullptr) key += key_of(*table);
  return key;
}

std::string key_of(const AttentionPlan& plan) {
  const AttentionSizes& sizes = plan.sizes;
  return fmt::format("attention {} {} {} {} {} {} {} {} {}", name_of(plan.format), sizes.sequences, sizes.heads,
                     sizes.kv_heads, sizes.head_dim, sizes.queries, sizes.keys, sizes.causal, sizes.window);
}

std::string key_of(const RowPlan& plan) {
  return fmt::format("rows {} {} {} {} {} {}", plan.rows, plan.input.count(), plan.output.count(), plan.data.count(),
                     plan.reduce, plan.apply);
}

}  // namespace

SideResult timing_of(const units::MachineParams& machine, PipeId primary, const units::SimulationResult& simulation) {
  SideResult result;
  result.cycles = simulation.total;
  result.time_us = static_cast<double>(simulation.total.count()) / machine.clock.count() * 1e6;
  result.traffic = simulation.traffic;
  result.activity = simulation.activity;

  Stack stack;
  std::array<std::int64_t, kPipes> busy{};
  std::int64_t startup = 0;
  for (const auto& core : simulation.cores) {
    stack.add_core(core, primary, simulation.total.count());
    for (std::size_t i = 0; i < kPipes; ++i) busy[i] += (core[i].busy + core[i].branch).count();
    startup += core[static_cast<std::size_t>(primary)].startup.count();
  }
  stack.idle += simulation.total.count() * (machine.cores - static_cast<std::int64_t>(simulation.cores.size()));
  result.cycle_stack = mean_parts(stack.parts(primary), machine.cores, simulation.total);
  result.bound = std::ranges::max_element(result.cycle_stack, {}, [](const auto& part) { return part.second; })->first;
  for (const auto& [name, pipe] : EnumNames<PipeId>::kValues) {
    const std::int64_t sum = busy[static_cast<std::size_t>(pipe)];
    result.busy_cycles.emplace_back(name, Cycles((sum + machine.cores / 2) / machine.cores));
  }
  result.busy_cycles.emplace_back(std::string(name_of(primary)) + "_startup",
                                  Cycles((startup + machine.cores / 2) / machine.cores));
  return result;
}

std::string TimingModel::key_for(const WorkLabel& label, std::string key) const {
  return recorders_.empty() ? key : fmt::format("{} {}", name_of(label.side), key);
}

const TimingModel::Known* TimingModel::find(const std::string& key) const {
  const auto known = known_.find(key);
  return known == known_.end() || !memo_ ? nullptr : &known->second;
}

units::SimulationResult TimingModel::simulate(const WorkLabel& label, bool is_new, units::Program program,
                                              const units::TileObserver& on_output) {
  units::Observers observers{on_output, {}};
  if (is_new)
    for (Recorder* recorder : recorders_) {
      recorder->begin_work(label);
      observers.events.push_back(recorder);
    }
  try {
    units::SimulationResult result = units::simulate(machine_, std::move(program), observers, left(label.side));
    if (!result.is_cut) return result;
  } catch (const InputError& error) {
    input_error("{}: {}", label.name, error.what());
  }
  refuse(label);
}

std::optional<Cycles> TimingModel::left(Side side) const {
  if (!limit_) return std::nullopt;
  return *limit_ - spent_[static_cast<std::size_t>(side)];
}

void TimingModel::spend(const WorkLabel& label, Cycles cycles) {
  if (limit_ && cycles > *left(label.side)) refuse(label);
  spent_[static_cast<std::size_t>(label.side)] += cycles;
}

// The same whether the work was simulated, and cut off, or remembered.
void TimingModel::refuse(const WorkLabel& label) const {
  input_error("{}{} under {}: the {} takes more than {} cycles, the --cycle-limit, with this and what came before",
              label.name, label.shared ? " (shared work)" : "", label.scheme, name_of(label.side), limit_->count());
}

// Remembers the result and tells the recorders of it.
SideResult TimingModel::finished(const WorkLabel& label, const std::string& key, SideResult result) {
  spend(label, result.cycles);
  if (!memo_) known_.erase(key);
  const auto [known, is_new] = known_.try_emplace(key, Known{result, label.name});
  for (Recorder* recorder : recorders_) recorder->end_work(label, result, is_new ? "" : known->second.name);
  return result;
}

SideResult TimingModel::timed(const WorkLabel& label, const std::string& work_key, const UsedParts& used,
                              const std::function<Work()>& make, const units::TileObserver& on_output) {
  const std::string key = key_for(label, work_key);
  const Known* known = find(key);
  if (known != nullptr && !on_output) return finished(label, key, known->result);
  const bool looks_across = across_ != nullptr && !on_output && recorders_.empty();
  const std::string across_key = looks_across ? used_text(machine_, used) + work_key : "";
  if (looks_across)
    if (const SideResult* earlier = across_->find(across_key)) return finished(label, key, *earlier);
  const auto begin = Clock::now();
  Work work = make();
  const auto made = Clock::now();
  const PipeId primary = work.program.primary;
  SideResult result =
      timing_of(machine_, primary, simulate(label, known == nullptr, std::move(work.program), on_output));
  result.tile = work.tile;
  result.attention_tile = work.attention_tile;
  if (looks_across) across_->add(across_key, result, made - begin, Clock::now() - made);
  return finished(label, key, std::move(result));
}

Tiling TimingModel::tiling_of(const std::string& key, const GemmPlan& plan, const MappingParams& pinned) {
  if (const auto known = tilings_.find(key); known != tilings_.end() && memo_) return known->second;
  return tilings_.insert_or_assign(key, search_tiling(plan, machine_, pinned)).first->second;
}

SideResult TimingModel::gemm(const WorkLabel& label, const GemmPlan& plan, const MappingParams& pinned,
                             const ChannelTable* table, const units::TileObserver& on_output) {
  const std::string key = key_of(plan, pinned);
  const auto make = [&]() -> Work {
    const Tiling tiling = tiling_of(key, plan, pinned);
    return {gemm_program(plan, machine_, tiling, table), tiling, std::nullopt};
  };
  return timed(label, table != nullptr ? key + key_of(*table) : key, used_by(plan, pinned, machine_), make, on_output);
}

SideResult TimingModel::activation(const WorkLabel& label, const ActivationPlan& plan, const ChannelTable* table) {
  const auto make = [&]() -> Work {
    return {activation_program(plan, machine_, label.m, label.k, table), std::nullopt, std::nullopt};
  };
  return timed(label, key_of(plan, label.m, label.k, table), used_by(plan), make);
}

SideResult TimingModel::attention(const WorkLabel& label, const AttentionPlan& plan) {
  const auto make = [&]() -> Work {
    const AttentionTiling tiling = search_attention(plan, machine_);
    return {attention_program(plan, machine_, tiling), std::nullopt, tiling};
  };
  return timed(label, key_of(plan), UsedParts{}, make);
}

SideResult TimingModel::rows(const WorkLabel& label, const RowPlan& plan) {
  const auto make = [&]() -> Work { return {row_program(plan, machine_), std::nullopt, std::nullopt}; };
  return timed(label, key_of(plan), UsedParts{}, make);
}

}  // namespace oscsim
