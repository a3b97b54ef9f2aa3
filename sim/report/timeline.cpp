// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/report/command_text.h"
#include "sim/report/version.h"
#include "sim/run/result.h"

namespace oscsim {
namespace {

using units::MemoryId;
using units::PipeId;

// Numbers of processes and threads. 0 would be the idle process of a kernel trace.
constexpr std::int64_t kProcessesOfASide = 100'000;  // more than a machine has cores
constexpr std::int64_t kThreadsOfAProcess = 100;     // more than a core has pipes

constexpr std::int64_t kRunProcess = 1, kMemoryProcess = 2, kFirstCoreProcess = 3;  // of a side

}  // namespace

struct Timeline::SideAxis {
  Side side{};
  std::string title;
  std::int64_t origin = 0;  // cycle at which the current piece of work starts
  std::vector<CounterTrack> memories;
  std::vector<TransferBins> bins;
  std::map<std::pair<std::size_t, units::RingId>, CounterTrack> rings;
  std::set<std::int64_t> named;  // processes and threads

  std::int64_t process(std::int64_t place) const {
    return (static_cast<std::int64_t>(side) + 1) * kProcessesOfASide + place;
  }
};

Timeline::Timeline(std::ostream& out, TimelineOptions options) : out_(out), options_(std::move(options)) {}
Timeline::~Timeline() = default;

void Timeline::open(const units::MachineParams& machine, std::span<const Gemm> /*gemms*/) {
  clock_ = machine.clock;
  cores_ = machine.cores;
  if (options_.cores)
    for (const std::int64_t core : *options_.cores)
      if (core >= cores_) input_error("--timeline-cores: core {}; the machine has cores 0 to {}", core, cores_ - 1);
  window_ = {0, std::numeric_limits<std::int64_t>::max()};
  if (options_.window) {
    const double per_unit = options_.window->in_cycles ? 1 : clock_.count();
    window_ = {std::llround(options_.window->from * per_unit), std::llround(options_.window->to * per_unit)};
  }
  JsonMembers about;
  about.add("program", fmt::format("oscsim {}", version())).add("clock_hz", clock_.count()).add("cores", cores_);
  events_.emplace(out_, about);
}

bool Timeline::shows_core(std::size_t core) const {
  if (!options_.cores) return core == 0;
  return options_.cores->empty() || std::ranges::count(*options_.cores, static_cast<std::int64_t>(core)) > 0;
}

std::int64_t Timeline::picoseconds(std::int64_t cycle) const {
  return std::llround(static_cast<double>(cycle) * (1e12 / clock_.count()));
}

std::string Timeline::left_out() const {
  if (options_.cores || cores_ == 1) return "";
  return fmt::format("core 0 of {}; --timeline-cores all shows all of them", cores_);
}

CounterTrack Timeline::counter(std::int64_t process, std::string name, const std::array<const char*, 2>& series) {
  return {window_, [this, process, name = std::move(name), series](std::int64_t cycle, const TwoValues& values) {
            JsonMembers members;
            members.add(series[0], values[0]).add(series[1], values[1]);
            events_->counter(process, name, picoseconds(cycle), members);
          }};
}

Timeline::SideAxis& Timeline::axis(const WorkLabel& label) {
  std::unique_ptr<SideAxis>& known = axes_[label.side];
  if (known) return *known;
  known = std::make_unique<SideAxis>();
  SideAxis& axis = *known;
  axis.side = label.side;
  axis.title = fmt::format("{} {}", name_of(label.side), label.scheme);
  const std::int64_t run = axis.process(kRunProcess), memory = axis.process(kMemoryProcess);
  events_->name_process(run, axis.title, run);
  events_->name_thread({run, run}, "GEMMs", 0);
  events_->name_process(memory, axis.title + ": memory", memory);
  for (const auto& [name, id] : EnumNames<MemoryId>::kValues)
    axis.memories.push_back(counter(memory, id == MemoryId::l2 ? "L2 bytes/s" : "HBM bytes/s", {"read", "written"}));
  for (CounterTrack& track : axis.memories)
    axis.bins.emplace_back([this, &track](std::int64_t cycle, const TwoValues& bytes) {
      const double bins_per_second = clock_.count() / static_cast<double>(TransferBins::kCycles);
      track.set(cycle, {std::round(bytes[0] * bins_per_second), std::round(bytes[1] * bins_per_second)});
    });
  return axis;
}

std::int64_t Timeline::name_core(SideAxis& axis, std::size_t core) {
  const std::int64_t process = axis.process(kFirstCoreProcess + static_cast<std::int64_t>(core));
  if (axis.named.insert(process).second)
    events_->name_process(process, fmt::format("{}: core {}", axis.title, core), process);
  return process;
}

Track Timeline::pipe_track(SideAxis& axis, std::size_t core, PipeId pipe) {
  const std::int64_t process = name_core(axis, core);
  const auto place = static_cast<std::int64_t>(pipe);
  const Track track{process, process * kThreadsOfAProcess + place};
  if (axis.named.insert(track.thread).second) events_->name_thread(track, name_of(pipe), place);
  return track;
}

void Timeline::begin_work(const WorkLabel& label) {
  current_ = &axis(label);
}

// The tracks of cores get their names in order, whichever begins first.
void Timeline::begin(const units::Program& program) {
  for (std::size_t core = 0; core < program.cores.size(); ++core) {
    if (!shows_core(core)) continue;
    for (std::size_t pipe = 0; pipe < units::kPipes; ++pipe)
      if (program.cores[core].streams[pipe]) pipe_track(*current_, core, static_cast<PipeId>(pipe));
  }
}

void Timeline::end_work(const WorkLabel& label, const SideResult& result, const std::string& same_as) {
  SideAxis& done = axis(label);
  const std::int64_t start = done.origin;
  done.origin += result.cycles.count();
  for (TransferBins& bins : done.bins) bins.complete(done.origin);
  JsonMembers args;
  args.add("m", label.m);
  if (!label.shared) args.add("n", label.n);
  args.add("k", label.k).add("position", name_of(label.position)).add("formats", label.formats);
  args.add("bound", result.bound);
  if (result.tile) args.add("tile", fmt::format("{} x {}", result.tile->m, result.tile->n));
  if (!same_as.empty()) args.add("same_as", same_as);
  const std::int64_t run = done.process(kRunProcess);
  slice({run, run}, label.shared ? label.name + " (shared)" : label.name, start, done.origin, args);
}

void Timeline::slice(const Track& track, std::string_view name, std::int64_t from, std::int64_t until,
                     JsonMembers& args) {
  if (!shows(from, until)) return;
  args.add("start", from).add("cycles", until - from);
  events_->slice(track, name, picoseconds(from), picoseconds(until), args);
}

void Timeline::command(const units::CommandEvent& event) {
  if (!shows_core(event.core)) return;
  const std::int64_t origin = current_->origin;
  const std::int64_t end = origin + event.free.cycle();
  if (!shows(event.waits.empty() ? origin + event.start.cycle() : origin + event.waits.front().from.cycle(), end))
    return;
  const Track track = pipe_track(*current_, event.core, event.pipe);
  for (const units::Wait& wait : event.waits) {
    JsonMembers args;
    const std::string name =
        wait.worker == worker_of(event.pipe) ? "wait: own latency" : fmt::format("wait: {}", name_of(wait.worker));
    slice(track, name, origin + wait.from.cycle(), origin + wait.until.cycle(), args.add("for", event.index));
  }
  JsonMembers args;
  describe_command(event.command, args);
  args.add("index", event.index).add("work", event.work.count()).add("done", origin + event.done.cycle());
  slice(track, command_name(event.command), origin + event.start.cycle(), end, args);
}

void Timeline::ring(const units::RingEvent& event) {
  if (!shows_core(event.core)) return;
  auto known = current_->rings.find({event.core, event.ring});
  if (known == current_->rings.end()) {
    const std::int64_t process = name_core(*current_, event.core);
    const std::string name = fmt::format("{} slots", name_of(event.ring));
    known =
        current_->rings.emplace(std::pair(event.core, event.ring), counter(process, name, {"in use", "filled"})).first;
  }
  known->second.set(current_->origin + event.at.cycle(),
                    {static_cast<double>(event.slots - event.free), static_cast<double>(event.filled)});
}

void Timeline::transfer(const units::TransferEvent& event) {
  const auto origin = static_cast<double>(current_->origin);
  TransferBins& bins = current_->bins[static_cast<std::size_t>(event.memory)];
  bins.complete(current_->origin + event.at.cycle());
  bins.add(origin + event.from, origin + event.until, static_cast<double>(event.bytes.count()), event.is_write ? 1 : 0);
}

void Timeline::close() {
  for (auto& [side, axis] : axes_) {
    for (TransferBins& bins : axis->bins) bins.finish();
    for (CounterTrack& track : axis->memories) track.flush();
    for (auto& [ring, track] : axis->rings) track.flush();
  }
  events_->close();
}

}  // namespace oscsim
