// SPDX-License-Identifier: Apache-2.0
// What `oscsim describe` shows of parameters and traces, as text and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "sim/config/describe.h"
#include "sim/workload/trace.h"
#include "sim/workload/trace_document.h"

namespace oscsim {

// Below, `width` is that of a line in characters; the last column of a table is broken to fit.

// Every parameter: name, type, default, range or choices, meaning, source of the default; the units of each type below.
std::string parameters_text(std::span<const config::DescribeRow> rows, std::size_t width);
nlohmann::ordered_json parameters_json(std::span<const config::DescribeRow> rows);

// Every value of a resolved configuration beside its meaning, below its description.
std::string values_text(std::span<const config::DescribeRow> rows, const nlohmann::ordered_json& values,
                        std::size_t width);

struct TraceSummary {
  std::string name{}, path{}, model{}, phase{};
  std::int64_t tokens = 0, context = 0, batch = 0;
  std::size_t gemms = 0, operations = 0, layers = 0;
  double macs = 0;     // may exceed 63 bits
  double weights = 0;  // elements of different weight tensors
};
TraceSummary summary_of(const TraceDocument& document, const Trace& trace);
std::string trace_text(const TraceSummary& summary);
nlohmann::ordered_json trace_json(const TraceSummary& summary);

}  // namespace oscsim
