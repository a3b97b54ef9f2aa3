// SPDX-License-Identifier: Apache-2.0
#include "sim/run/inputs.h"

#include <filesystem>

#include "sim/config/document.h"
#include "sim/config/files.h"
#include "sim/config/overrides.h"
#include "sim/config/reader.h"
#include "sim/config/writer.h"
#include "sim/report/version.h"
#include "sim/workload/sha256.h"
#include "sim/workload/trace_document.h"
#include "sim/workload/trace_select.h"

namespace oscsim {
namespace {

using config::Node;
using config::Override;
using config::Problems;

// What of a trace --set can reach.
struct TraceSettings {
  SyntheticParams synthetic;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("synthetic", self.synthetic, {.meaning = "statistics of tensors that no file gives"});
  }
};

template <class Params>
Params read_named(const std::filesystem::path& path, std::string_view document, const std::vector<Override>& overrides,
                  Problems& problems) {
  const Node file = config::load_file(path, problems);
  return config::read<Params>(config::with_overrides(file, document, overrides, problems), problems);
}

// `params` with the overrides of `document` on top.
template <class Params>
Params overridden(const Params& params, std::string_view document, const std::vector<Override>& overrides,
                  Problems& problems) {
  const Node resolved = config::load_text(config::to_yaml(params), std::string(document), problems);
  return config::read<Params>(config::with_overrides(resolved, document, overrides, problems), problems);
}

std::string stem(const std::filesystem::path& path) {
  return path.stem().string();
}

void pin(MappingParams& to, const MappingParams& from) {
  const auto take = [](auto& target, const auto& source) {
    if (source) target = source;
  };
  take(to.m, from.m);
  take(to.n, from.n);
  take(to.k, from.k);
  take(to.stage_k, from.stage_k);
  take(to.cores_m, from.cores_m);
  take(to.core_m, from.core_m);
  take(to.core_n, from.core_n);
  take(to.l1_slots, from.l1_slots);
  take(to.scale_stages, from.scale_stages);
  take(to.parts_m, from.parts_m);
  take(to.drain_follows, from.drain_follows);
  take(to.constants_folded, from.constants_folded);
  take(to.cores_n, from.cores_n);
  take(to.order, from.order);
  take(to.quantise, from.quantise);
}

Trace read_gemms(const RunOptions& options) {
  if (!options.gemms.empty()) return parse_gemms(options.gemms);
  return read_trace(config::locate("traces", options.trace).string());
}

// What a scheme asks of the machine's branch.
void check_branch(const units::MachineParams& machine, const config::Place& file, const NamedScheme& scheme,
                  Problems& problems) {
  if (!scheme.config.outliers) return;
  const units::CoreParams& core = machine.core;
  if (core.gather.mode == units::GatherMode::none)
    problems.add(file, fmt::format("core.gather.mode is none, but scheme '{}' gathers outlier channels\n"
                                   "  allowed: on_chip, on_load, strided_dma; or a scheme without outliers",
                                   scheme.name));
  if (core.branch.placement == units::BranchPlacement::own && !core.branch.l0c_port &&
      scheme.config.outliers->join_place == JoinPlace::l0c)
    problems.add(file, fmt::format("core.branch.l0c_port is false, but scheme '{}' joins its branch in L0C\n"
                                   "  allowed: outliers.join_place epilogue, or a branch unit with that port",
                                   scheme.name));
}

// What the last GEMM lacks is known before the first one runs.
void require_tensors(const RunInputs& inputs) {
  for (const Gemm& gemm : inputs.trace.gemms) {
    inputs.tensors->require(gemm.input, gemm.input_rows, gemm.k);
    inputs.tensors->require(gemm.weight, gemm.n, gemm.k);
  }
}

// A decision for the fallback needs formats to fall back to.
void check_decisions(const RunInputs& inputs) {
  for (const NamedScheme* scheme : {&inputs.scheme, &inputs.baseline}) {
    if (!scheme->config.outliers || scheme->config.fallback) continue;
    for (const Gemm& gemm : inputs.trace.gemms)
      if (inputs.table->decision(gemm.input) == Treatment::fallback)
        input_error(
            "{}: decides fallback for '{}', but scheme '{}' has no fallback\n"
            "  allowed: decision osc there, or a scheme with fallback.positions (which may be empty: [])",
            inputs.table->path, gemm.input, scheme->name);
  }
}

nlohmann::ordered_json provenance_of(const RunOptions& options, const RunInputs& inputs) {
  nlohmann::ordered_json json;
  json["version"] = version();
  json["git"] = git_hash();
  json["seed"] = options.seed;
  json["timing_only"] = options.timing_only;
  json["machine_name"] = inputs.machine_name;
  json["machine"] = config::to_json(inputs.machine);
  json["scheme_name"] = inputs.scheme.name;
  json["scheme"] = config::to_json(inputs.scheme.config);
  json["baseline_name"] = inputs.baseline.name;
  json["baseline"] = config::to_json(inputs.baseline.config);
  json["trace_name"] = inputs.trace_name;
  json["trace_sha256"] =
      inputs.trace.sha256.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(inputs.trace.sha256);
  json["gemms"] = options.gemms;
  json["layers"] = options.layers;
  json["only"] = options.only;
  json["gemms_only"] = options.gemms_only;
  json["chain"] = options.chain;
  json["synthetic"] = options.tensors.empty() ? config::to_json(inputs.trace.synthetic) : nlohmann::ordered_json();
  json["tensors"] = nlohmann::ordered_json::array();
  for (const auto& [file, hash] : inputs.tensors->hashes())
    json["tensors"].push_back({{"file", file}, {"sha256", hash}});
  json["table"] = nlohmann::ordered_json();
  if (inputs.table) json["table"] = {{"file", options.table}, {"sha256", sha256_of_file(options.table)}};
  return json;
}

}  // namespace

