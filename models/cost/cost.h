// SPDX-License-Identifier: Apache-2.0
// Area of a chip and energy of what it did, from plain sizes and counts and a cost table.
#pragma once

#include <optional>

#include "models/cost/breakdown.h"
#include "models/cost/cost_table.h"

namespace oscsim::cost {

// A matrix unit: `lanes` dot products at a time, each over `depth` operands per cycle, by width. 0: not that width.
struct MatrixShape {
  std::int64_t lanes = 0;
  std::array<std::int64_t, kWidths> depth{};
};

struct GatherShape {
  std::int64_t lanes = 0, banks = 0, table_entries = 0;
};

// Capacities of one core. There are two of branch_l0 and of l0_scales: one for each operand.
struct BufferSizes {
  Bytes l0a{0}, l0b{0}, l0c{0}, l1{0}, ub{0}, branch_l0{0}, branch_l0c{0}, l0_scales{0};
};

struct ChipSizes {
  bool is_idealised = false;  // its sizes only stand for "enough": no area, no leakage
  std::int64_t cores = 0;
  MatrixShape tensor;
  std::optional<MatrixShape> branch;  // a unit of its own
  std::optional<GatherShape> gather;  // an engine
  BufferSizes buffers;
  double vector_rate = 0;  // bytes per cycle
  Bytes l2{0};
  MemoryKind memory{};
};

// What a chip did, all cores together. Padding of a matrix unit is work like any other.
struct Actions {
  std::array<std::int64_t, kMacKinds> tensor_macs{}, branch_macs{};
  std::array<std::int64_t, kMacKinds> tensor_dots{}, branch_dots{};  // that an FP32 addition adds to their sum
  Bytes l0{0}, l0c{0}, branch_l0{0}, branch_l0c{0}, l1{0}, ub{0};    // read and written
  std::int64_t gathered = 0;                                         // elements, each after a read of the channel table
  std::int64_t vector_elements = 0;                                  // elements x instructions
  Bytes l2{0}, memory{0};                                            // read and written
  double time_us = 0;
};

// One byte of an SRAM of `capacity`, read or written.
struct BytePrice {
  double pj = 0;
  bool is_assumed = false;
};
BytePrice sram_byte(const EnergyCosts& costs, Bytes capacity);

Area area_of(const CostTable& table, const ChipSizes& chip);

// The prices of one chip, computed once.
class CostModel {
 public:
  CostModel(const CostTable& table, const ChipSizes& chip);

  const Area& area() const { return area_; }
  Energy energy(const Actions& actions) const;

 private:
  EnergyCosts costs_;
  Area area_;
  BytePrice memory_, l0_, l0c_, branch_l0_, branch_l0c_, l1_, ub_, table_, l2_;
};

}  // namespace oscsim::cost
