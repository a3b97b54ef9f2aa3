// SPDX-License-Identifier: Apache-2.0
// Axes: what varies, and the values it takes.
#pragma once

#include <vector>

#include "sim/sweep/parameter.h"

namespace oscsim::sweep {

struct AxisValue {
  config::Node node;             // as the reader takes it
  std::string text;              // on one line, with its unit
  nlohmann::ordered_json plain;  // a number in base units, text, truth value or null
};

// One parameter, or several that go together: values[i] holds one value of each of them.
struct Axis {
  std::vector<Parameter> parameters;
  std::vector<std::vector<AxisValue>> values;
};

AxisValue axis_value(const Parameter& parameter, config::Node node);

// `path: [a, b]` or `path: {from: a, to: b, ...}`. Everything that is wrong goes to `problems`, but for values that the
// parameter's own reader has to judge.
std::optional<Axis> read_axis(const config::Node::Entry& entry, config::Problems& problems);

// A map of axes with equally many values each.
std::optional<Axis> read_linked(const config::Node& group, config::Problems& problems);

// A list of maps that all have the same parameters: one axis of all of them.
std::optional<Axis> read_points(const config::Node& list, config::Problems& problems);

}  // namespace oscsim::sweep
