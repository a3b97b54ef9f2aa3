// SPDX-License-Identifier: Apache-2.0
// Cube-style matrix unit: m0 x n0 x k0 multiply-accumulates per cycle, k0 by operand width. Tails are padded to whole
// cubes. One instruction (a tile step) occupies the unit for its cubes plus `gap`; its result is there `startup` cycles
// after its last cube was issued.
#pragma once

#include "models/base/schema.h"

namespace oscsim::units {

struct CubeShape {
  std::int64_t m0 = 16;
  std::int64_t n0 = 16;
  std::int64_t k0_4bit = 0;
  std::int64_t k0_8bit = 0;
  std::int64_t k0_16bit = 16;

  // k0 for operands of `bits` bits; 0: the unit does not multiply them.
  constexpr std::int64_t k0(int bits) const { return bits == 4 ? k0_4bit : bits == 8 ? k0_8bit : k0_16bit; }
  constexpr Macs per_cycle(int bits) const { return Macs(m0 * n0 * k0(bits)); }
};

struct MatrixParams {
  CubeShape cube;
  Cycles startup{0};
  Cycles gap{0};
};

struct TensorParams : MatrixParams {
  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("m0", self.cube.m0, {.min = 1, .max = 4096, .required = true, .meaning = "rows of A per cycle"});
    visit("n0", self.cube.n0,
          {.min = 1, .max = 4096, .required = true, .meaning = "rows of B (output features) per cycle"});
    visit("k0_4bit", self.cube.k0_4bit,
          {.min = 1, .max = 65536, .required = true, .meaning = "reduction steps per cycle, 4-bit operands"});
    visit("k0_8bit", self.cube.k0_8bit,
          {.min = 1, .max = 65536, .required = true, .meaning = "the same, 8-bit operands"});
    visit("k0_16bit", self.cube.k0_16bit,
          {.min = 1,
           .max = 65536,
           .required = true,
           .meaning = "the same, 16-bit operands; used when branch.placement is shared"});
    visit("startup", self.startup,
          {.min = 0, .max = 1e6, .meaning = "latency of an isolated instruction beyond its cubes"});
    visit("gap", self.gap, {.min = 0, .max = 1e6, .meaning = "cycles between back-to-back instructions"});
  }
};

struct MatrixTime {
  Cycles cubes;      // multiply-accumulate work
  Cycles occupancy;  // until the unit can start the next instruction
  Cycles latency;    // until the result is in the accumulator
};

constexpr MatrixTime matrix_time(const MatrixParams& params, int bits, std::int64_t m, std::int64_t n, std::int64_t k) {
  const std::int64_t k0 = params.cube.k0(bits);
  ensure(k0 > 0, "a {}-bit instruction on a matrix unit without that width", bits);
  const Cycles cubes(tiles_of(m, params.cube.m0) * tiles_of(n, params.cube.n0) * tiles_of(k, k0));
  const Cycles occupancy = cubes + params.gap;
  return {cubes, occupancy, std::max(occupancy, cubes + params.startup)};
}

}  // namespace oscsim::units
