// SPDX-License-Identifier: Apache-2.0
// 16-bit branch unit: a matrix unit of its own, of either kind, beside the tensor unit, or a share of the tensor unit's
// time. It does the outlier branch; other 16-bit work is the tensor unit's, unless that has no 16-bit rate.
#pragma once

#include "models/units/matrix_timing.h"

namespace oscsim::units {

enum class BranchPlacement : std::uint8_t {
  own,     // a 16-bit matrix unit of its own, beside the tensor unit
  shared,  // the branch takes its turn on the tensor unit
};

struct BranchParams : MatrixParams {
  BranchPlacement placement = BranchPlacement::own;
  Bytes operand_buffer{32 * 1024};
  Bytes accumulator{128 * 1024};
  bool l0c_port = true;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self);
};

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::BranchPlacement> {
  using Placement = oscsim::units::BranchPlacement;
  static constexpr std::pair<std::string_view, Placement> kValues[] = {{"own", Placement::own},
                                                                       {"shared", Placement::shared}};
};

template <class Visitor, class Self>
void oscsim::units::BranchParams::fields(Visitor& visit, Self& self) {
  visit("placement", self.placement,
        {.meaning = "of the outlier branch. own: a unit beside the tensor unit, which does other 16-bit work (GEMMs, "
                    "attention) only where core.tensor.k0_16bit is 0; shared: the tensor unit's 16-bit mode"});
  MatrixParams::kind_fields(visit, self);
  visit("m0", self.cube.m0,
        {.min = 1, .max = 4096, .meaning = "own unit, cube: rows of A per cycle", .source = "assumed"});
  visit("n0", self.cube.n0,
        {.min = 1, .max = 4096, .meaning = "own unit, cube: rows of B per cycle", .source = "assumed"});
  visit("k0", self.cube.k0_16bit,
        {.min = 1, .max = 65536, .meaning = "own unit: reduction steps per cycle", .source = "assumed"});
  visit("startup", self.startup,
        {.min = 0,
         .max = 1e6,
         .meaning = "own unit: latency of an isolated instruction beyond its own cycles",
         .source = "assumed"});
  visit("gap", self.gap,
        {.min = 0, .max = 1e6, .meaning = "own unit: cycles between back-to-back instructions", .source = "assumed"});
  visit("operand_buffer", self.operand_buffer,
        {.min = 64,
         .max = 1e12,
         .meaning = "own unit: operand buffer of each of A and B, double-buffered",
         .source = "assumed"});
  visit("accumulator", self.accumulator,
        {.min = 64, .max = 1e12, .meaning = "own unit: FP32 accumulator buffer", .source = "assumed"});
  visit(
      "l0c_port", self.l0c_port,
      {.meaning = "own unit: an adder joins its accumulators with L0C's before the drain (join_place l0c); false: only "
                  "join_place epilogue, where the drain reads both",
       .source = "assumed"});
}
