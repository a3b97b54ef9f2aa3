// SPDX-License-Identifier: Apache-2.0
// Everything a run reads, checked and resolved before any work starts.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "models/cost/cost_table.h"
#include "models/schemes/scheme.h"
#include "models/units/machine.h"
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

}  // namespace oscsim
