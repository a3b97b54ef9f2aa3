// SPDX-License-Identifier: Apache-2.0
// The parameters that a sweep can vary: every path that --set takes, generate.* and gemm.*, and whole files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/config/node.h"
#include "sim/config/units.h"

namespace oscsim::sweep {

struct Parameter {
  std::string path;               // machine.core.gather.lanes; machine alone is the whole file
  std::string document;           // machine
  std::vector<std::string> keys;  // core, gather, lanes; empty: the whole file
  std::string type;               // as `oscsim describe` shows it; "file"; empty: there is no such parameter
  const config::UnitSystem* units = nullptr;
  bool is_whole = false;   // an integer, or a quantity that counts
  bool is_number = false;  // with or without a unit
  config::Place place;     // where the sweep file names it
};

// The documents that a path can begin with.
const std::vector<std::string>& parameter_documents();

// "; did you mean '...'?" with the parameter whose path, or whose last key, is nearest to `word`; empty when none is
// near.
std::string did_you_mean_parameter(const std::string& word);

// Reads a dotted path. What no document is goes to `problems`; unknown keys do not, `type` is empty then.
std::optional<Parameter> parameter_of(const std::string& path, const config::Place& place, config::Problems& problems);

// A value as a plain number in base units, or as text, truth value or null. Null also for a text that is no number.
nlohmann::ordered_json plain_value(const Parameter& parameter, const config::Node& value);

// The number of a scalar, in base units; what is wrong with it otherwise.
config::Parsed<double> number_of(const Parameter& parameter, const std::string& text);

// The text of a number in base units that reads back as the same; whole parameters are rounded to the nearest.
std::string text_of(const Parameter& parameter, double number);

// A value on one line, as YAML writes it.
std::string value_text(const config::Node& value);

}  // namespace oscsim::sweep
