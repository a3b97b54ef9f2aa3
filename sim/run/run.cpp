// SPDX-License-Identifier: Apache-2.0
#include "sim/run/run.h"

#include <malloc.h>
#include <tbb/global_control.h>

#include <limits>

#include "sim/run/inputs.h"
#include "sim/run/replay.h"
#include "sim/workload/safetensors.h"

namespace oscsim {
namespace {

void add(SideTotal& total, const SideResult& side, std::int64_t repeat) {
  total.cycles += side.cycles * repeat;
  total.time_us += side.time_us * static_cast<double>(repeat);
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
};

void replay_all(const RunContext& context, const OutputSink& sink, RunResult& result) {
  const auto& [options, inputs, progress, recorders] = context;
  Replay replay(options, inputs, recorders);
  const std::vector<Gemm>& gemms = inputs.trace.gemms;
  for (std::size_t i = 0; i < gemms.size(); ++i) {
    if (progress) progress(i, gemms.size(), gemms[i].name);
    replay.gemm(gemms[i], result, sink);
  }
  replay.finish(result);
  if (progress) progress(gemms.size(), gemms.size(), "");
}

// The scheme's outputs go to the file while they are computed: it appears when the last one is there.
void replay_into_file(const RunContext& context, RunResult& result) {
  const RunInputs& inputs = context.inputs;
  std::vector<SafetensorsSpec> specs;
  for (const Gemm& gemm : inputs.trace.gemms) specs.push_back({gemm.name + ".output", "F32", {gemm.m, gemm.n}});
  const std::string provenance = inputs.provenance.dump();
  write_safetensors(context.options.outputs, specs, {{"provenance", provenance}}, [&](SafetensorsBody& body) {
    const auto append = [&](const Gemm&, const numerics::Matrix& output) {
      const auto bytes = static_cast<std::size_t>(output.rows() * output.cols()) * sizeof(float);
      body.append({output.view().data(), bytes});
    };
    replay_all(context, append, result);
  });
}

}  // namespace

RunResult run(const RunOptions& options, const Progress& progress, const Recorders& recorders) {
  if (options.timing_only && options.verify) input_error("--verify compares outputs: not with --timing-only");
  if (options.timing_only && !options.outputs.empty()) input_error("--outputs needs outputs: not with --timing-only");
  std::optional<tbb::global_control> threads;
  if (options.threads > 0)
    threads.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.threads));
  const RunInputs inputs = read_inputs(options);
  for (Recorder* recorder : recorders) recorder->open(inputs.machine, inputs.trace.gemms);
  keep_freed_memory();

  RunResult result;
  result.machine = inputs.machine_name;
  result.scheme = inputs.scheme.name;
  result.baseline = inputs.baseline.name;
  result.trace = inputs.trace_name;
  result.provenance = inputs.provenance;
  const RunContext context{options, inputs, progress, recorders};
  if (options.outputs.empty())
    replay_all(context, {}, result);
  else
    replay_into_file(context, result);

  for (const GemmResult& gemm : result.gemms) {
    add(result.scheme_total, gemm.scheme, gemm.repeat);
    add(result.baseline_total, gemm.baseline, gemm.repeat);
  }
  for (const SharedResult& shared : result.shared) {
    if (shared.scheme) add(result.scheme_total, *shared.scheme, shared.repeat);
    if (shared.baseline) add(result.baseline_total, *shared.baseline, shared.repeat);
  }
  return result;
}

}  // namespace oscsim
