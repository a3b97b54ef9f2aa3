// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/resolver.h"

#include <algorithm>
#include <set>

#include "models/base/error.h"
#include "sim/config/canonical.h"
#include "sim/config/document.h"
#include "sim/config/files.h"
#include "sim/config/writer.h"
#include "sim/workload/generate.h"
#include "sim/workload/sha256.h"
#include "sim/workload/trace_select.h"

namespace oscsim::sweep {
namespace {

using config::Node;
using config::Override;
using config::Problems;
using Json = nlohmann::ordered_json;

constexpr std::size_t kKeyDigits = 20;  // 80 bits: no two of a billion points meet

// Runs `work`; an InputError becomes a problem at `place`.
void guarded(const config::Place& place, Problems& problems, const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    problems.add(place, error.what());
  }
}

TraceOptions options_of(const GenerateParams& params) {
  TraceOptions options;
  options.phase = params.phase;
  options.tokens = params.tokens;
  options.context = params.context;
  options.batch = params.batch;
  options.attention = params.attention;
  options.lm_head = params.lm_head;
  return options;
}

Trace generated(const GenerateParams& params) {
  if (params.phase == Phase::other) input_error("generate.phase is other; allowed: prefill, decode");
  return expand(generate(shape_of(params.model), options_of(params)), "generate");
}

std::string gemm_text(const GemmParams& gemm) {
  return fmt::format("{},{},{},{}", gemm.m, gemm.n, gemm.k, name_of(gemm.position));
}

void append(std::string& text, const Operation& operation) {
  text += fmt::format("{} {}", operation.name, name_of(operation.kind));
  if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes)) {
    text += fmt::format(" {} {} {} {} {} {} {} {}\n", sizes->sequences, sizes->heads, sizes->kv_heads, sizes->head_dim,
                        sizes->queries, sizes->keys, sizes->causal, sizes->window);
  } else {
    const auto& rows = std::get<RowSizes>(operation.sizes);
    text += fmt::format(" {} {} {} {}\n", rows.rows, rows.width, rows.head_dim, rows.experts_per_token);
  }
}

// What the results of a run depend on.
std::string content(const RunOptions& options, RunInputs& inputs, const std::string& file_hashes) {
  inputs.machine.description.clear();
  inputs.scheme.config.description.clear();
  inputs.baseline.config.description.clear();
  std::string text = "oscsim point 1\n";
  for (const std::string& part :
       {config::canonical_text(inputs.machine), config::canonical_text(inputs.scheme.config),
        config::canonical_text(inputs.baseline.config), config::canonical_text(inputs.trace.synthetic)})
    text += part + "\n";
  for (const Gemm& gemm : inputs.trace.gemms)
    text += fmt::format("{} {} {} {} {} {} {} {}\n", gemm.name, name_of(gemm.position), gemm.m, gemm.n, gemm.k,
                        gemm.weight, gemm.input, gemm.input_rows);
  for (const Operation& operation : inputs.trace.operations) append(text, operation);
  text += fmt::format("{} {} {}\n{}", options.seed, options.timing_only, options.gemms_only, file_hashes);
  return text;
}

const AxisValue* value_of(std::string_view path, Choices choices) {
  for (const Choice& choice : choices)
    if (choice.parameter->path == path) return choice.value;
  return nullptr;
}

}  // namespace

std::string Resolver::located(const std::string& name) const {
  return config::beside_or_as_is(folder_, name);
}

std::string Resolver::file_of(std::string_view document, Choices choices) const {
  return located(name_of_file(document, choices));
}

std::string Resolver::name_of_file(std::string_view document, Choices choices) const {
  if (const AxisValue* value = value_of(document, choices)) return value->text;
  if (document == "machine") return base_.machine;
  if (document == "scheme") return base_.scheme;
  if (document == "baseline") return base_.baseline;
  return base_.trace.value_or("");
}

std::vector<Override> Resolver::overrides(Choices choices, std::string_view document) const {
  std::vector<Override> all;
  for (const Override& setting : settings_)
    if (document.empty() || setting.document == document) all.push_back(setting);
  for (const Choice& choice : choices) {
    const Parameter& parameter = *choice.parameter;
    if (parameter.keys.empty() || (!document.empty() && parameter.document != document)) continue;
    all.push_back({parameter.document, parameter.keys, choice.value->node, parameter.place});
  }
  return all;
}

template <class Params>
Params Resolver::changed(const Params& params, std::string_view document, Choices choices, Problems& problems) const {
  const std::vector<Override> changes = overrides(choices, document);
  if (changes.empty()) return params;
  const Node node = config::load_text(config::to_yaml(params), std::string(document), problems);
  return config::read<Params>(config::with_overrides(node, document, changes, problems), problems);
}

