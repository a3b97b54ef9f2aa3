// SPDX-License-Identifier: Apache-2.0
// What a run yields; sim/report shows it.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/base/quantity.h"
#include "models/cost/breakdown.h"
#include "models/units/chip.h"
#include "sim/mapping/operation_program.h"
#include "sim/mapping/tiling.h"
#include "sim/workload/trace.h"

namespace oscsim {

// (part, cycles), in a fixed order; parts that are zero are kept, so that rows of a table line up.
using CycleList = std::vector<std::pair<std::string, Cycles>>;

// Of outputs and what they should be; NaN when an output is NaN.
struct ErrorSums {
  double signal = 0, output = 0, product = 0, noise = 0;  // exact^2, output^2, exact * output, (output - exact)^2
  double largest = 0;                                     // of abs(output - exact)
  // `weight`: outputs that one of the compared ones stands for.
  void add(const ErrorSums& other, double weight = 1);
};

// How close outputs are to what they should be. All NaN when an output is NaN.
struct Closeness {
  double sqnr_db = 0;  // infinite when there is no error
  double cosine = 0;   // of the angle between the two, as one vector each; NaN when one of them is zero
  double max_abs_error = 0;
};
Closeness closeness(const ErrorSums& sums);

// Quality of an output against the FP32 product of the unquantised operands.
struct Accuracy {
  double sqnr_db = 0;  // infinite when there is no error; NaN when an output is NaN
  double max_abs_error = 0;
  std::string output_sha256{};  // of the whole little-endian FP32 output, row-major
  std::int64_t rows = 0;        // of the output that the figures are over
  double cosine = 0;            // of the angle between output and product
  ErrorSums sums{};
};

// Recomputation by the scalar reference.
struct Verification {
  std::int64_t compared = 0;     // outputs
  std::int64_t outputs = 0;      // of the GEMM
  std::int64_t rows = 0;         // compared rows
  std::int64_t differing = 0;    // outputs, or codes and scales of an operand
  std::string first_difference;  // place and both values
};

// One GEMM, operation or piece of shared work under one scheme.
struct SideResult {
  std::string scheme;
  std::string formats;  // "mxfp4 + bf16 branch"
  Cycles cycles{0};
  double time_us = 0;
  std::string bound;      // largest part of the cycle stack
  CycleList cycle_stack;  // mean over the machine's cores; sums exactly to cycles
  CycleList busy_cycles;  // of each pipe, mean over the machine's cores, rounded
  units::Traffic traffic;
  units::Activity activity;
  cost::Energy energy;
  std::optional<Tiling> tile;                     // of a GEMM
  std::optional<AttentionTiling> attention_tile;  // of attention
  std::optional<Accuracy> accuracy;
  std::string weight;                // of a quantised checkpoint: how its codes enter (weight_cast.h); else empty
  std::optional<Closeness> chained;  // to the unquantised chain, with the input that this side's chain gives
  std::optional<Verification> verification;
};

struct GemmResult {
  Gemm gemm;
  std::int64_t repeat = 1;
  SideResult scheme;
  SideResult baseline;
  std::optional<Closeness> chain_input;  // of the unquantised chain, to the captured one
  double speedup() const { return baseline.time_us / scheme.time_us; }
};

// Work on an activation that several GEMMs share; a side without any has no entry.
struct SharedResult {
  std::string input;
  Position position{};
  std::int64_t m = 0, k = 0, repeat = 1;
  std::optional<SideResult> scheme, baseline;
};

// What stands between the GEMMs; a side without it (a cast that only one scheme's attention needs) has no entry.
struct OperationResult {
  Operation operation;
  std::string kind;  // of the operation, or "cast": attention's operands to the scheme's format
  std::int64_t repeat = 1;
  std::optional<SideResult> scheme, baseline;
};

// The outputs of a layer's GEMMs under one scheme.
struct LayerSide {
  std::string scheme;
  Closeness gemms;                   // all outputs as one vector, each GEMM on the captured input
  std::optional<Closeness> chained;  // the layer's output at the end of the chain
};
struct LayerResult {
  std::int64_t layer = 0;
  std::int64_t gemms = 0;
  LayerSide scheme, baseline;
};

struct SideTotal {
  Cycles cycles{0};
  double time_us = 0;
  cost::Energy energy;
};

struct RunResult {
  nlohmann::ordered_json provenance;
  std::string machine, scheme, baseline;  // names
  std::string trace;                      // name or description
  std::string costs;                      // name of the cost table
  cost::Area area;                        // of the machine
  std::vector<GemmResult> gemms;
  std::vector<OperationResult> operations;  // empty when they are left out
  std::vector<SharedResult> shared;
  std::vector<LayerResult> layers;                   // ascending; empty without outputs
  SideTotal scheme_total, baseline_total;            // gemms, shared work and operations, times repeat
  SideTotal scheme_operations, baseline_operations;  // of the trace's operations, also when they are left out
  std::int64_t left_out = 0;                         // operations of the trace that --gemms-only leaves out
  double speedup() const { return baseline_total.time_us / scheme_total.time_us; }
  // With the operations that are left out.
  double whole_us(const SideTotal& total, const SideTotal& operations_total) const {
    return total.time_us + (left_out > 0 ? operations_total.time_us : 0);
  }
  double whole_speedup() const {
    return whole_us(baseline_total, baseline_operations) / whole_us(scheme_total, scheme_operations);
  }
  // Share of GEMMs and shared work in the time of all.
  double scheme_gemm_share() const { return 1 - scheme_operations.time_us / whole_us(scheme_total, scheme_operations); }
  double baseline_gemm_share() const {
    return 1 - baseline_operations.time_us / whole_us(baseline_total, baseline_operations);
  }
  LayerResult& layer(std::int64_t number);  // there from the first call on
  bool verified() const;                    // a verification was asked for and none differs
  std::int64_t differing() const;
};

}  // namespace oscsim
