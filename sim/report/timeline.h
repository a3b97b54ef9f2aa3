// SPDX-License-Identifier: Apache-2.0
// A run as a timeline for https://ui.perfetto.dev. Each side of the run has a time axis of its own from 0, on which its
// pieces of work follow each other in the order of the trace, so that its length is the side's total.
//   process "scheme osc"            a slice for each GEMM and each piece of shared work
//   process "scheme osc: memory"    counters: bytes that pass L2 and HBM, in bins of 256 cycles, all cores together
//   process "scheme osc: core 0"    a track for each pipe: commands, and the waits between them, named after the pipe
//                                   that was at work on what was waited for; a counter for each ring: slots in use, and
//                                   those whose data are there. The same for the baseline.
// In args: `start` and `cycles` are core clock cycles on the side's axis, `work` the part that busy_cycles counts,
// `done` the cycle at which its data are there; ranges are half-open. Work that equals earlier work of its side is not
// simulated again: its slice says `same_as`, its pipes are not drawn.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "sim/report/counter_track.h"
#include "sim/report/trace_events.h"
#include "sim/run/recorder.h"

namespace oscsim {

// A stretch of a time axis: in cycles, or in seconds.
struct TimelineWindow {
  double from = 0, to = 0;
  bool in_cycles = false;
};

struct TimelineOptions {
  std::optional<std::vector<std::int64_t>> cores;  // shown; empty: all; none: core 0, which keeps files small
  std::optional<TimelineWindow> window;            // on each side's axis: what touches it is shown
};

// Streams to `out`: what it keeps does not grow with the run.
class Timeline : public Recorder {
 public:
  Timeline(std::ostream& out, TimelineOptions options);
  ~Timeline() override;

  void open(const units::MachineParams& machine, std::span<const Gemm> gemms) override;
  void begin_work(const WorkLabel& label) override;
  void end_work(const WorkLabel& label, const SideResult& result, const std::string& same_as) override;
  void begin(const units::Program& program) override;
  void command(const units::CommandEvent& event) override;
  void ring(const units::RingEvent& event) override;
  void transfer(const units::TransferEvent& event) override;

  // Completes the file; the run must be over.
  void close();
  // What the file leaves out, for a message; empty: nothing.
  std::string left_out() const;

 private:
  struct SideAxis;

  bool shows_core(std::size_t core) const;
  bool shows(std::int64_t from, std::int64_t until) const { return from < window_.to && until > window_.from; }
  std::int64_t picoseconds(std::int64_t cycle) const;
  SideAxis& axis(const WorkLabel& label);
  std::int64_t name_core(SideAxis& axis, std::size_t core);
  Track pipe_track(SideAxis& axis, std::size_t core, units::PipeId pipe);
  CounterTrack counter(std::int64_t process, std::string name, const std::array<const char*, 2>& series);
  void slice(const Track& track, std::string_view name, std::int64_t from, std::int64_t until, JsonMembers& args);

  std::ostream& out_;
  TimelineOptions options_;
  Hertz clock_{1};
  std::int64_t cores_ = 0;  // of the machine
  CycleWindow window_;
  std::optional<TraceEvents> events_;
  std::map<Side, std::unique_ptr<SideAxis>> axes_;
  SideAxis* current_ = nullptr;  // of the work that is simulated
};

}  // namespace oscsim
