// SPDX-License-Identifier: Apache-2.0
// A pipe of a core: takes its commands in order, waits for their tokens, is occupied for the time that the unit's
// timing rule gives, and gives tokens to other pipes.
#pragma once

#include <array>
#include <deque>
#include <exception>
#include <functional>
#include <systemc>

#include "models/units/activity.h"
#include "models/units/clock.h"
#include "models/units/machine.h"
#include "models/units/observer.h"
#include "models/units/ring.h"

namespace oscsim::units {

struct CoreRings;

// Bytes that a load writes to L1 at an even rate within [from, until).
struct L1Writes {
  Instant from, until;
  BytesPerCycle rate{0};

  // Mean rate over [begin, begin + span).
  BytesPerCycle mean(Instant begin, Cycles span) const {
    const Instant first = std::max(from, begin);
    const Instant last = std::min(until, begin + span);
    if (span == Cycles(0) || last <= first) return BytesPerCycle(0);
    return BytesPerCycle(rate.count() * ((last - first) / span));
  }
};

// Where a pipe's time went. busy + branch + startup + the waits + the time after its last command make up the run.
struct PipeTime {
  Cycles busy{0};                          // the unit's own work, without the branch's
  Cycles branch{0};                        // its work for the branch's passes
  Cycles startup{0};                       // gaps and latencies between instructions
  std::array<Cycles, kWorkers> waiting{};  // by who was at work on what was waited for
  Cycles active{0};                        // with a command between its start and its end, latency included
  Instant end;                             // of the last command, latency included
  Trail last;                              // of the command that ended last
  std::int64_t commands = 0;
};

// Contract
//   Time: a command starts when the pipe is free, its tokens are there and fewer than kOutstanding commands are under
//   way; occupies the pipe until `free`; its data are there at `done`; slots it read are free at `release`.
//   Order: commands start and end in order.
//   Capacity: one command at a time occupies the pipe; `kOutstanding` may await their end.
class Pipe : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Pipe);
  static constexpr std::size_t kOutstanding = 64;  // assumed: enough to cover memory latency

  Pipe(sc_core::sc_module_name name, PipeId id, CoreRings& rings, const ClockDomain& clock, Overlap overlap);

  void run(CommandStream* stream) { stream_ = stream; }
  // Called at the end of each command.
  void on_retire(std::function<void(const Command&)> observer) { observer_ = std::move(observer); }
  // Shows commands and tokens, as those of core `core`.
  void show_to(ObserverSpan observers, std::size_t core) {
    observers_ = observers;
    core_ = core;
  }

  const PipeTime& time() const { return time_; }
  const Activity& activity() const { return activity_; }
  // Throws what stopped the pipe, if anything did.
  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  bool finished() const { return stream_ == nullptr && !pending_ && flying_.empty(); }
  // What the pipe waits for, for the watchdog's report.
  std::string state() const;

 protected:
  struct Timing {
    Cycles work{0};       // the unit's own work, without the branch's
    Cycles occupancy{0};  // start to free
    Instant release;      // slots read are free again
    Instant done;         // data written are there
    bool branch = false;
    std::optional<Instant> alone = {};  // when it would end with a memory that takes no time
  };
  // The unit's rule: when does `command` end that starts now?
  virtual Timing start(const Command& command) = 0;

  Activity& activity() { return activity_; }
  CoreRings& rings() { return rings_; }
  const ClockDomain& clock() const { return clock_; }
  Instant now() const { return clock_.now(); }

 private:
  struct Flying {
    Command command;
    Timing timing;
    Trail trail;
    Instant memory;  // from when on it only waits for its transaction, or for that of the one before
    bool released;
  };
  struct Missing {
    RingId ring;
    bool data;  // else space
  };

  static void wake(Pipe* pipe);
  void step();
  void advance();
  bool fetch();
  bool can_start();
  void begin();
  std::optional<Trail> take_tokens();
  void retire_due();
  void give_space(Flying& flying);
  void give_data(const Flying& flying);
  void check_slots() const;
  void account_wait(Instant started, const std::optional<Trail>& giver);
  void wait_for(Worker worker, Instant from, Instant until);
  void show_command(const Flying& flying, Instant started, Instant memory);
  void show_ring(RingId id);
  void schedule();

  PipeId id_;
  CoreRings& rings_;
  ClockDomain clock_;
  Overlap overlap_;
  CommandStream* stream_ = nullptr;
  std::function<void(const Command&)> observer_;
  ObserverSpan observers_;
  std::size_t core_ = 0;
  std::vector<Wait> waits_;  // before the command that begins, latest first; empty when nobody looks
  std::optional<Command> pending_;
  std::deque<Flying> flying_;
  Instant free_at_;
  Instant covered_until_;           // time up to which busy, startup or waiting has been accounted
  Trail trail_;                     // of the last command that began
  std::optional<Missing> missing_;  // the token that the pending command waited for last
  bool is_full_ = false;            // it waited for room among the commands under way
  PipeTime time_;
  Activity activity_;
  std::exception_ptr failure_;
  sc_core::sc_event wake_{"wake"};
};

// The rings of a core, and what its load pipe is writing to L1 at present.
struct CoreRings {
  std::array<std::optional<Ring>, kRings> rings;
  L1Writes l1_writes;

  Ring& operator[](RingId id) {
    auto& ring = rings[static_cast<std::size_t>(id)];
    ensure(ring.has_value(), "a command uses ring {}, which the program does not have", name_of(id));
    return *ring;
  }
};

}  // namespace oscsim::units
