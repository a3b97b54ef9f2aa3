// SPDX-License-Identifier: Apache-2.0
// The events of a simulation, kept.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "models/units/chip.h"

namespace oscsim::units {

struct RecordedCommand {
  std::int64_t index = 0;
  Instant start, free, release, done, memory;
  Cycles work{0};
  std::vector<Wait> waits;
  Command command;
};

class Recorded : public Observer {
 public:
  using Pipes = std::array<std::vector<RecordedCommand>, kPipes>;

  std::vector<std::array<std::int64_t, kRings>> slots;  // of each core
  std::vector<Pipes> cores;
  std::vector<RingEvent> rings;
  std::vector<TransferEvent> transfers;

  void begin(const Program& program) override {
    for (const CoreProgram& core : program.cores) slots.push_back(core.slots);
    cores.resize(program.cores.size());
  }
  void command(const CommandEvent& event) override {
    cores[event.core][static_cast<std::size_t>(event.pipe)].push_back({event.index,
                                                                       event.start,
                                                                       event.free,
                                                                       event.release,
                                                                       event.done,
                                                                       event.memory,
                                                                       event.work,
                                                                       {event.waits.begin(), event.waits.end()},
                                                                       event.command});
  }
  void ring(const RingEvent& event) override { rings.push_back(event); }
  void transfer(const TransferEvent& event) override { transfers.push_back(event); }

  const std::vector<RecordedCommand>& of(PipeId pipe, std::size_t core = 0) const {
    return cores[core][static_cast<std::size_t>(pipe)];
  }
};

}  // namespace oscsim::units
