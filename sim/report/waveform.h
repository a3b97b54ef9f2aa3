// SPDX-License-Identifier: Apache-2.0
// One GEMM as a value change dump (IEEE 1364, 18.2) for GTKWave, to debug how pipes hand tokens to each other.
//   scheme.core0.load.state      0 idle, 1 busy, 2 waiting
//   scheme.core0.load.command    number of its last command, from 0
//   scheme.core0.load.waits_for  0 nothing, else who was at work: 1 load, 2 gather, 3 vector, 4 feed, 5 tensor,
//                                6 branch, 7 drain, 8 memory
//   scheme.core0.l1_a.filled     slots whose data nobody has taken
//   scheme.core0.l1_a.free       slots whose space nobody has taken
//   scheme.cycle                 core clock cycle of the last change
// Each side starts at 0, shared work first. The timescale is 1 fs; `cycle` is exact where a period is no whole number
// of femtoseconds.
#pragma once

#include <map>
#include <ostream>

#include "sim/run/recorder.h"

namespace oscsim {

class Waveform : public Recorder {
 public:
  // All changes are kept, to be written in order of time: 40 bytes or so for each of some ten of a command.
  static constexpr std::int64_t kMostCommands = 200'000;

  void open(const units::MachineParams& machine, std::span<const Gemm> gemms) override;
  void begin_work(const WorkLabel& label) override;
  void end_work(const WorkLabel& label, const SideResult& result, const std::string& same_as) override;
  void begin(const units::Program& program) override;
  void command(const units::CommandEvent& event) override;
  void ring(const units::RingEvent& event) override;
  void transfer(const units::TransferEvent&) override {}

  void write(std::ostream& out) const;

 private:
  // side, core, pipe or ring, what of it: in the order of the file.
  struct Signal {
    Side side{};
    std::size_t core = 0;
    bool is_ring = false;
    std::size_t part = 0;
    std::size_t value = 0;
    friend auto operator<=>(const Signal&, const Signal&) = default;
  };
  struct Change {
    std::int64_t cycle = 0;
    std::size_t signal = 0;  // in the order of the first change
    std::int64_t value = 0;
  };

  void change(std::int64_t cycle, const Signal& signal, std::int64_t value);
  void write_header(std::ostream& out) const;
  void write_changes(std::ostream& out) const;

  double period_ = 0;  // fs
  std::map<Signal, std::size_t> signals_;
  std::vector<Change> changes_;
  std::int64_t commands_ = 0;
  Side side_{};
  std::array<std::int64_t, kSides> origins_{};  // cycle at which the side's current work starts
};

}  // namespace oscsim
