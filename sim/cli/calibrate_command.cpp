// SPDX-License-Identifier: Apache-2.0
// oscsim calibrate
#include <memory>
#include <set>
#include <span>

#include "models/schemes/scheme.h"
#include "sim/cli/arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/progress.h"
#include "sim/cli/standard_output.h"
#include "sim/report/text_table.h"
#include "sim/report/version.h"
#include "sim/workload/calibration.h"

namespace oscsim {
namespace {

constexpr std::size_t kMostLayerRows = 12;  // beyond, a row stands for several layers

struct CalibrateArguments {
  CalibrateOptions options;
  std::string group = "32", alpha = "5", output;
  std::vector<std::string> decisions;
};

// "down_in=osc"
void add_decision(const std::string& text, std::map<Position, Treatment>& decide) {
  const std::size_t sign = text.find('=');
  if (sign == std::string::npos) input_error("--decide {}: expected POSITION=osc or POSITION=fallback", text);
  const std::string option = "--decide " + text;
  const auto position = choice_argument<Position>(option, text.substr(0, sign));
  const auto treatment = choice_argument<Treatment>(option, text.substr(sign + 1));
  if (!decide.emplace(position, treatment).second)
    input_error("{}: a second decision for {}", option, name_of(position));
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f}", 100 * *share) : "-";
}

std::string tier(const std::optional<double>& density) {
  if (!density) return "no outliers";
  return *density > kHighDensity ? "high" : *density >= kModerateDensity ? "moderate" : "low";
}

std::string positions_text(const CalibrationResult& result, bool has_held_out) {
  std::vector<TextTable::Column> columns{{"position"},
                                         {"tensors", "", Align::right},
                                         {"groups", "", Align::right},
                                         {"bypassed", "%", Align::right},
                                         {"density", "%", Align::right},
                                         {"lowest", "layer, %", Align::right},
                                         {"highest", "layer, %", Align::right}};
  if (has_held_out) columns.push_back({"held out", "hits, %", Align::right});
  columns.insert(columns.end(), {{"tier"}, {"decision"}});
  TextTable table(columns);
  for (const auto& [position, summary] : result.positions) {
    const DensitySummary& mean = summary.mean;
    const double bypassed = static_cast<double>(mean.bypassed) / static_cast<double>(mean.groups);
    std::vector<std::string> cells{std::string(name_of(position)), fmt::format("{}", mean.tensors),
                                   fmt::format("{}", mean.groups), percent(bypassed),
                                   percent(mean.density),          percent(summary.lowest),
                                   percent(summary.highest)};
    if (has_held_out) cells.push_back(percent(mean.hit_rate));
    cells.push_back(tier(mean.density));
    cells.push_back(fmt::format("{}{}", name_of(summary.decision), summary.is_overridden ? " (--decide)" : ""));
    table.add(cells);
  }
  return table.text();
}

// Density, with the hit rate of held-out tokens behind it where there are any: the mean over the row's layers.
std::string layers_cell(const PositionSummary& summary, std::span<const std::int64_t> layers, bool has_held_out) {
  double density = 0, rate = 0;
  int densities = 0, rates = 0;
  for (const std::int64_t layer : layers) {
    const auto found = summary.layers.find(layer);
    if (found == summary.layers.end()) continue;
    const DensitySummary& each = found->second;
    if (each.density) density += *each.density, ++densities;
    if (each.hit_rate) rate += *each.hit_rate, ++rates;
  }
  const auto mean = [](double sum, int count) {
    return percent(count == 0 ? std::nullopt : std::optional(sum / count));
  };
  return mean(density, densities) + (has_held_out ? " / " + mean(rate, rates) : "");
}

std::string layers_text(const CalibrationResult& result, bool has_held_out) {
  std::set<std::int64_t> all;
  for (const auto& [position, summary] : result.positions)
    for (const auto& [layer, of_layer] : summary.layers) all.insert(layer);
  all.erase(-1);
  if (all.empty()) return "";
  const std::vector<std::int64_t> layers(all.begin(), all.end());
  std::vector<TextTable::Column> columns{{"layers"}};
  for (const auto& [position, summary] : result.positions)
    columns.push_back({std::string(name_of(position)), has_held_out ? "density / held out, %" : "density, %",
                       TextTable::Align::right});
  TextTable table(columns);
  const std::size_t step = (layers.size() + kMostLayerRows - 1) / kMostLayerRows;
  for (std::size_t first = 0; first < layers.size(); first += step) {
    const auto part = std::span(layers).subspan(first, std::min(step, layers.size() - first));
    std::vector<std::string> cells{part.size() == 1 ? fmt::format("{}", part.front())
                                                    : fmt::format("{}-{}", part.front(), part.back())};
    for (const auto& [position, summary] : result.positions) cells.push_back(layers_cell(summary, part, has_held_out));
    table.add(cells);
  }
  return "\n" + table.text();
}

int calibrate_command(CalibrateArguments& arguments) {
  CalibrateOptions& options = arguments.options;
  if (options.files.empty()) input_error("no input: FILE.safetensors with activations");
  options.group = integer_argument("--group", arguments.group, kSmallestGroup, kLargestGroup);
  options.alpha = number_argument("--alpha", arguments.alpha, 0, kLargestAlpha);
  for (const std::string& text : arguments.decisions) add_decision(text, options.decide);
  const config::OutputClaims claims = claim_outputs({{"-o", arguments.output}});

  ProgressLine line;
  CalibrationResult result =
      calibrate_files(options, [&line](std::size_t done, std::size_t total, const std::string& next) {
        line.update(done, total, next);
        if (done == total) line.clear();
      });
  result.file.version = fmt::format("oscsim {} (git {})", version(), git_hash());
  if (!arguments.output.empty()) write_channel_tables(arguments.output, result.file);

  const bool has_held_out = !options.held_out.empty();
  std::string text = fmt::format("{} activations, groups of {} channels, threshold {} x mean magnitude\n\n",
                                 result.file.tables.size(), options.group, options.alpha);
  text += positions_text(result, has_held_out) + layers_text(result, has_held_out);
  if (!arguments.output.empty()) text += fmt::format("\nchannel tables: {}\n", plain_ascii(arguments.output));
  print(text);
  return kDone;
}

}  // namespace

