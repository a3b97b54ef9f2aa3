// SPDX-License-Identifier: Apache-2.0
// oscsim run
#include <memory>

#include "sim/cli/arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/limits.h"
#include "sim/cli/progress.h"
#include "sim/cli/recording.h"
#include "sim/cli/standard_output.h"
#include "sim/config/atomic_file.h"
#include "sim/report/csv.h"
#include "sim/report/json.h"
#include "sim/report/table.h"
#include "sim/run/run.h"

namespace oscsim {
namespace {

struct RunArguments {
  RunOptions options;
  std::string seed = "1", threads = "0", kernel = "auto";
  std::string json, csv;
  LimitArguments limits;
  RecordingArguments recording;
};

int run_command(RunArguments& arguments) {
  RunOptions& options = arguments.options;
  options.seed = static_cast<std::uint64_t>(integer_argument("--seed", arguments.seed, 0));
  options.threads = static_cast<int>(integer_argument("--threads", arguments.threads, 0, kMostThreads));
  options.kernel = choice_argument<numerics::Kernel>("--kernel", arguments.kernel);
  options.cycle_limit = arguments.limits.cycle_count();
  arguments.recording.check();
  config::OutputClaims::Outputs files = arguments.recording.files();
  files.insert(files.end(), {{"--json", arguments.json}, {"--csv", arguments.csv}, {"--outputs", options.outputs}});
  const config::OutputClaims claims = claim_outputs(files);

  ProgressLine line;
  TimeLimit time_limit(arguments.limits.seconds());
  const Progress progress = [&](std::size_t done, std::size_t total, const std::string& next) {
    time_limit.at(next);
    line.update(done, total, next);
    if (done == total) line.clear();
  };
  const RunResult result = recorded_run(arguments.recording, options, progress);
  time_limit.end();
  if (!arguments.json.empty()) config::write_file_atomically(arguments.json, result_json(result));
  if (!arguments.csv.empty()) config::write_file_atomically(arguments.csv, result_csv(result));
  print(result_table(result));
  return options.verify && result.differing() > 0 ? kCheckFailed : kDone;
}

void add_inputs(CLI::App& command, RunOptions& options) {
  const auto file = [&](const std::string& name, std::string& value, const char* meaning) {
    return command.add_option(name, value, meaning)->type_name("FILE|NAME")->capture_default_str();
  };
  file("--machine", options.machine, "machine; names stand for files of configs/machines");
  CLI::Option* trace = file("--trace", options.trace, "trace to replay; names stand for files of traces");
  file("--scheme", options.scheme, "scheme; names stand for files of configs/schemes");
  file("--baseline", options.baseline, "scheme to compare with");
  file("--costs", options.costs, "energy and area of each action and part; names stand for files of configs/costs");
  command.add_option("--gemm", options.gemms, "one GEMM instead of a trace; repeatable")
      ->type_name("M,N,K[,POSITION]")
      ->allow_extra_args(false)
      ->excludes(trace);
  command
      .add_option("--set", options.settings,
                  "change one value of machine, scheme, baseline, trace or mapping; repeatable")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
  command.add_option("--layers", options.layers, "layers to replay")->type_name("FIRST[-LAST]");
  command.add_option("--only", options.only, "GEMMs and operations whose name contains a match (RE2)")
      ->type_name("REGEX");
  command
      .add_option("--tensors", options.tensors,
                  "weights and activations: safetensors, or a Hugging Face checkpoint (its folder, or the index of its "
                  "shards), quantised ones too; repeatable; none: synthetic tensors")
      ->type_name("FILE|FOLDER");
  command.add_option("--table", options.table, "channel table; none: calibrated from the tensors")->type_name("FILE");
}

void add_outputs(CLI::App& command, RunArguments& arguments) {
  command.add_option("--json", arguments.json, "write the result, schema 1")->type_name("FILE");
  command
      .add_option("--csv", arguments.csv, "write the main columns; text that a spreadsheet would run begins with a '")
      ->type_name("FILE");
  command.add_option("--outputs", arguments.options.outputs, "write the scheme's outputs, safetensors in FP32")
      ->type_name("FILE");
  add_recording_options(command, arguments.recording);
}

}  // namespace

void add_run_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<RunArguments>();
  RunOptions& options = arguments->options;
  CLI::App& command = *app.add_subcommand("run", "Replay GEMMs on a machine under a scheme and a baseline");
  add_inputs(command, options);
  command.add_flag("--timing-only", options.timing_only, "no tensors, no outputs: cycles and traffic only");
  command.add_flag("--gemms-only", options.gemms_only, "leave out what is no GEMM: attention, norms and the like");
  command.add_flag("--no-memo", options.no_memo, "simulate equal work anew each time; the cycles are the same");
  command.add_flag("--verify", options.verify, "recompute with the scalar reference; exit status 1 when a bit differs");
  command.add_flag("--chain", options.chain,
                   "also run whole dense layers on their own quantised outputs, so that errors accumulate: for "
                   "captured tensors");
  command.add_flag("--allow-nonfinite", options.allow_nonfinite, "go on with NaN and Inf in tensors; NaN propagates");
  const auto value = [&](const char* name, std::string& text, const char* meaning, const char* type) {
    command.add_option(name, text, meaning)->type_name(type)->capture_default_str();
  };
  value("--seed", arguments->seed, "of synthetic tensors and of every sample", "N");
  value("--threads", arguments->threads, "0: all; results do not depend on it", "N");
  value("--kernel", arguments->kernel, "auto, avx512_vnni, avx2 or portable; results do not depend on it", "NAME");
  add_limit_options(command, arguments->limits, "the run");
  add_outputs(command, *arguments);
  command.footer(
      "Examples:\n"
      "  oscsim run --machine ascend_950pr --layers 0 --json result.json\n"
      "  oscsim run --gemm 2048,4096,4096,attn_in --set machine.core.gather.lanes=32 --verify\n"
      "  oscsim run --layers 0 --timing-only --timeline layer.json.gz --timeline-cores 0,1\n");
  command.callback([arguments, &action] { action = [arguments] { return run_command(*arguments); }; });
}

}  // namespace oscsim
