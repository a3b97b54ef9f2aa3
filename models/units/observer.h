// SPDX-License-Identifier: Apache-2.0
// What a simulation shows while it runs. Events come in the order in which they happen; times are core clock cycles.
// A simulation does the same, in the same time, whether somebody looks or not.
#pragma once

#include <span>

#include "models/units/program.h"

namespace oscsim::units {

// A part of a wait, and who was at work on what was waited for.
struct Wait {
  Worker worker{};
  Instant from, until;
};

// A command that has just begun.
struct CommandEvent {
  std::size_t core = 0;
  PipeId pipe{};
  std::int64_t index = 0;       // among the pipe's commands
  Instant start, free;          // it occupies the pipe from `start` to `free`
  Instant release;              // the slots it reads are free
  Instant done;                 // its data are there
  Instant memory;               // from then until `done` it has only waited for the memory; else `done`
  Cycles work{0};               // of the occupancy: the unit's own work
  std::span<const Wait> waits;  // since the command before, in order of time
  const Command& command;
};

// Tokens have changed hands.
struct RingEvent {
  std::size_t core = 0;
  RingId ring{};
  Instant at;
  std::int64_t slots = 0;
  std::int64_t filled = 0;  // slots whose data nobody has taken
  std::int64_t free = 0;    // slots whose space nobody has taken
};

enum class MemoryId : std::uint8_t { l2, hbm };

// Bytes pass a memory from `from` to `until`, cycles with fractions, neither in the past.
struct TransferEvent {
  MemoryId memory{};
  Instant at;  // of the request
  bool is_write = false;
  double from = 0, until = 0;
  Bytes bytes{0};
};

// What it throws ends the simulation and comes out of simulate().
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void begin(const Program& program) = 0;
  virtual void command(const CommandEvent& event) = 0;
  virtual void ring(const RingEvent& event) = 0;
  virtual void transfer(const TransferEvent& event) = 0;
};

using ObserverSpan = std::span<Observer* const>;

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::MemoryId> {
  static constexpr std::pair<std::string_view, oscsim::units::MemoryId> kValues[] = {
      {"l2", oscsim::units::MemoryId::l2}, {"hbm", oscsim::units::MemoryId::hbm}};
};
