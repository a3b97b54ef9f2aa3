// SPDX-License-Identifier: Apache-2.0
#include "sim/report/waveform.h"

#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>

#include "sim/report/version.h"
#include "sim/run/result.h"

namespace oscsim {
namespace {

struct Value {
  std::string_view name;
  int bits;
};

constexpr std::size_t kState = 0, kCommand = 1, kWaitsFor = 2;  // of kPipeValues
constexpr Value kPipeValues[] = {{"state", 2}, {"command", 32}, {"waits_for", 4}};
constexpr std::size_t kFilled = 0, kFree = 1;  // of kRingValues
constexpr Value kRingValues[] = {{"filled", 32}, {"free", 32}};
constexpr int kCycleBits = 63;

constexpr std::int64_t kIdle = 0, kBusy = 1, kWaiting = 2;  // of a pipe

constexpr Value value_of(bool is_ring, std::size_t value) {
  return is_ring ? kRingValues[value] : kPipeValues[value];
}

std::string_view part_name(bool is_ring, std::size_t part) {
  return is_ring ? name_of(static_cast<units::RingId>(part)) : name_of(static_cast<units::PipeId>(part));
}

// Identifiers of a dump are short words of printable characters.
std::string code_of(std::size_t signal) {
  constexpr std::size_t kCharacters = '~' - '!' + 1;
  std::string code;
  do {
    code += static_cast<char>('!' + signal % kCharacters);
    signal /= kCharacters;
  } while (signal > 0);
  return code;
}

std::size_t cycle_signal(Side side) {
  return static_cast<std::size_t>(side);
}

}  // namespace

void Waveform::open(const units::MachineParams& machine, std::span<const Gemm> gemms) {
  if (gemms.size() != 1)
    input_error("--vcd shows one GEMM, the run has {}\n  choose one with --gemm, or with --layers and --only",
                gemms.size());
  period_ = 1e15 / machine.clock.count();
}

void Waveform::begin_work(const WorkLabel& label) {
  side_ = label.side;
}

void Waveform::end_work(const WorkLabel& label, const SideResult& result, const std::string& /*same_as*/) {
  origins_[static_cast<std::size_t>(label.side)] += result.cycles.count();
}

// Full rings and idle pipes to start with.
void Waveform::begin(const units::Program& program) {
  const std::int64_t now = origins_[static_cast<std::size_t>(side_)];
  for (std::size_t core = 0; core < program.cores.size(); ++core) {
    for (std::size_t pipe = 0; pipe < units::kPipes; ++pipe)
      if (program.cores[core].streams[pipe]) change(now, {side_, core, false, pipe, kState}, kIdle);
    for (std::size_t ring = 0; ring < units::kRings; ++ring)
      if (const std::int64_t slots = program.cores[core].slots[ring]; slots > 0) {
        change(now, {side_, core, true, ring, kFilled}, 0);
        change(now, {side_, core, true, ring, kFree}, slots);
      }
  }
}

void Waveform::command(const units::CommandEvent& event) {
  if (++commands_ > kMostCommands)
    input_error(
        "--vcd: more than {} commands; a smaller GEMM or fewer cores (--set machine.cores=1) make a readable waveform",
        kMostCommands);
  const std::int64_t origin = origins_[static_cast<std::size_t>(side_)];
  const auto pipe = static_cast<std::size_t>(event.pipe);
  const auto set = [&](Instant at, std::size_t value, std::int64_t number) {
    change(origin + at.cycle(), {side_, event.core, false, pipe, value}, number);
  };
  for (const units::Wait& wait : event.waits) {
    set(wait.from, kState, kWaiting);
    set(wait.from, kWaitsFor, static_cast<std::int64_t>(wait.worker) + 1);
  }
  set(event.start, kState, kBusy);
  set(event.start, kWaitsFor, 0);
  set(event.start, kCommand, event.index);
  set(event.free, kState, kIdle);
}

void Waveform::ring(const units::RingEvent& event) {
  const std::int64_t at = origins_[static_cast<std::size_t>(side_)] + event.at.cycle();
  const auto part = static_cast<std::size_t>(event.ring);
  change(at, {side_, event.core, true, part, kFilled}, event.filled);
  change(at, {side_, event.core, true, part, kFree}, event.free);
}

void Waveform::change(std::int64_t cycle, const Signal& signal, std::int64_t value) {
  const auto known = signals_.try_emplace(signal, kSides + signals_.size()).first;
  changes_.push_back({cycle, known->second, value});
}

void Waveform::write(std::ostream& out) const {
  write_header(out);
  write_changes(out);
}

void Waveform::write_header(std::ostream& out) const {
  fmt::print(out, "$version oscsim {} $end\n$timescale 1 fs $end\n", version());
  out << "$comment state: 0 idle, 1 busy, 2 waiting. waits_for: 0 nothing";
  for (const auto& [name, worker] : EnumNames<units::Worker>::kValues)
    fmt::print(out, ", {} {}", static_cast<std::size_t>(worker) + 1, name);
  out << " $end\n";
  const auto variable = [&](const Value& value, std::size_t signal) {
    fmt::print(out, "$var wire {} {} {} $end\n", value.bits, code_of(signal), value.name);
  };
  std::vector<std::string> open;
  const auto enter = [&](const std::vector<std::string>& scopes) {
    std::size_t shared = 0;
    while (shared < std::min(open.size(), scopes.size()) && open[shared] == scopes[shared]) ++shared;
    for (; open.size() > shared; open.pop_back()) out << "$upscope $end\n";
    for (; open.size() < scopes.size(); open.push_back(scopes[open.size()]))
      fmt::print(out, "$scope module {} $end\n", scopes[open.size()]);
  };
  std::optional<Side> side;
  for (const auto& [signal, number] : signals_) {
    const std::string side_name(name_of(signal.side));
    if (side != signal.side) {
      enter({side_name});
      variable({"cycle", kCycleBits}, cycle_signal(signal.side));
      side = signal.side;
    }
    enter({side_name, fmt::format("core{}", signal.core), std::string(part_name(signal.is_ring, signal.part))});
    variable(value_of(signal.is_ring, signal.value), number);
  }
  enter({});
  out << "$enddefinitions $end\n";
}

// The last value of an instant, where it is another one than before.
void Waveform::write_changes(std::ostream& out) const {
  std::vector<Side> side_of(kSides + signals_.size());
  for (const auto& [signal, number] : signals_) side_of[number] = signal.side;
  std::vector<Change> ordered = changes_;
  std::ranges::stable_sort(ordered, {}, &Change::cycle);
  std::vector<std::optional<std::int64_t>> shown(side_of.size());
  for (std::size_t begin = 0, end = 0; begin < ordered.size(); begin = end) {
    const std::int64_t cycle = ordered[begin].cycle;
    std::map<std::size_t, std::int64_t> now;
    for (end = begin; end < ordered.size() && ordered[end].cycle == cycle; ++end)
      now[ordered[end].signal] = ordered[end].value;
    std::erase_if(now, [&](const auto& entry) { return shown[entry.first] == entry.second; });
    for (const auto& [signal, value] : std::map(now)) now[cycle_signal(side_of[signal])] = cycle;
    if (now.empty()) continue;
    fmt::print(out, "#{}\n", std::llround(static_cast<double>(cycle) * period_));
    for (const auto& [signal, value] : now) {
      fmt::print(out, "b{:b} {}\n", value, code_of(signal));
      shown[signal] = value;
    }
  }
}

}  // namespace oscsim