void Resolver::read_document(const std::string& document, Choices choices, Problems& problems) {
  const auto of_file = [&](const RunFiles::Document& file, auto&& read) {
    problems.merge(file.problems);
    read(config::with_overrides(file.node, document, overrides(choices, document), problems));
  };
  if (document == "machine")
    of_file(files_.machine(file_of(document, choices)),
            [&](const Node& node) { config::read<units::MachineParams>(node, problems); });
  else if (document == "scheme" || document == "baseline")
    of_file(files_.scheme(file_of(document, choices)),
            [&](const Node& node) { config::read<SchemeConfig>(node, problems); });
  else if (document == "mapping")
    changed(MappingParams{}, document, choices, problems);
  else if (document == "trace")
    changed(TraceSettings{}, document, choices, problems);
  else if (document == "gemm")
    changed(gemm_, document, choices, problems);
  else if (base_.generate)
    changed(*base_.generate, document, choices, problems);
}

void Resolver::check_base(const config::Place& place, Problems& problems) {
  guarded(place, problems, [&] { settings_ = config::parse_overrides(base_.settings, kRunDocuments, problems); });
  for (const std::string& document : kRunDocuments) {
    const std::size_t before = problems.size();
    guarded(place, problems, [&] { read_document(document, {}, problems); });
    if (problems.size() > before) broken_.insert(document);
  }
  std::vector<std::string> missing;
  base_.check(missing);
  if (!missing.empty()) return;
  guarded(place, problems, [&] {
    Trace trace;
    if (base_.generate) trace = generated(*base_.generate);
    if (base_.trace) trace = files_.trace(located(*base_.trace));
    if (!base_.gemms.empty()) trace = parse_gemms(base_.gemms);
    if (base_.gemms.size() == 1) {
      const Gemm& gemm = trace.gemms.front();
      gemm_ = {gemm.m, gemm.n, gemm.k, gemm.position};
    }
    const RunOptions options = this->options({});
    std::optional<LayerRange> layers;
    if (!options.layers.empty()) layers = parse_layer_range(options.layers);
    std::optional<std::string> only;
    if (!options.only.empty()) only = options.only;
    select(std::move(trace), layers, only);
  });
  guarded(place, problems, [&] { file_hashes(); });
}

bool Resolver::reaches(const Parameter& parameter, Problems& problems) const {
  const std::size_t before = problems.size();
  if (parameter.document == "gemm" && base_.gemms.size() != 1)
    problems.add(parameter.place, fmt::format("{} needs one GEMM in base.gemms", parameter.path));
  if (parameter.document == "generate" && !base_.generate)
    problems.add(parameter.place, fmt::format("{} needs base.generate", parameter.path));
  if (parameter.path == "trace" && !base_.trace)
    problems.add(parameter.place, "trace can vary when the base has one: base.trace");
  return problems.size() == before;
}

void Resolver::check(Choices choices, Problems& problems) {
  std::set<std::string> documents;
  for (const Choice& choice : choices) {
    const Parameter& parameter = *choice.parameter;
    if (parameter.keys.empty()) {
      const Node& node = choice.value->node;
      if (node.kind() != Node::Kind::scalar)
        return problems.add(node.place(),
                            fmt::format("{} must be a name, found {}", parameter.path, node.description()));
      const std::size_t before = problems.size();
      guarded(node.place(), problems, [&] {
        if (parameter.path == "trace")
          files_.trace(located(node.text()));
        else
          read_document(parameter.document, std::span(&choice, 1), problems);
      });
      if (problems.size() > before) return;
    }
    documents.insert(parameter.document);
  }
  for (const std::string& document : documents) {
    if (broken_.contains(document)) continue;
    Problems found;
    guarded(choices.front().value->node.place(), problems, [&] { read_document(document, choices, found); });
    problems.merge(found.of_origin(choices.front().parameter->place.whole_text()));
    if (document == "generate" && found.empty())
      guarded(choices.front().value->node.place(), problems,
              [&] { generated(changed(*base_.generate, document, choices, found)); });
  }
}

RunOptions Resolver::options(Choices choices) const {
  RunOptions options;
  options.machine = file_of("machine", choices);
  options.scheme = file_of("scheme", choices);
  options.baseline = file_of("baseline", choices);
  options.costs = located(base_.costs);
  options.trace = file_of("trace", choices);
  options.gemms = base_.gemms;
  for (const std::string& name : base_.tensors) options.tensors.push_back(config::beside_or_as_is(folder_, name, true));
  options.table = located(base_.table);
  options.layers = base_.layers;
  options.only = base_.only;
  options.timing_only = base_.timing_only;
  options.gemms_only = base_.gemms_only;
  options.seed = static_cast<std::uint64_t>(base_.seed);
  return options;
}

