// SPDX-License-Identifier: Apache-2.0
// From a choice of values to everything a run needs, and to the key of what is simulated.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "sim/run/inputs.h"
#include "sim/sweep/axis.h"
#include "sim/sweep/condition.h"
#include "sim/sweep/sweep_file.h"

namespace oscsim::sweep {

struct Choice {
  const Parameter* parameter;
  const AxisValue* value;
};
using Choices = std::span<const Choice>;

class Resolver {
 public:
  // Paths in `base` and in choices are looked up in `folder`, where the sweep file is, first.
  Resolver(BaseParams base, std::filesystem::path folder, RunFiles files = {})
      : base_(std::move(base)), folder_(std::move(folder)), files_(std::move(files)) {}

  // Faults of the base, at `place` unless they have one of their own. Call it first.
  void check_base(const config::Place& place, config::Problems& problems);

  // Whether the base has what the parameter is of; otherwise what it lacks goes to `problems`.
  bool reaches(const Parameter& parameter, config::Problems& problems) const;

  // Faults of values that go together, judged by the readers of their documents: unknown paths, types, units, ranges.
  // What only another value could mend is left to the run.
  void check(Choices choices, config::Problems& problems);

  // InputError when the combination cannot be run.
  RunOptions options(Choices choices) const;
  RunInputs inputs(Choices choices);

  // 20 hexadecimal digits of a hash over everything that the result depends on.
  std::string key(Choices choices);

  // Of a parameter that does not vary.
  Value base_value(const Parameter& parameter, Choices choices);

  // The base as given, and its machine and schemes resolved.
  nlohmann::ordered_json description();

  const BaseParams& base() const { return base_; }

 private:
  // A document on its own, as a structure: with the base's settings, then those of `choices`.
  void read_document(const std::string& document, Choices choices, config::Problems& problems);
  std::vector<config::Override> overrides(Choices choices, std::string_view document) const;
  // As the sweep file calls it, and as a path or a name that can be located.
  std::string name_of_file(std::string_view document, Choices choices) const;
  std::string file_of(std::string_view document, Choices choices) const;
  std::string located(const std::string& name) const;
  const nlohmann::ordered_json& document_json(const std::string& document, const std::string& file);
  const std::string& file_hashes();
  std::optional<Trace> made_trace(Choices choices);
  template <class Params>
  Params changed(const Params& params, std::string_view document, Choices choices, config::Problems& problems) const;

  BaseParams base_;
  std::filesystem::path folder_;
  std::vector<config::Override> settings_;
  GemmParams gemm_;
  RunFiles files_;
  std::set<std::string> broken_;  // documents that are wrong without any change
  std::map<std::string, Trace> generated_;
  std::map<std::string, nlohmann::ordered_json> json_;
  std::optional<std::string> file_hashes_;
};

}  // namespace oscsim::sweep