void add_calibrate_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<CalibrateArguments>();
  CLI::App& command = *app.add_subcommand("calibrate", "Find the outlier channels of activations, and where OSC pays");
  command
      .add_option("tensors", arguments->options.files,
                  "activations [tokens, channels] in BF16, F16 or F32; names end in .attn_in, .o_in, .ffn_in, .down_in "
                  "or .input, other tensors are left alone")
      ->type_name("FILE.safetensors");
  command.add_option("--group", arguments->group, "channels of a group: 16 (NVFP4), 32 (MXFP4), 64 (HiF4)")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--alpha", arguments->alpha, "threshold, in mean magnitudes of the activation")
      ->type_name("X")
      ->capture_default_str();
  command
      .add_option("--holdout", arguments->options.held_out,
                  "the same activations of other prompts: how often the table's channel holds the outlier there; "
                  "repeatable")
      ->type_name("FILE.safetensors")
      ->allow_extra_args(false);
  command
      .add_option("--decide", arguments->decisions,
                  "osc or fallback for a position, instead of its density's tier; repeatable")
      ->type_name("POSITION=osc|fallback")
      ->allow_extra_args(false);
  command
      .add_option("-o,--output", arguments->output,
                  "channel tables to write, for oscsim run --table; none: only a summary")
      ->type_name("FILE.yaml");
  command.footer(
      "Density of a group: of the tokens whose maximum exceeds the threshold, the share that has it in the group's\n"
      "most frequent channel. Of an activation: the mean over the groups that have such tokens. A position below 35 %\n"
      "falls back; above 60 % is high, between them moderate, both OSC (arXiv 2604.12782). oscsim run --table "
      "follows.\n\n"
      "Examples:\n"
      "  oscsim calibrate calibration.safetensors --holdout evaluation.safetensors --group 32 -o table.yaml\n"
      "  oscsim calibrate calibration.safetensors --decide down_in=osc -o table.yaml\n");
  command.callback([arguments, &action] { action = [arguments] { return calibrate_command(*arguments); }; });
}

}  // namespace oscsim
