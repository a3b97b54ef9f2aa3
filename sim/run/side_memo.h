// SPDX-License-Identifier: Apache-2.0
// Timing remembered across runs on different machines: work whose result cannot depend on what differs between two
// machines is simulated once. A W8A8 GEMM does not see gather lanes; a cast does not see the matrix unit.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>

#include "models/schemes/plan.h"
#include "models/units/machine.h"
#include "sim/mapping/mapping_params.h"
#include "sim/run/result.h"

namespace oscsim {

// The parts of a machine that a piece of work can depend on; load, drain, L2, HBM and the like always.
struct UsedParts {
  bool matrix = true;              // feed, issue, operand buffers and the tensor unit
  std::set<int> widths{4, 8, 16};  // of operands on the tensor unit
  bool own_branch = true;          // the branch's unit
  bool branch_pass = true;         // the outlier branch, wherever it is
  bool cast = true;                // the vector unit and its buffer
  bool gather = true;
};
UsedParts used_by(const GemmPlan& plan, const MappingParams& pinned, const units::MachineParams& machine);
UsedParts used_by(const ActivationPlan& plan);

// Equal for two machines that differ only in parts that are not used.
std::string used_text(const units::MachineParams& machine, const UsedParts& used);

class SideMemo {
 public:
  // What `text`, which describes work and machine completely, came to; nullptr when it is not known.
  const SideResult* find(const std::string& text);
  // `search` and `simulation` are what it took to find out.
  void add(const std::string& text, const SideResult& result, std::chrono::nanoseconds search,
           std::chrono::nanoseconds simulation);

  // Where time went, for benchmarks.
  struct Counts {
    std::int64_t found = 0, simulated = 0;
    std::chrono::nanoseconds search{0}, simulation{0};
  };
  const Counts& counts() const { return counts_; }

 private:
  static constexpr std::size_t kMost = 50'000;  // results of some 2 KB

  std::unordered_map<std::string, SideResult> known_;
  Counts counts_;
};

}  // namespace oscsim
