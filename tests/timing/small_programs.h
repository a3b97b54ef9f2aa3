// SPDX-License-Identifier: Apache-2.0
// Hand-written programs of a few commands, and the small machine they run on: 1 cycle = 1 ns, so that a latency in
// nanoseconds is one in cycles and GB/s are bytes per cycle.
#pragma once

#include <utility>
#include <vector>

#include "models/units/chip.h"

namespace oscsim::units {

inline MachineParams small_machine() {
  MachineParams machine;
  machine.clock = Hertz(1e9);
  machine.cores = 2;
  CoreParams& core = machine.core;
  core.load = {.rate = BytesPerCycle(64), .setup = Cycles(10)};
  core.feed = {.a_rate = BytesPerCycle(128), .b_rate = BytesPerCycle(64), .setup = Cycles(5)};
  core.tensor.cube = {.m0 = 16, .n0 = 16, .k0_4bit = 64, .k0_8bit = 32, .k0_16bit = 16};
  core.tensor.startup = Cycles(40);
  core.tensor.gap = Cycles(3);
  core.branch.cube = {.m0 = 8, .n0 = 8, .k0_4bit = 0, .k0_8bit = 0, .k0_16bit = 8};
  core.branch.startup = Cycles(20);
  core.branch.gap = Cycles(2);
  core.vector = {.rate = BytesPerCycle(256), .setup = Cycles(7), .quantise_passes = {}};
  core.drain = {.rate = BytesPerCycle(64), .setup = Cycles(6), .output_element = Bytes(2), .follows = false};
  machine.l2 = {.capacity = Bytes(1 << 20), .bandwidth = BytesPerSecond(128e9), .latency = Nanoseconds(20)};
  machine.hbm = {.bandwidth = BytesPerSecond(32e9), .latency = Nanoseconds(100)};
  return machine;
}

class ListStream : public CommandStream {
 public:
  explicit ListStream(std::vector<Command> commands) : commands_(std::move(commands)) {}
  bool next(Command& command) override {
    if (next_ == commands_.size()) return false;
    command = commands_[next_++];
    return true;
  }

 private:
  std::vector<Command> commands_;
  std::size_t next_ = 0;
};

// The commands of one core, and the slots of its rings.
struct CoreCommands {
  std::vector<std::pair<PipeId, std::vector<Command>>> pipes;
  std::vector<std::pair<RingId, std::int64_t>> rings;
};

inline Program program_of(std::vector<CoreCommands> cores) {
  Program program;
  program.primary = PipeId::tensor;
  for (CoreCommands& commands : cores) {
    CoreProgram& core = program.cores.emplace_back();
    for (auto& [pipe, list] : commands.pipes)
      core.streams[static_cast<std::size_t>(pipe)] = std::make_unique<ListStream>(std::move(list));
    for (const auto& [ring, slots] : commands.rings) core.slots[static_cast<std::size_t>(ring)] = slots;
  }
  return program;
}

inline SimulationResult run(const MachineParams& machine, std::vector<CoreCommands> cores) {
  return simulate(machine, program_of(std::move(cores)));
}

inline const PipeTime& time_of(const SimulationResult& result, PipeId pipe, std::size_t core = 0) {
  return result.cores[core][static_cast<std::size_t>(pipe)];
}

// Tile `index` of a tensor; tiles of one tensor do not overlap.
inline Region tile(TensorId tensor, std::int64_t index) {
  return {tensor, index * 16, 16, 0, 64};
}

inline Read reading(RingId ring, std::int64_t slot, const Region& region) {
  return {.ring = ring, .slot = slot, .region = region, .second = std::nullopt, .take = true, .give = true};
}

inline Write writing(RingId ring, std::int64_t slot, const Region& region, Publish publish = Publish::at_end) {
  return {.ring = ring, .slot = slot, .region = region, .second = std::nullopt, .take = true, .publish = publish};
}

inline Command load(const Region& region, Bytes bytes) {
  return {.work = LoadWork{.region = region, .address = 0, .bytes = bytes}, .reads = {}, .writes = {}};
}

inline Command feed(Bytes a, Bytes b) {
  return {.work = FeedWork{.a = a, .b = b}, .reads = {}, .writes = {}};
}

inline Command matmul(int bits, std::int64_t m, std::int64_t n, std::int64_t k) {
  return {.work = MatmulWork{.bits = bits, .m = m, .n = n, .k = k, .branch = false}, .reads = {}, .writes = {}};
}

inline Command drain(const Region& region, Bytes bytes, Cycles first_step = Cycles(0)) {
  DrainWork work;
  work.region = region;
  work.bytes = bytes;
  work.first_step = first_step;
  work.output = true;
  return {.work = work, .reads = {}, .writes = {}};
}

inline Command with(Command command, std::vector<Read> reads, std::vector<Write> writes = {}) {
  command.reads.assign(reads.begin(), reads.end());
  command.writes.assign(writes.begin(), writes.end());
  return command;
}

}  // namespace oscsim::units
