// SPDX-License-Identifier: Apache-2.0
// The units of a core. Each is a pipe with the timing rule of its x_timing.h; sequencing and tokens are Pipe's.
#pragma once

#include <tlm.h>
#include <tlm_utils/simple_initiator_socket.h>

#include "models/units/memory.h"
#include "models/units/pipe.h"

namespace oscsim::units {

// What every unit is constructed from.
struct UnitContext {
  PipeId id;
  CoreRings& rings;
  const ClockDomain& clock;
  Overlap overlap;
};

// Contract
//   Time: the port is busy for load_time, or for the gather of an engine on its path where that takes longer, or for
//   strided_time when it fetches single elements; the data are there when both port and memory have delivered.
//   Not modelled: layout change from rows to fractals.
class LoadUnit : public Pipe {
 public:
  tlm_utils::simple_initiator_socket<LoadUnit> memory{"memory"};
  LoadUnit(sc_core::sc_module_name name, const UnitContext& context, const LoadParams& params,
           const GatherParams& gather);

 private:
  Timing start(const Command& command) override;
  Cycles port_time(const LoadWork& work) const;
  LoadParams params_;
  GatherParams gather_;
};

// Contract
//   Time: gather_time; the tile's row time comes with the command, computed from the channel table.
class GatherUnit : public Pipe {
 public:
  GatherUnit(sc_core::sc_module_name name, const UnitContext& context, const GatherParams& params);

 private:
  Timing start(const Command& command) override;
  GatherParams params_;
};

// Contract
//   Time: vector_time for a cast, behind gather_time where the gather engine takes turns with it on the unified buffer;
//   passes_time for other work.
class VectorUnit : public Pipe {
 public:
  VectorUnit(sc_core::sc_module_name name, const UnitContext& context, const VectorParams& params,
             const GatherParams& gather);

 private:
  Timing start(const Command& command) override;
  VectorParams params_;
  GatherParams gather_;
};

// Contract
//   Time: feed_time, A and B one after the other.
//   Not modelled: keeping an operand in L0 over several steps.
class FeedUnit : public Pipe {
 public:
  FeedUnit(sc_core::sc_module_name name, const UnitContext& context, const FeedParams& params);

 private:
  Timing start(const Command& command) override;
  FeedParams params_;
};

// Contract, of the tensor unit and of a branch unit of its own
//   Time: matrix_time. Operand slots are free when they have been read; the accumulator holds the result `latency`
//   after the start. Back to back, instructions start `occupancy` apart; what a systolic array that overlaps its folds
//   has in flight at that time is a part of `latency`.
class MatrixUnit : public Pipe {
 public:
  MatrixUnit(sc_core::sc_module_name name, const UnitContext& context, const MatrixParams& params);

 private:
  Timing start(const Command& command) override;
  MatrixParams params_;
};

// Contract
//   Time: the port is busy for drain_time. A drain that follows the matrix unit through its tile ends no earlier than
//   the tile plus one 512-byte step, and lets the next tile's first step follow it in turn.
class DrainUnit : public Pipe {
 public:
  tlm_utils::simple_initiator_socket<DrainUnit> memory{"memory"};
  DrainUnit(sc_core::sc_module_name name, const UnitContext& context, const DrainParams& params);

 private:
  Timing start(const Command& command) override;
  DrainParams params_;
};

}  // namespace oscsim::units
