// SPDX-License-Identifier: Apache-2.0
// The chip: cores of seven pipes over a shared L2 and HBM. simulate() runs one program on it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "models/units/memory.h"
#include "models/units/pipe.h"
#include "models/units/program.h"

namespace oscsim::units {

struct SimulationResult {
  Cycles total{0};                                  // first command to last byte written, all cores
  std::vector<std::array<PipeTime, kPipes>> cores;  // of the cores that have a program
  Traffic traffic;
  Activity activity;  // of all cores
  std::int64_t commands = 0;
  bool is_cut = false;  // it takes more cycles than it was allowed, and nothing else is known of it
};

// An output tile has been written: rows [row, row + rows), columns [k, k + depth).
using TileObserver = std::function<void(const Region&)>;

// Who looks on.
struct Observers {
  TileObserver on_output;
  std::vector<Observer*> events;
};

// Runs the program to its end, or until it has taken more than `most` cycles, in a SystemC context of its own; not
// reentrant, one simulation at a time in a process (SystemC 2.3.4 keeps its context in globals). DefectError when the
// pipes of a core block each other, with what each one waits for.
SimulationResult simulate(const MachineParams& machine, Program program, const Observers& observers = {},
                          std::optional<Cycles> most = std::nullopt);

}  // namespace oscsim::units
