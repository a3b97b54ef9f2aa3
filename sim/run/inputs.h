// SPDX-License-Identifier: Apache-2.0
// Everything a run reads, checked and resolved before any work starts.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "models/cost/cost_table.h"
#include "models/schemes/scheme.h"
#include "models/units/machine.h"
#include "sim/config/overrides.h"
#include "sim/mapping/mapping_params.h"
#include "sim/run/run.h"
#include "sim/workload/channel_table_file.h"
#include "sim/workload/tensors.h"
#include "sim/workload/trace.h"

namespace oscsim {

// A scheme file: the scheme, and what it pins of the mapping.
struct SchemeConfig : SchemeParams {
  MappingParams mapping;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    SchemeParams::fields(visit, self);
    visit("mapping", self.mapping, {.meaning = "pinned tile sizes, loop order and core split; absent: searched"});
  }
};

// What of a trace --set can reach.
struct TraceSettings {
  SyntheticParams synthetic;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("synthetic", self.synthetic, {.meaning = "statistics of tensors that no file gives"});
  }
};

struct NamedScheme {
  std::string name;
  SchemeConfig config;
};

struct RunInputs {
  std::string machine_name;
  units::MachineParams machine;
  NamedScheme scheme, baseline;
  std::string costs_name;
  cost::CostTable costs;
  std::string trace_name;
  Trace trace;
  std::optional<ChannelTableFile> table;
  std::unique_ptr<TensorSource> tensors;
  nlohmann::ordered_json provenance;
};

RunInputs read_inputs(const RunOptions& options);

// What --set can change.
inline const std::vector<std::string> kRunDocuments{"machine", "scheme", "baseline", "trace", "mapping"};

// The files of runs, each found and read once.
class RunFiles {
 public:
  struct Document {
    std::string path, name;
    config::Node node;
    config::Problems problems;  // that leave it readable
  };

  const Document& machine(const std::string& name) { return document("configs/machines", name); }
  const Document& scheme(const std::string& name) { return document("configs/schemes", name); }
  const Document& costs(const std::string& name) { return document("configs/costs", name); }
  const Trace& trace(const std::string& name);

 private:
  const Document& document(std::string_view folder, const std::string& name);

  std::map<std::string, Document> documents_;
  std::map<std::string, Trace> traces_;
};

// As read_inputs, but with `overrides` instead of options.settings, with `trace` instead of the trace or GEMMs that the
// options name, when given, and without provenance. What is wrong joins `problems`, which are all thrown together.
RunInputs resolve_inputs(const RunOptions& options, RunFiles& files, std::span<const config::Override> overrides,
                         config::Problems& problems, const std::optional<Trace>& trace = std::nullopt);

}  // namespace oscsim
