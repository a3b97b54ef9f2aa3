// SPDX-License-Identifier: Apache-2.0
// Trace files: reading with every problem at its place, and writing.
#include <boost/algorithm/string/replace.hpp>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/config/writer.h"
#include "sim/workload/sha256.h"
#include "sim/workload/trace_document.h"

namespace oscsim {

// Found by argument-dependent lookup when the reader and the writer meet the field.
void read_value(const config::Node& node, RowCounts& rows, const config::ValueContext& context) {
  rows.is_list = node.kind() == config::Node::Kind::sequence;
  if (rows.is_list) return config::read_value(node, rows.values, context);
  config::read_value(node, rows.values.emplace_back(), context);
}

// An `op` that is none hides what else could be said about the entry: its keys depend on it.
void read_value(const config::Node& node, TraceEntry& entry, const config::ValueContext& context) {
  if (node.kind() != config::Node::Kind::map) return context.report_kind(node, "a map of keys");
  const std::size_t before = context.problems.size();
  if (const config::Node* op = node.find("op"))
    config::read_value(*op, entry.op,
                       {.path = context.path + ".op", .info = context.info, .problems = context.problems});
  if (context.problems.size() == before)
    config::SectionReader::read_section(&node, node.place(), context.path, entry, context.problems);
}

nlohmann::ordered_json value_to_json(const RowCounts& rows) {
  return rows.is_list ? nlohmann::ordered_json(rows.values) : nlohmann::ordered_json(rows.values.front());
}

namespace {

struct ReadTrace {
  TraceDocument document;
  Expanded expanded;
  std::string sha256;
};

ReadTrace read(const std::string& path, std::string text) {
  ReadTrace result;
  result.sha256 = sha256(text);
  config::Problems problems;
  const config::Node root = config::load_text(std::move(text), path, problems);
  result.document = config::read<TraceDocument>(root, problems);
  problems.throw_if_any();
  const config::Node& gemms = *root.find("gemms");
  result.expanded = expand(result.document.gemms, [&](std::size_t entry, const std::string& message) {
    problems.add(gemms.items()[entry].place(), fmt::format("gemms[{}]: {}", entry, message));
  });
  if (problems.empty() && result.expanded.empty()) problems.add(gemms.place(), "the trace has no GEMMs");
  problems.throw_if_any();
  return result;
}

// Keys whose value is the default stay out of the file.
template <class Params>
nlohmann::ordered_json difference(const Params& params) {
  const nlohmann::ordered_json defaults = config::to_json(Params{});
  const nlohmann::ordered_json given = config::to_json(params);
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, value] : given.items())
    if (value != defaults[key]) json[key] = value;
  return json;
}

void leave_out_nulls(nlohmann::ordered_json& list) {
  for (nlohmann::ordered_json& entry : list) {
    nlohmann::ordered_json kept = nlohmann::ordered_json::object();
    for (const auto& [key, value] : entry.items())
      if (!value.is_null()) kept[key] = value;
    entry = std::move(kept);
  }
}

nlohmann::ordered_json written(const TraceEntry& entry) {
  const nlohmann::ordered_json fields = config::to_json(entry);
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [key, value] : fields.items()) {
    const bool is_default = (key == "op" && entry.op == OperationKind::gemm) || (key == "window" && value == 0);
    if (!value.is_null() && !is_default) json[key] = value;
  }
  return json;
}

}  // namespace

TraceDocument read_trace_document(const std::string& path) {
  return read(path, config::read_file(path, config::kLargestFile)).document;
}

Trace read_trace(const std::string& path) {
  return read_trace(path, config::read_file(path, config::kLargestFile));
}

Trace read_trace(const std::string& path, std::string text) {
  ReadTrace read_trace = read(path, std::move(text));
  const TraceDocument& document = read_trace.document;
  return {.model = document.model,
          .phase = document.phase == Phase::other ? "" : std::string(name_of(document.phase)),
          .gemms = std::move(read_trace.expanded.gemms),
          .operations = std::move(read_trace.expanded.operations),
          .synthetic = document.synthetic,
          .chain = document.chain,
          .sha256 = read_trace.sha256};
}

std::string to_yaml(const TraceDocument& document) {
  nlohmann::ordered_json json;
  json["schema"] = document.schema;
  json["model"] = document.model;
  json["phase"] = std::string(name_of(document.phase));
  json["tokens"] = document.tokens;
  json["context"] = document.context;
  json["batch"] = document.batch;
  json["source"] = document.source;
  nlohmann::ordered_json synthetic = difference(document.synthetic);
  if (synthetic.contains("positions")) leave_out_nulls(synthetic["positions"]);
  if (!synthetic.empty()) json["synthetic"] = synthetic;
  if (document.chain) json["chain"] = config::to_json(*document.chain);
  json["gemms"] = nlohmann::ordered_json::array();
  for (const TraceEntry& entry : document.gemms) json["gemms"].push_back(written(entry));
  std::string text = config::json_to_yaml(json);
  // YAML 1.1 takes an `n` for false, so the writer quotes it; as a key it is a name to every reader that matters here.
  boost::replace_all(text, "\n    \"n\": ", "\n    n: ");
  return "# SPDX-License-Identifier: Apache-2.0\n# Written by oscsim trace. traces/README.md describes the format.\n" +
         text;
}

void write_trace(const std::string& path, const TraceDocument& document) {
  config::write_file_atomically(path, to_yaml(document));
}

}  // namespace oscsim
