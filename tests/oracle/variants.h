// SPDX-License-Identifier: Apache-2.0
// Machines derived from the ready ones by scaling their parameters, and shapes with tails; from a seed.
#pragma once

#include <cmath>
#include <functional>
#include <random>

#include "tests/oracle/ready.h"

namespace oscsim {

class Variants {
 public:
  // Draws a number within [low, high].
  using Draw = std::function<std::int64_t(std::int64_t low, std::int64_t high)>;

  explicit Variants(Draw draw) : draw_(std::move(draw)) {}
  // Written out instead of std distributions: those may differ between standard libraries.
  explicit Variants(std::uint32_t seed)
      : draw_([bits = std::mt19937(seed)](std::int64_t low, std::int64_t high) mutable {
          return low + static_cast<std::int64_t>(bits() % static_cast<std::uint32_t>(high - low + 1));
        }) {}

  std::int64_t between(std::int64_t low, std::int64_t high) { return draw_(low, high); }
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
  Draw draw_;
};

struct Improvement {
  std::string name;
  void (*apply)(units::MachineParams&);
};

inline const std::vector<Improvement>& improvements() {
  static const std::vector<Improvement> kImprovements{
      {"more HBM bandwidth",
       [](units::MachineParams& m) { m.hbm.bandwidth = BytesPerSecond(m.hbm.bandwidth.count() * 1.5); }},
      {"more L2 bandwidth",
       [](units::MachineParams& m) { m.l2.bandwidth = BytesPerSecond(m.l2.bandwidth.count() * 1.5); }},
      {"less HBM latency", [](units::MachineParams& m) { m.hbm.latency = Nanoseconds(m.hbm.latency.count() * 0.5); }},
      {"less L2 latency", [](units::MachineParams& m) { m.l2.latency = Nanoseconds(m.l2.latency.count() * 0.5); }},
      {"faster load",
       [](units::MachineParams& m) { m.core.load.rate = BytesPerCycle(m.core.load.rate.count() * 1.5); }},
      {"faster feed of A",
       [](units::MachineParams& m) { m.core.feed.a_rate = BytesPerCycle(m.core.feed.a_rate.count() * 1.5); }},
      {"faster feed of B",
       [](units::MachineParams& m) { m.core.feed.b_rate = BytesPerCycle(m.core.feed.b_rate.count() * 1.5); }},
      {"faster drain",
       [](units::MachineParams& m) { m.core.drain.rate = BytesPerCycle(m.core.drain.rate.count() * 1.5); }},
  };
  return kImprovements;
}

}  // namespace oscsim
