// SPDX-License-Identifier: Apache-2.0
// A small result made by hand: two GEMMs, one piece of shared work.
#pragma once

#include <string>

#include "sim/run/result.h"

namespace oscsim {

inline SideResult sample_side(const std::string& scheme, const std::string& formats, std::int64_t cycles) {
  SideResult side;
  side.scheme = scheme;
  side.formats = formats;
  side.cycles = Cycles(cycles);
  side.time_us = static_cast<double>(cycles) / 1000;  // 1 GHz
  side.bound = "tensor";
  side.cycle_stack = {{"tensor", Cycles(cycles - cycles / 4)}, {"wait_load", Cycles(cycles / 4)}, {"idle", Cycles(0)}};
  side.busy_cycles = {{"load", Cycles(cycles / 2)}, {"tensor", Cycles(cycles - cycles / 4)}};
  side.traffic = {Bytes(3'000'000), Bytes(1'000'000), Bytes(500'000), Bytes(0)};
  return side;
}

inline GemmResult sample_gemm(const std::string& name, std::int64_t m, std::int64_t scheme_cycles,
                              std::int64_t baseline_cycles) {
  GemmResult result;
  result.gemm = {.name = name,
                 .position = Position::attn_in,
                 .layer = 0,
                 .m = m,
                 .n = 64,
                 .k = 32,
                 .weight = name + ".weight",
                 .input = name + ".input",
                 .input_rows = m};
  result.scheme = sample_side("osc", "mxfp4 + bf16 branch", scheme_cycles);
  result.baseline = sample_side("w8a8", "fp8", baseline_cycles);
  return result;
}

inline void sum_up(RunResult& result) {
  result.scheme_total = result.baseline_total = {};
  const auto add = [](SideTotal& total, const SideResult& side, std::int64_t repeat) {
    total.cycles += side.cycles * repeat;
    total.time_us += side.time_us * static_cast<double>(repeat);
  };
  for (const GemmResult& gemm : result.gemms) {
    add(result.scheme_total, gemm.scheme, gemm.repeat);
    add(result.baseline_total, gemm.baseline, gemm.repeat);
  }
  result.scheme_operations = result.baseline_operations = {};
  for (const OperationResult& operation : result.operations) {
    for (SideTotal* total : {&result.scheme_total, &result.scheme_operations})
      if (operation.scheme) add(*total, *operation.scheme, operation.repeat);
    for (SideTotal* total : {&result.baseline_total, &result.baseline_operations})
      if (operation.baseline) add(*total, *operation.baseline, operation.repeat);
  }
  for (const SharedResult& shared : result.shared) {
    if (shared.scheme) add(result.scheme_total, *shared.scheme, shared.repeat);
    if (shared.baseline) add(result.baseline_total, *shared.baseline, shared.repeat);
  }
}

// A norm, which both sides have, and the cast of one side's attention.
inline std::vector<OperationResult> sample_operations() {
  std::vector<OperationResult> operations(2);
  operations[0].operation = {
      .name = "layers.0.norm", .kind = OperationKind::rms_norm, .layer = 0, .sizes = RowSizes{.rows = 16, .width = 32}};
  operations[0].kind = "rms_norm";
  operations[0].scheme = sample_side("osc", "", 2000);
  operations[0].baseline = sample_side("w8a8", "", 2000);
  operations[1].operation = {.name = "layers.0.attention",
                             .kind = OperationKind::attention,
                             .layer = 0,
                             .sizes = AttentionSizes{2, 8, 4, 64, 16, 128, true}};
  operations[1].kind = "attention";
  operations[1].scheme = sample_side("osc", "mxfp8", 3000);
  operations[1].scheme->attention_tile = AttentionTiling{16, 64, 64, 32, 128, 2, 1};
  return operations;
}

inline RunResult sample_result() {
  RunResult result;
  result.machine = "edge_npu";
  result.scheme = "osc";
  result.baseline = "w8a8";
  result.trace = "command line";
  result.provenance["version"] = "0.1.0";
  result.gemms = {sample_gemm("layers.0.q_proj", 16, 1000, 2000), sample_gemm("layers.0.o_proj", 16, 4000, 5000)};
  result.gemms[1].repeat = 2;
  SideResult gather = sample_side("osc", "gather, mxfp4", 1000);
  gather.bound = "gather";
  gather.cycle_stack = {{"gather", Cycles(600)}, {"idle", Cycles(400)}};
  result.shared = {{"layers.0.attn_in", Position::attn_in, 16, 32, 1, gather, std::nullopt}};
  sum_up(result);
  return result;
}

}  // namespace oscsim
