// SPDX-License-Identifier: Apache-2.0
// What the units of a chip did, counted as their commands start: the actions that an energy model prices. Counts take
// no simulated time. Padding of a matrix unit counts like any other work: its multipliers see it.
#pragma once

#include <array>

#include "models/units/machine.h"
#include "models/units/program.h"

namespace oscsim::units {

// Bytes of an FP32 accumulator, and of an element of an activation.
inline constexpr std::int64_t kAccumulatorBytes = 4;
inline constexpr std::int64_t kActivationBytes = 2;

// A count by the width of operands.
template <class Count>
struct ByWidth {
  Count bits4{0}, bits8{0}, bits16{0};

  Count& operator[](int bits) { return bits == 4 ? bits4 : bits == 8 ? bits8 : bits16; }
  ByWidth& operator+=(const ByWidth& other) {
    bits4 += other.bits4;
    bits8 += other.bits8;
    bits16 += other.bits16;
    return *this;
  }
};
using MacCounts = ByWidth<Macs>;          // multiply-accumulates
using DotCounts = ByWidth<std::int64_t>;  // dot products of k0, each added to its sum

struct Activity {
  MacCounts tensor, branch;  // branch: of its passes, on whichever unit, and what else a unit of its own does
  DotCounts tensor_dots, branch_dots;
  Bytes l0{0}, l0c{0}, branch_l0{0}, branch_l0c{0}, l1{0}, ub{0};  // read and written
  std::int64_t gathered = 0;                                       // elements
  std::int64_t vector_elements = 0;                                // elements x instructions

  Activity& operator+=(const Activity& other) {
    tensor += other.tensor;
    branch += other.branch;
    tensor_dots += other.tensor_dots;
    branch_dots += other.branch_dots;
    for (Bytes Activity::*bytes :
         {&Activity::l0, &Activity::l0c, &Activity::branch_l0, &Activity::branch_l0c, &Activity::l1, &Activity::ub})
      this->*bytes += other.*bytes;
    gathered += other.gathered;
    vector_elements += other.vector_elements;
    return *this;
  }
};

// What a matrix unit does for one instruction.
struct MatrixActivity {
  Macs macs{0};
  std::int64_t dots = 0;
  Bytes operands{0};      // read from its operand buffers
  Bytes accumulators{0};  // read and written
};
MatrixActivity matrix_activity(const MatrixParams& params, int bits, std::int64_t m, std::int64_t n, std::int64_t k);

// Adds what `command` does on its unit.
void count_load(Activity& activity, const Command& command, const LoadWork& work);
void count_gather(Activity& activity, const GatherWork& work);
void count_vector(Activity& activity, const Command& command, const VectorWork& work);
void count_passes(Activity& activity, const Command& command, const PassesWork& work);
void count_feed(Activity& activity, const Command& command, const FeedWork& work);
void count_matmul(Activity& activity, const Command& command, const MatmulWork& work, const MatrixParams& params);
void count_drain(Activity& activity, const Command& command, const DrainWork& work, const DrainParams& params);

}  // namespace oscsim::units
