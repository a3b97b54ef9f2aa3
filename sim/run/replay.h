// SPDX-License-Identifier: Apache-2.0
// Replays the GEMMs and operations of a trace one after the other, under the scheme and under the baseline: cycles
// always; values of the GEMMs unless the run is timing-only.
#pragma once

#include <map>
#include <memory>

#include "models/schemes/operands.h"
#include "sim/run/accuracy.h"
#include "sim/run/chain.h"
#include "sim/run/costs.h"
#include "sim/run/inputs.h"
#include "sim/run/output_hash.h"
#include "sim/run/timing.h"
#include "sim/run/verify.h"

namespace oscsim {

// Called with each output [m, n] of the scheme, in trace order.
using OutputSink = std::function<void(const Gemm&, const numerics::Matrix&)>;

class Replay {
 public:
  Replay(const RunOptions& options, const RunInputs& inputs, const Recorders& recorders = {}, SideMemo* memo = nullptr);

  void gemm(const Gemm& gemm, RunResult& result, const OutputSink& sink);
  // Cycles only.
  void operation(const Operation& operation, RunResult& result);
  // Completes the result after the last GEMM.
  void finish(RunResult& result);

 private:
  // An activation while GEMMs that read it are still to come.
  struct Input {
    std::int64_t readers = 0;          // GEMMs to come
    std::optional<Treatment> decided;  // by the channel table's file
    std::optional<Tensor> tensor;
    std::map<std::string, ChannelTable> tables;       // by group and alpha
    std::map<std::string, PreparedOperand> prepared;  // by the plan's treatment
    std::map<std::string, bool> reported;             // shared work in the result
  };

  const Tensor& tensor(const Gemm& gemm, Input& input);
  const ChannelTable* table(const Gemm& gemm, const GemmPlan& plan, Input& input);
  void shared_work(const Gemm& gemm, Input& input, RunResult& result);
  // Under 8-bit formats Q, K and V of the new tokens are cast first.
  std::optional<SideResult> attention_cast(Side side, const Operation& cast);
  SideResult operation_side(Side side, const Operation& operation);
  GemmPlan plan_of(const NamedScheme& scheme, const Gemm& gemm) const;
  // `result` as that of `label`, with the energy of what it did.
  SideResult labelled(SideResult result, const WorkLabel& label, const MacKinds& kinds) const;
  const NamedScheme& scheme_of(Side side) const { return side == Side::scheme ? inputs_.scheme : inputs_.baseline; }
  SideResult timed(Side side, const Gemm& gemm, Input& input, const units::TileObserver& on_output);
  numerics::GemmOperands operands(const GemmPlan& plan, const PreparedOperand& activation,
                                  const PreparedOperand& weight) const;
  // Fills in both sides of the result's last GEMM.
  void both_computed(const Gemm& gemm, Input& input, RunResult& result, const OutputSink& sink);
  // The GEMM on the input that the side's chain gives.
  Closeness chained(Side side, const Gemm& gemm, const GemmPlan& plan, const ChannelTable* channels,
                    const PreparedOperand& weight);
  // The result is how close the unquantised chain's input is to the captured one.
  Closeness exact_chained(const Gemm& gemm, numerics::MatrixView captured, numerics::MatrixView weight);
  void finish_chained_layer(const Gemm& gemm, RunResult& result) const;
  // `dispatched`: the rows of X [input_rows, k] that the GEMM reads; empty: all.
  ExactRows exact(const Gemm& gemm, numerics::MatrixView x, numerics::MatrixView weight,
                  const std::vector<std::int64_t>& dispatched) const;
  SideResult computed(Side side, const Gemm& gemm, Input& input, const Weight& weight, const ExactRows& exact,
                      const std::vector<std::int64_t>& rows, numerics::Matrix& output);
  Verification verify(const GemmPlan& plan, const Gemm& gemm, Input& input, const Weight& weight,
                      const std::vector<std::int64_t>& rows, const PreparedOperand& activation,
                      const PreparedOperand& prepared_weight, const numerics::Matrix& output);

  const RunOptions& options_;
  const RunInputs& inputs_;
  numerics::Accumulator accumulator_;
  TimingModel timing_;
  cost::CostModel costs_;
  std::map<std::string, Input> waiting_;
  std::optional<Chain> chain_;
  OutputHash hash_;
};

}  // namespace oscsim
