// SPDX-License-Identifier: Apache-2.0
// One run: a trace on a machine under a scheme and a baseline.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/run/recorder.h"
#include "sim/run/result.h"

namespace oscsim {

// As given on the command line; names stand for files under configs/ and traces/.
struct RunOptions {
  std::string machine = "ascend_950pr";
  std::string trace = "qwen3_8b_prefill";
  std::string scheme = "osc";
  std::string baseline = "w8a8";
  std::vector<std::string> settings;  // --set path=value; paths start with machine, scheme, baseline, trace or mapping
  std::vector<std::string> tensors;   // safetensors files; empty: synthetic
  std::string costs = "7nm";          // table of energy and area
  std::string table;                  // channel table file; empty: from the tensors
  std::vector<std::string> gemms;     // "M,N,K[,position]", instead of the trace
  std::string layers;                 // "0-3"
  std::string only;                   // regular expression over GEMM names
  std::string outputs;                // safetensors file for the scheme's outputs
  bool timing_only = false;
  bool gemms_only = false;  // leave out what is no GEMM
  bool no_memo = false;     // equal work is simulated anew each time
  bool verify = false;
  bool chain = false;  // also run the GEMMs of dense layers one on the other's output
  bool allow_nonfinite = false;
  // Simulated core clock cycles of one side: GEMMs, shared work and operations together, as many as the totals count;
  // more of them are an InputError as soon as they are simulated. 0: no limit.
  std::int64_t cycle_limit = 0;
  std::uint64_t seed = 1;
  int threads = 0;  // 0: all
  numerics::Kernel kernel = numerics::Kernel::automatic;
};

// Called before each GEMM and at the end: (done, total, name of the next).
using Progress = std::function<void(std::size_t, std::size_t, const std::string&)>;

// InputError for anything the user can mend, before long work where possible.
RunResult run(const RunOptions& options, const Progress& progress = {}, const Recorders& recorders = {});

struct RunInputs;
class SideMemo;

// Of inputs that are read already; `memo` remembers timing across runs.
RunResult run(const RunOptions& options, const RunInputs& inputs, SideMemo* memo);

}  // namespace oscsim
