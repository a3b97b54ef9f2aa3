// SPDX-License-Identifier: Apache-2.0
// A table of round numbers and a chip of one core.
#pragma once

#include "models/cost/cost.h"

namespace oscsim::cost {

template <class Value>
Sourced<Value> paper(Value value) {
  return {value, SourceClass::paper, "a paper"};
}

inline CostTable sample_table() {
  CostTable table;
  table.node = "sample";
  EnergyCosts& energy = table.energy;
  AreaCosts& area = table.area;
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues) {
    const double bits = bits_of(kind);
    energy.mac.kinds[static_cast<std::size_t>(kind)] = paper(Picojoules(bits / 16));
    energy.add.kinds[static_cast<std::size_t>(kind)] = paper(Picojoules(bits / 64));
    area.mac.kinds[static_cast<std::size_t>(kind)] = paper(SquareMicrometres(bits * bits));
  }
  energy.accumulate = paper(Picojoules(2));
  const auto point = [](std::int64_t capacity, double pj) {
    SramPoint result;
    static_cast<Sourced<Picojoules>&>(result) = paper(Picojoules(pj));
    result.capacity = Bytes(capacity);
    return result;
  };
  energy.sram = {point(1024, 1), point(4096, 2)};
  for (Sourced<Picojoules>& memory : energy.memory.kinds) memory = paper(Picojoules(32));
  energy.gather_element = paper(Picojoules(3));
  energy.vector_element = paper(Picojoules(5));
  energy.leakage = paper(PowerDensity(10));
  area.accumulate = paper(SquareMicrometres(500));
  area.multi_width = paper(0.25);
  area.sram_bit = paper(SquareMicrometres(0.5));
  area.sram_overhead = paper(2.0);
  area.gather_lane = paper(SquareMicrometres(700));
  area.gather_crosspoint = paper(SquareMicrometres(30));
  area.vector_byte = paper(SquareMicrometres(3000));
  return table;
}

inline ChipSizes sample_chip() {
  ChipSizes chip;
  chip.cores = 2;
  chip.tensor = {256, {64, 32, 16}};
  chip.branch = MatrixShape{64, {0, 0, 8}};
  chip.gather = GatherShape{8, 16, 512};
  chip.buffers = {.l0a = Bytes(1024),
                  .l0b = Bytes(1024),
                  .l0c = Bytes(4096),
                  .l1 = Bytes(4096),
                  .ub = Bytes(4096),
                  .branch_l0 = Bytes(1024),
                  .branch_l0c = Bytes(1024),
                  .l0_scales = Bytes(1024)};
  chip.vector_rate = 64;
  chip.l2 = Bytes(16384);
  return chip;
}

}  // namespace oscsim::cost
