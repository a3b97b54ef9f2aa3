// SPDX-License-Identifier: Apache-2.0
#include "sim/run/run.h"

#include <malloc.h>
#include <tbb/global_control.h>

#include <limits>
#include <map>

#include "sim/config/json_output.h"
#include "sim/run/chain.h"
#include "sim/run/inputs.h"
#include "sim/run/replay.h"
#include "sim/run/threads.h"
#include "sim/workload/safetensors.h"

namespace oscsim {
namespace {

void add(SideTotal& total, const SideResult& side, std::int64_t repeat) {
  const std::int64_t cycles = checked_product(side.cycles.count(), repeat, "the cycles of a run");
  if (cycles > std::numeric_limits<std::int64_t>::max() - total.cycles.count())
    input_error("the cycles of a run overflow: {} + {} does not fit in 63 bits", total.cycles.count(), cycles);
  total.cycles += Cycles(cycles);
  total.time_us += side.time_us * static_cast<double>(repeat);
  total.energy.add(side.energy, static_cast<double>(repeat));
}

void add(SideTotal& total, const SideTotal& part) {
  total.cycles += part.cycles;
  total.time_us += part.time_us;
  total.energy.add(part.energy);
}

void add(SideTotal& total, const std::optional<SideResult>& side, std::int64_t repeat) {
  if (side) add(total, *side, repeat);
}

// Totals; --gemms-only keeps of the operations what they take together.
void sum_up(RunResult& result, std::size_t left_out) {
  for (const OperationResult& operation : result.operations) {
    add(result.scheme_operations, operation.scheme, operation.repeat);
    add(result.baseline_operations, operation.baseline, operation.repeat);
  }
  for (const GemmResult& gemm : result.gemms) {
    add(result.scheme_total, gemm.scheme, gemm.repeat);
    add(result.baseline_total, gemm.baseline, gemm.repeat);
  }
  for (const SharedResult& shared : result.shared) {
    add(result.scheme_total, shared.scheme, shared.repeat);
    add(result.baseline_total, shared.baseline, shared.repeat);
  }
  if (left_out > 0) {
    result.left_out = static_cast<std::int64_t>(left_out);
    result.operations.clear();
  } else {
    add(result.scheme_total, result.scheme_operations);
    add(result.baseline_total, result.baseline_operations);
  }
}

// Of each layer, the outputs of all its GEMMs together.
void sum_up_layers(RunResult& result) {
  std::map<std::int64_t, std::pair<ErrorSums, ErrorSums>> sums;  // scheme, baseline
  for (const GemmResult& row : result.gemms) {
    if (row.gemm.layer < 0 || !row.scheme.accuracy || !row.baseline.accuracy) continue;
    auto& [scheme, baseline] = sums[row.gemm.layer];
    for (const auto& [to, from] : {std::pair(&scheme, &row.scheme), {&baseline, &row.baseline}})
      to->add(from->accuracy->sums, static_cast<double>(row.gemm.m) / static_cast<double>(from->accuracy->rows));
    ++result.layer(row.gemm.layer).gemms;
  }
  for (const auto& [number, sides] : sums) {
    LayerResult& layer = result.layer(number);
    layer.scheme.scheme = result.scheme;
    layer.scheme.gemms = closeness(sides.first);
    layer.baseline.scheme = result.baseline;
    layer.baseline.gemms = closeness(sides.second);
  }
}

// Every GEMM takes and frees the same hundreds of megabytes. Freed memory stays with the process: returned to the
// system, it would come back page by page, zeroed, which costs up to a tenth of a run.
void keep_freed_memory() {
  constexpr int kNever = std::numeric_limits<int>::max();
  mallopt(M_MMAP_THRESHOLD, kNever);
  mallopt(M_TRIM_THRESHOLD, kNever);
}

struct RunContext {
  const RunOptions& options;
  const RunInputs& inputs;
  const Progress& progress;
  const Recorders& recorders;
  SideMemo* memo = nullptr;
};

// In the order of the trace, GEMMs and operations together.
void replay_all(const RunContext& context, const OutputSink& sink, RunResult& result) {
  const auto& [options, inputs, progress, recorders, memo] = context;
  Replay replay(options, inputs, recorders, memo);
  const std::vector<Gemm>& gemms = inputs.trace.gemms;
  const std::vector<Operation>& operations = inputs.trace.operations;
  const std::size_t total = gemms.size() + operations.size();
  for (std::size_t done = 0, gemm = 0, operation = 0; done < total; ++done) {
    const bool is_gemm =
        operation == operations.size() || (gemm < gemms.size() && gemms[gemm].order < operations[operation].order);
    if (progress) progress(done, total, is_gemm ? gemms[gemm].name : operations[operation].name);
    if (is_gemm)
      replay.gemm(gemms[gemm++], result, sink);
    else
      replay.operation(operations[operation++], result);
  }
  replay.finish(result);
  if (progress) progress(total, total, "");
}

// The scheme's outputs go to the file while they are computed: it appears when the last one is there.
void replay_into_file(const RunContext& context, RunResult& result) {
  const RunInputs& inputs = context.inputs;
  std::vector<SafetensorsSpec> specs;
  for (const Gemm& gemm : inputs.trace.gemms) specs.push_back({gemm.name + ".output", "F32", {gemm.m, gemm.n}});
  const std::string provenance = config::json_text(inputs.provenance);
  write_safetensors(context.options.outputs, specs, {{"provenance", provenance}}, [&](SafetensorsBody& body) {
    const auto append = [&](const Gemm&, const numerics::Matrix& output) {
      const auto bytes = static_cast<std::size_t>(output.rows() * output.cols()) * sizeof(float);
      body.append({output.view().data(), bytes});
    };
    replay_all(context, append, result);
  });
}

RunResult replayed(const RunContext& context) {
  const auto& [options, inputs, progress, recorders, memo] = context;
  if (options.gemms_only && inputs.trace.gemms.empty()) input_error("--gemms-only leaves nothing: no GEMM is selected");
  if (options.chain) check_chain(inputs);
  for (Recorder* recorder : recorders) recorder->open(inputs.machine, inputs.trace.gemms);
  keep_freed_memory();

  RunResult result;
  result.machine = inputs.machine_name;
  result.scheme = inputs.scheme.name;
  result.baseline = inputs.baseline.name;
  result.trace = inputs.trace_name;
  result.costs = inputs.costs_name;
  result.provenance = inputs.provenance;
  if (options.outputs.empty())
    replay_all(context, {}, result);
  else
    replay_into_file(context, result);

  sum_up_layers(result);
  sum_up(result, options.gemms_only ? inputs.trace.operations.size() : 0);
  return result;
}

}  // namespace

RunResult run(const RunOptions& options, const Progress& progress, const Recorders& recorders) {
  if (options.timing_only && options.verify) input_error("--verify compares outputs: not with --timing-only");
  if (options.timing_only && !options.outputs.empty()) input_error("--outputs needs outputs: not with --timing-only");
  if (options.timing_only && options.chain) input_error("--chain computes outputs: not with --timing-only");
  if (options.chain && options.tensors.empty())
    input_error("--chain continues captured activations: it needs --tensors");
  std::optional<tbb::global_control> threads;
  if (options.threads > 0)
    threads.emplace(tbb::global_control::max_allowed_parallelism,
                    startable_threads(static_cast<std::size_t>(options.threads)));
  return replayed({options, read_inputs(options), progress, recorders});
}

RunResult run(const RunOptions& options, const RunInputs& inputs, SideMemo* memo) {
  return replayed({options, inputs, {}, {}, memo});
}

}  // namespace oscsim
