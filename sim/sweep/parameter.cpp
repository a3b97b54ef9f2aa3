// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/parameter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "models/base/error.h"
#include "sim/config/describe.h"
#include "sim/run/inputs.h"
#include "sim/sweep/sweep_file.h"

namespace oscsim::sweep {
namespace {

using config::DescribeRow;
using config::Node;
using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kFiles{"machine", "scheme", "baseline", "trace"};

// Types as `describe` shows them, by path.
const std::map<std::string, std::string>& types() {
  static const std::map<std::string, std::string> kTypes = [] {
    std::map<std::string, std::string> all;
    const auto add = [&all](std::string_view document, const std::vector<DescribeRow>& rows) {
      for (const DescribeRow& row : rows) all[fmt::format("{}.{}", document, row.path)] = row.type;
    };
    add("machine", config::describe<units::MachineParams>());
    add("scheme", config::describe<SchemeConfig>());
    add("baseline", config::describe<SchemeConfig>());
    add("mapping", config::describe<MappingParams>());
    add("trace", config::describe<TraceSettings>());
    add("generate", config::describe<GenerateParams>());
    add("gemm", config::describe<GemmParams>());
    return all;
  }();
  return kTypes;
}

const config::UnitSystem* units_named(std::string_view type) {
  for (const config::UnitSystem* units :
       {&config::kBytesUnits, &config::kBitsUnits, &config::kCyclesUnits, &config::kMacsUnits, &config::kHertzUnits,
        &config::kBytesPerSecondUnits, &config::kBytesPerCycleUnits, &config::kNanosecondsUnits})
    if (units->name == type) return units;
  return nullptr;
}

bool counts(const config::UnitSystem* units) {
  return units == &config::kBytesUnits || units == &config::kBitsUnits || units == &config::kCyclesUnits ||
         units == &config::kMacsUnits;
}

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> keys;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    keys.emplace_back(path.substr(begin, dot - begin));
    begin = dot + 1;
  }
  return keys;
}

template <class T>
config::Parsed<double> as_double(const config::Parsed<T>& parsed) {
  if (!parsed.value) return {std::nullopt, parsed.problem};
  return {static_cast<double>(*parsed.value), {}};
}

}  // namespace

const std::vector<std::string>& parameter_documents() {
  static const std::vector<std::string> kDocuments{"machine", "scheme",   "baseline", "mapping",
                                                   "trace",   "generate", "gemm"};
  return kDocuments;
}

std::string did_you_mean_parameter(const std::string& word) {
  constexpr std::size_t kShortest = 4;  // below, everything is near everything
  if (word.size() < kShortest) return "";
  std::vector<std::string> names(kFiles.begin(), kFiles.end());
  std::map<std::string, std::string> path_of;  // the first path that ends in a key
  for (const auto& [path, type] : types()) {
    names.push_back(path);
    path_of.emplace(path.substr(path.rfind('.') + 1), path);
  }
  for (const auto& [key, path] : path_of) names.push_back(key);
  const std::string nearest = nearest_name(word, names);
  if (nearest.empty()) return "";
  const auto known = path_of.find(nearest);
  return fmt::format("; did you mean '{}'?", known != path_of.end() ? known->second : nearest);
}

std::optional<Parameter> parameter_of(const std::string& path, const config::Place& place, config::Problems& problems) {
  Parameter parameter;
  parameter.path = path;
  parameter.place = place;
  std::vector<std::string> keys = split(path);
  parameter.document = keys.front();
  const std::vector<std::string>& documents = parameter_documents();
  if (std::ranges::find(documents, parameter.document) == documents.end()) {
    problems.add(place, fmt::format("'{}' is no parameter: it begins with '{}'\n  allowed: {}{}", config::excerpt(path),
                                    config::excerpt(parameter.document), joined(documents),
                                    did_you_mean(parameter.document, documents)));
    return std::nullopt;
  }
  keys.erase(keys.begin());
  if (std::ranges::find(keys, "") != keys.end()) {
    problems.add(place, fmt::format("'{}' is no parameter: an empty key", config::excerpt(path)));
    return std::nullopt;
  }
  parameter.keys = std::move(keys);
  if (parameter.keys.empty()) {
    if (std::ranges::find(kFiles, path) == kFiles.end()) {
      problems.add(place, fmt::format("'{}' is no parameter: write for example {}.{}", path, path,
                                      path == "gemm"       ? "m"
                                      : path == "generate" ? "tokens"
                                                           : "m"));
      return std::nullopt;
    }
    parameter.type = "file";
    return parameter;
  }
  const auto known = types().find(path);
  if (known == types().end()) return parameter;
  parameter.type = known->second;
  std::string_view type = parameter.type;
  if (type.starts_with("optional ")) type.remove_prefix(std::string_view("optional ").size());
  parameter.units = units_named(type);
  parameter.is_number = parameter.units != nullptr || type == "integer" || type == "number";
  parameter.is_whole = type == "integer" || counts(parameter.units);
  return parameter;
}

config::Parsed<double> number_of(const Parameter& parameter, const std::string& text) {
  if (parameter.units != nullptr && parameter.is_whole) return as_double(config::parse_count(text, *parameter.units));
  if (parameter.units != nullptr) return config::parse_measure(text, *parameter.units);
  if (parameter.is_whole) return as_double(config::parse_integer(text));
  return config::parse_number(text);
}

Json plain_value(const Parameter& parameter, const Node& value) {
  if (value.kind() == Node::Kind::null) return {};
  if (value.kind() != Node::Kind::scalar) return value_text(value);
  if (parameter.type == "truth value" || parameter.type == "optional truth value") return value.text() == "true";
  if (!parameter.is_number) return value.text();
  const auto number = number_of(parameter, value.text());
  if (!number.value) return {};
  return parameter.is_whole ? Json(static_cast<std::int64_t>(*number.value)) : Json(*number.value);
}

std::string text_of(const Parameter& parameter, double number) {
  if (parameter.is_whole) {
    const auto whole = static_cast<std::int64_t>(std::llround(number));
    return parameter.units != nullptr ? config::count_text(whole, *parameter.units) : std::to_string(whole);
  }
  return parameter.units != nullptr ? config::measure_text(number, *parameter.units) : config::number_text(number);
}

std::string value_text(const Node& value) {
  switch (value.kind()) {
    case Node::Kind::null:
      return "null";
    case Node::Kind::scalar:
      return value.text();
    case Node::Kind::sequence: {
      std::vector<std::string> items;
      for (const Node& item : value.items()) items.push_back(value_text(item));
      return fmt::format("[{}]", joined(items));
    }
    case Node::Kind::map: {
      std::vector<std::string> items;
      for (const Node::Entry& entry : value.entries())
        items.push_back(fmt::format("{}: {}", entry.key, value_text(entry.value)));
      return fmt::format("{{{}}}", joined(items));
    }
  }
  return "null";
}

}  // namespace oscsim::sweep
