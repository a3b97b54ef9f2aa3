// SPDX-License-Identifier: Apache-2.0
// oscsim trace
#include <filesystem>
#include <memory>

#include "models/schemes/scheme.h"
#include "sim/cli/arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/progress.h"
#include "sim/cli/standard_output.h"
#include "sim/workload/fit.h"
#include "sim/workload/generate.h"
#include "sim/workload/trace_document.h"

namespace oscsim {
namespace {

struct TraceArguments {
  std::string model, from_csv, output;
  std::string phase, tokens, context, batch, layers, rows, skew, seed;  // empty: not given
  std::vector<std::string> fit;                                         // files with activations
  std::string group, alpha;                                             // of --fit; empty: not given
  bool lm_head = false, attention = false;
};

// A config.json, or a folder that has one, or the name of a model.
ModelShape shape(const std::string& model) {
  std::error_code error;
  const std::filesystem::path path(model);
  if (std::filesystem::is_regular_file(path / "config.json", error))
    return read_config_json((path / "config.json").string());
  if (model.ends_with(".json") || std::filesystem::exists(path, error)) return read_config_json(model);
  return shape_of(model);
}

// A generated trace is one of a model's two phases; files may have others.
Phase phase_of(const std::string& text) {
  const auto phase = enum_from<Phase>(text);
  const std::vector<std::string> allowed{"prefill", "decode"};
  if (!phase || *phase == Phase::other)
    input_error("--phase: unknown '{}'\n  allowed: {}{}", text, joined(allowed), did_you_mean(text, allowed));
  return *phase;
}

TraceOptions options_of(const TraceArguments& arguments) {
  TraceOptions options;
  if (arguments.phase.empty()) input_error("--phase is missing; allowed: prefill, decode");
  if (arguments.tokens.empty())
    input_error("--tokens is missing: the tokens of each sequence (prefill), or the number of sequences (decode)");
  options.phase = phase_of(arguments.phase);
  options.tokens = integer_argument("--tokens", arguments.tokens, 1);
  if (!arguments.context.empty()) options.context = integer_argument("--context", arguments.context, 0);
  if (!arguments.batch.empty()) options.batch = integer_argument("--batch", arguments.batch, 1);
  if (!arguments.layers.empty()) options.layers = parse_layer_range(arguments.layers);
  if (!arguments.rows.empty()) options.rows = choice_argument<ExpertRows>("--rows", arguments.rows);
  if (options.rows != ExpertRows::skewed && !(arguments.skew.empty() && arguments.seed.empty()))
    input_error("{} needs --rows skewed", arguments.skew.empty() ? "--seed" : "--skew");
  if (!arguments.skew.empty()) options.skew = number_argument("--skew", arguments.skew, 0, 16);
  if (!arguments.seed.empty()) options.seed = static_cast<std::uint64_t>(integer_argument("--seed", arguments.seed, 0));
  options.lm_head = arguments.lm_head;
  options.attention = arguments.attention;
  return options;
}

// The trace that scripts/capture.py writes beside its tensors.
std::string captured_trace(const std::string& tensors) {
  const std::filesystem::path path = std::filesystem::path(tensors).replace_extension(".yaml");
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    input_error("--fit {}: no trace '{}' beside it\n  allowed: a model or a trace in front, to be given the statistics",
                tensors, path.string());
  return path.string();
}

bool is_trace_file(const std::string& model) {
  return model.ends_with(".yaml") || model.ends_with(".yml");
}

// The GEMMs: of a model, of a topology file, or, to be fitted, of a trace that is there.
TraceDocument document(const TraceArguments& arguments) {
  if (!arguments.from_csv.empty()) return read_csv(arguments.from_csv);
  const bool is_fitted = !arguments.fit.empty();
  if (arguments.model.empty() && !is_fitted)
    input_error("no model: give a name such as Qwen3-8B, a config.json, or --from-csv FILE");
  if (!is_fitted || !(arguments.model.empty() || is_trace_file(arguments.model)))
    return generate(shape(arguments.model), options_of(arguments));
  for (const auto& [option, text] : {std::pair("--phase", arguments.phase),
                                     {"--tokens", arguments.tokens},
                                     {"--context", arguments.context},
                                     {"--batch", arguments.batch},
                                     {"--layers", arguments.layers},
                                     {"--rows", arguments.rows}})
    if (!text.empty()) input_error("{} needs a model: the trace that is there has its own", option);
  return read_trace_document(arguments.model.empty() ? captured_trace(arguments.fit.front()) : arguments.model);
}

FitOptions fit_options(const TraceArguments& arguments) {
  FitOptions options{.files = arguments.fit};
  if (!arguments.group.empty())
    options.group = integer_argument("--group", arguments.group, kSmallestGroup, kLargestGroup);
  if (!arguments.alpha.empty()) options.alpha = number_argument("--alpha", arguments.alpha, 0, kLargestAlpha);
  return options;
}

SyntheticParams fitted(const TraceArguments& arguments) {
  ProgressLine line;
  return fit_synthetic(fit_options(arguments), [&line](std::size_t done, std::size_t total, const std::string& next) {
    line.update(done, total, next);
    if (done == total) line.clear();
  });
}

int trace_command(const TraceArguments& arguments) {
  const config::OutputClaims claims = claim_outputs({{"-o", arguments.output}});
  if (arguments.fit.empty() && !(arguments.group.empty() && arguments.alpha.empty()))
    input_error("{} needs --fit", arguments.group.empty() ? "--alpha" : "--group");
  TraceDocument trace = document(arguments);
  if (!arguments.fit.empty()) trace.synthetic = fitted(arguments);
  if (arguments.output.empty())
    print(to_yaml(trace));
  else
    write_trace(arguments.output, trace);
  return kDone;
}

void add_fit_options(CLI::App& command, TraceArguments& arguments) {
  command
      .add_option("--fit", arguments.fit,
                  "captured activations: the trace gets their statistics, by position and layer, so that synthetic "
                  "tensors are like them; without a model, into a copy of the trace beside the first file; repeatable")
      ->type_name("FILE.safetensors")
      ->allow_extra_args(false);
  command.add_option("--group", arguments.group, "of --fit: channels of a group; default 32")->type_name("N");
  command.add_option("--alpha", arguments.alpha, "of --fit: threshold of outliers, in mean magnitudes; default 5")
      ->type_name("X");
}

}  // namespace

void add_trace_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<TraceArguments>();
  CLI::App& command = *app.add_subcommand("trace", "Write the GEMMs of a model's forward pass as a trace");
  CLI::Option* csv =
      command.add_option("--from-csv", arguments->from_csv, "lines Layer,M,N,K instead of a model")->type_name("FILE");
  const auto value = [&](const char* name, std::string& text, const char* meaning, const char* type) {
    command.add_option(name, text, meaning)->type_name(type)->excludes(csv);
  };
  value("model", arguments->model, "model of Qwen3, or a config.json of Hugging Face; with --fit also a trace",
        "MODEL|FILE");
  value("--phase", arguments->phase, "prefill or decode", "NAME");
  value("--tokens", arguments->tokens, "prefill: tokens of each sequence; decode: sequences", "N");
  value("--context", arguments->context, "tokens of each sequence in the KV cache", "N");
  value("--batch", arguments->batch, "sequences", "N");
  value("--layers", arguments->layers, "part of the layers", "FIRST[-LAST]");
  value("--rows", arguments->rows, "tokens of the experts: even (the default) or skewed", "NAME");
  value("--skew", arguments->skew, "exponent of skewed rows (Zipf); default 1", "S");
  value("--seed", arguments->seed, "of skewed rows; default 1", "N");
  command
      .add_flag("--attention", arguments->attention,
                "with attention, norms, RoPE, SiLU, residuals and expert routing, not only the linear layers")
      ->excludes(csv);
  command.add_flag("--lm-head", arguments->lm_head, "with the output embedding of the last token")->excludes(csv);
  add_fit_options(command, *arguments);
  command.add_option("-o,--output", arguments->output, "file to write; none: standard output")->type_name("FILE");
  command.footer(
      "Examples:\n"
      "  oscsim trace Qwen3-8B --phase prefill --tokens 2048 -o trace.yaml\n"
      "  oscsim trace --fit capture/calibration.safetensors -o fitted.yaml\n"
      "  oscsim trace Qwen3-8B --phase decode --tokens 16 --fit capture/calibration.safetensors -o fitted.yaml\n");
  command.callback([arguments, &action] { action = [arguments] { return trace_command(*arguments); }; });
}

}  // namespace oscsim
