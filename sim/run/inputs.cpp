// SPDX-License-Identifier: Apache-2.0
#include "sim/run/inputs.h"

#include <algorithm>
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

template <class Params>
Params read_document(const RunFiles::Document& file, std::string_view document, std::span<const Override> overrides,
                     Problems& problems) {
  problems.merge(file.problems);
  return config::read<Params>(config::with_overrides(file.node, document, overrides, problems), problems);
}

// `params` with the overrides of `document` on top.
template <class Params>
Params overridden(const Params& params, std::string_view document, std::span<const Override> overrides,
                  Problems& problems) {
  if (std::ranges::find(overrides, document, &Override::document) == overrides.end()) return params;
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
  json["configurations"] = config::search_root().string();
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
  json["costs_name"] = inputs.costs_name;
  json["costs_sha256"] = sha256_of_file(config::locate("configs/costs", options.costs).string());
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

const RunFiles::Document& RunFiles::document(std::string_view folder, const std::string& name) {
  const std::string key = fmt::format("{} {}", folder, name);
  if (const auto known = documents_.find(key); known != documents_.end()) return known->second;
  const std::filesystem::path path = config::locate(folder, name);
  Document document{path.string(), stem(path), {}, {}};
  document.node = config::load_file(path, document.problems);
  return documents_.emplace(key, std::move(document)).first->second;
}

const Trace& RunFiles::trace(const std::string& name) {
  if (const auto known = traces_.find(name); known != traces_.end()) return known->second;
  return traces_.emplace(name, read_trace(config::locate("traces", name).string())).first->second;
}

RunInputs resolve_inputs(const RunOptions& options, RunFiles& files, std::span<const Override> overrides,
                         Problems& problems, const std::optional<Trace>& trace) {
  RunInputs inputs;
  const RunFiles::Document& machine = files.machine(options.machine);
  const RunFiles::Document& scheme = files.scheme(options.scheme);
  const RunFiles::Document& baseline = files.scheme(options.baseline);
  inputs.machine_name = machine.name;
  inputs.machine = read_document<units::MachineParams>(machine, "machine", overrides, problems);
  inputs.scheme = {scheme.name, read_document<SchemeConfig>(scheme, "scheme", overrides, problems)};
  inputs.baseline = {baseline.name, read_document<SchemeConfig>(baseline, "baseline", overrides, problems)};
  const RunFiles::Document& costs = files.costs(options.costs);
  inputs.costs_name = costs.name;
  inputs.costs = read_document<cost::CostTable>(costs, "costs", {}, problems);
  const auto pinned = overridden(MappingParams{}, "mapping", overrides, problems);
  pin(inputs.scheme.config.mapping, pinned);
  pin(inputs.baseline.config.mapping, pinned);
  problems.throw_if_any();
  for (const NamedScheme* side : {&inputs.scheme, &inputs.baseline})
    check_branch(inputs.machine, config::whole(machine.path), *side, problems);
  problems.throw_if_any();

  const bool is_file = !trace && options.gemms.empty();
  inputs.trace_name = is_file ? stem(config::locate("traces", options.trace)) : "command line";
  inputs.trace = trace ? *trace : is_file ? files.trace(options.trace) : parse_gemms(options.gemms);
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
  return inputs;
}

RunInputs read_inputs(const RunOptions& options) {
  RunFiles files;
  Problems problems;
  const std::vector<Override> overrides = config::parse_overrides(options.settings, kRunDocuments, problems);
  RunInputs inputs = resolve_inputs(options, files, overrides, problems);
  inputs.provenance = provenance_of(options, inputs);
  return inputs;
}

}  // namespace oscsim