RunInputs read_inputs(const RunOptions& options) {
  RunInputs inputs;
  Problems problems;
  const std::vector<std::string> documents{"machine", "scheme", "baseline", "trace", "mapping"};
  const std::vector<Override> overrides = config::parse_overrides(options.settings, documents, problems);

  const auto machine_path = config::locate("configs/machines", options.machine);
  const auto scheme_path = config::locate("configs/schemes", options.scheme);
  const auto baseline_path = config::locate("configs/schemes", options.baseline);
  inputs.machine_name = stem(machine_path);
  inputs.machine = read_named<units::MachineParams>(machine_path, "machine", overrides, problems);
  inputs.scheme = {stem(scheme_path), read_named<SchemeConfig>(scheme_path, "scheme", overrides, problems)};
  inputs.baseline = {stem(baseline_path), read_named<SchemeConfig>(baseline_path, "baseline", overrides, problems)};
  const auto pinned = overridden(MappingParams{}, "mapping", overrides, problems);
  pin(inputs.scheme.config.mapping, pinned);
  pin(inputs.baseline.config.mapping, pinned);
  problems.throw_if_any();
  for (const NamedScheme* scheme : {&inputs.scheme, &inputs.baseline})
    check_branch(inputs.machine, config::whole(machine_path.string()), *scheme, problems);
  problems.throw_if_any();

  inputs.trace_name = options.gemms.empty() ? stem(config::locate("traces", options.trace)) : "command line";
  inputs.trace = read_gemms(options);
  inputs.trace.synthetic = overridden(TraceSettings{inputs.trace.synthetic}, "trace", overrides, problems).synthetic;
  problems.throw_if_any();
  std::optional<LayerRange> layers;
  if (!options.layers.empty()) layers = parse_layer_range(options.layers);
  std::optional<std::string> only;
  if (!options.only.empty()) only = options.only;
  inputs.trace = select(std::move(inputs.trace), layers, only);

  if (!options.table.empty()) inputs.table = read_channel_tables(options.table);
  if (inputs.table) check_decisions(inputs);
  inputs.tensors = options.tensors.empty()
                       ? synthetic_tensors(inputs.trace.synthetic, options.seed)
                       : safetensors_tensors(options.tensors, {.allow_nonfinite = options.allow_nonfinite});
  if (!options.timing_only) require_tensors(inputs);
  inputs.provenance = provenance_of(options, inputs);
  return inputs;
}

}  // namespace oscsim