// Of what the base generates, or its one GEMM with other sizes.
std::optional<Trace> Resolver::made_trace(Choices choices) {
  Problems problems;
  if (base_.generate) {
    const GenerateParams params = changed(*base_.generate, "generate", choices, problems);
    problems.throw_if_any();
    const std::string key = config::canonical_text(params);
    const auto known = generated_.find(key);
    return known != generated_.end() ? known->second : generated_.emplace(key, generated(params)).first->second;
  }
  const bool varies = std::ranges::any_of(choices, [](const Choice& c) { return c.parameter->document == "gemm"; });
  if (!varies) return std::nullopt;
  const GemmParams params = changed(gemm_, "gemm", choices, problems);
  problems.throw_if_any();
  return parse_gemms(std::vector<std::string>{gemm_text(params)});
}

RunInputs Resolver::inputs(Choices choices) {
  Problems problems;
  const std::optional<Trace> trace = made_trace(choices);
  return resolve_inputs(options(choices), files_, overrides(choices, ""), problems, trace);
}

std::string Resolver::key(Choices choices) {
  std::string text;
  try {
    RunInputs inputs = this->inputs(choices);
    text = content(options(choices), inputs, file_hashes());
  } catch (const InputError& error) {
    // A combination that cannot be run is what is asked for and why it cannot.
    text = fmt::format("oscsim refused point 1\n{}\n", error.what());
    std::set<std::string> values;
    for (const Choice& choice : choices)
      values.insert(fmt::format("{}={}", choice.parameter->path, choice.value->text));
    for (const std::string& value : values) text += value + "\n";
    text += fmt::format("{} {} {} {} {}", base_.machine, base_.scheme, base_.baseline, base_.trace.value_or(""),
                        fmt::join(base_.gemms, " "));
  }
  return sha256(text).substr(0, kKeyDigits);
}

const std::string& Resolver::file_hashes() {
  if (!file_hashes_) {
    const RunOptions options = this->options({});
    std::string text = "costs " + sha256_of_file(files_.costs(options.costs).path) + "\n";
    for (const std::string& file : options.tensors) text += sha256_of_file(file) + "\n";
    if (!options.table.empty()) text += "table " + sha256_of_file(options.table) + "\n";
    file_hashes_ = std::move(text);
  }
  return *file_hashes_;
}

const Json& Resolver::document_json(const std::string& document, const std::string& file) {
  const std::string key = document + " " + file;
  if (const auto known = json_.find(key); known != json_.end()) return known->second;
  Problems problems;
  const auto read = [&]<class Params>(const RunFiles::Document& from, Params) {
    const Node node = config::with_overrides(from.node, document, overrides({}, document), problems);
    return config::to_json(config::read<Params>(node, problems));
  };
  Json json;
  if (document == "machine") json = read(files_.machine(file), units::MachineParams{});
  if (document == "scheme" || document == "baseline") json = read(files_.scheme(file), SchemeConfig{});
  if (document == "mapping") json = config::to_json(changed(MappingParams{}, document, {}, problems));
  if (document == "trace") json = config::to_json(changed(TraceSettings{}, document, {}, problems));
  if (document == "gemm" && base_.gemms.size() == 1) json = config::to_json(gemm_);
  if (document == "generate" && base_.generate) json = config::to_json(*base_.generate);
  return json_.emplace(key, std::move(json)).first->second;
}

Json Resolver::description() {
  Json json = config::to_json(base_);
  for (const char* document : {"machine", "scheme", "baseline"})
    json[fmt::format("{}_resolved", document)] = document_json(document, file_of(document, {}));
  json["trace_sha256"] = base_.trace ? Json(files_.trace(located(*base_.trace)).sha256) : Json();
  return json;
}

Value Resolver::base_value(const Parameter& parameter, Choices choices) {
  if (parameter.keys.empty()) return name_of_file(parameter.document, choices);
  const std::string file = file_of(parameter.document, choices);
  const Json* json = &document_json(parameter.document, file);
  for (const std::string& key : parameter.keys) {
    if (!json->is_object() || !json->contains(key)) return {};
    json = &json->at(key);
  }
  if (json->is_number()) return json->get<double>();
  if (json->is_boolean()) return std::string(json->get<bool>() ? "true" : "false");
  if (!json->is_string()) return {};
  const std::string text = json->get<std::string>();
  if (!parameter.is_number) return text;
  const auto number = number_of(parameter, text);
  return number.value ? Value(*number.value) : Value();
}

}  // namespace oscsim::sweep
