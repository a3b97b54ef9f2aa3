// SPDX-License-Identifier: Apache-2.0
// Machines derived from the ready ones by scaling their parameters, and shapes with tails; from a seed.
#pragma once

#include <cmath>
#include <random>

#include "tests/oracle/ready.h"

namespace oscsim {

class Variants {
 public:
  explicit Variants(std::uint32_t seed) : bits_(seed) {}

  // Written out instead of std distributions: those may differ between standard libraries.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bits_() % static_cast<std::uint32_t>(high - low + 1));
  }
  // 1/4 to 4 in steps of the square root of two.
  double factor() { return std::exp2(static_cast<double>(between(-4, 4)) / 2); }

  // Any field but the widths of the cubes and the overlap; few cores, so that a case takes milliseconds.
  units::MachineParams machine(units::MachineParams machine) {
    machine.cores = between(1, 6);
    units::CoreParams& core = machine.core;
    for (Bytes* buffer : {&core.buffers.l0a, &core.buffers.l0b, &core.buffers.l0c, &core.buffers.l1,
                          &core.branch.operand_buffer, &core.branch.accumulator})
      *buffer = Bytes(std::max<std::int64_t>(8192, std::llround(static_cast<double>(buffer->count()) * factor())));
    for (BytesPerCycle* rate : {&core.load.rate, &core.feed.a_rate, &core.feed.b_rate, &core.drain.rate})
      *rate = BytesPerCycle(rate->count() * factor());
    for (Cycles* span : {&core.load.setup, &core.feed.setup, &core.drain.setup, &core.tensor.startup, &core.tensor.gap,
                         &core.branch.startup, &core.branch.gap})
      *span = Cycles(between(0, 100));
    core.load.granule = Bytes(std::int64_t{1} << between(0, 9));
    core.load.row = Bytes(between(0, 64));
    core.load.shared_row = Bytes(between(0, 64));
    for (Cycles* span : {&core.issue.step, &core.issue.tile, &core.issue.step_folded, &core.issue.tile_folded})
      *span = Cycles(between(0, 100));
    core.drain.follows = between(0, 1) == 1;
    core.drain.output_element = Bytes(between(0, 1) == 1 ? 2 : 4);
    machine.l2.capacity = Bytes(between(1, 4) * 64 * 1024);
    machine.l2.bandwidth = BytesPerSecond(machine.l2.bandwidth.count() * factor());
    machine.hbm.bandwidth = BytesPerSecond(machine.hbm.bandwidth.count() * factor());
    machine.l2.latency = Nanoseconds(static_cast<double>(between(0, 300)));
    machine.hbm.latency = Nanoseconds(static_cast<double>(between(0, 800)));
    return machine;
  }

  Shape shape() { return {between(1, 300), between(1, 500), between(1, 1500)}; }

  // One of the values of a named container.
  template <class Map>
  const auto& any_of(const Map& map) {
    return *std::next(map.begin(), between(0, static_cast<std::int64_t>(map.size()) - 1));
  }

 private:
  std::mt19937 bits_;
};

}  // namespace oscsim
