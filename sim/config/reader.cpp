// SPDX-License-Identifier: Apache-2.0
#include "sim/config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/base/error.h"

namespace oscsim::config {
namespace {

// A limit as it is written in a file.
std::string limit_text(double limit, const UnitSystem* units, bool is_whole) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (!is_whole || std::abs(limit) >= kTwoTo63) return units ? measure_text(limit, *units) : number_text(limit);
  const auto count = static_cast<std::int64_t>(limit);
  return units ? count_text(count, *units) : std::to_string(count);
}

template <class T>
void check_range(const Node& node, T value, const UnitSystem* units, const ValueContext& context) {
  const double number = static_cast<double>(value);
  if (number >= context.info.min && number <= context.info.max) return;
  constexpr bool kIsWhole = std::is_integral_v<T>;
  context.problems.add(node.place(), fmt::format("{} is {}; allowed: {}", context.path, excerpt(node.text()),
                                                 range_text(context.info, units, kIsWhole)));
}

// Parses a scalar and checks its range. Quotes turn numbers and truth values into texts, as YAML has it.
template <class T, class Parse>
void read_scalar(const Node& node, T& value, std::string_view what, bool may_be_quoted, const ValueContext& context,
                 const Parse& parse) {
  if (node.kind() != Node::Kind::scalar) return context.report_kind(node, what);
  if (node.is_quoted() && !may_be_quoted)
    return context.problems.add(node.place(), fmt::format("{} must be {}, found {}; write it without quotes",
                                                          context.path, what, node.description()));
  const Parsed<T> parsed = parse(node.text());
  if (!parsed.value) return context.report(node, what, parsed.problem);
  value = *parsed.value;
}

}  // namespace

void ValueContext::report(const Node& node, std::string_view what, const std::string& problem) const {
  problems.add(node.place(), fmt::format("{} must be {}: {}", path, what, problem));
}

void ValueContext::report_kind(const Node& node, std::string_view what) const {
  problems.add(node.place(), fmt::format("{} must be {}, found {}", path, what, node.description()));
}

std::string range_text(const FieldInfo& info, const UnitSystem* units, bool is_whole) {
  const bool has_min = std::isfinite(info.min);
  const bool has_max = std::isfinite(info.max);
  const std::string min = has_min ? limit_text(info.min, units, is_whole) : "";
  const std::string max = has_max ? limit_text(info.max, units, is_whole) : "";
  if (has_min && has_max) return fmt::format("{} to {}", min, max);
  if (has_min) return "at least " + min;
  if (has_max) return "at most " + max;
  return "";
}

void read_value(const Node& node, bool& value, const ValueContext& context) {
  read_scalar(node, value, "true or false", false, context, parse_bool);
}

void read_value(const Node& node, std::int64_t& value, const ValueContext& context) {
  const std::size_t before = context.problems.size();
  read_scalar(node, value, "an integer", false, context, parse_integer);
  if (context.problems.size() == before) check_range(node, value, nullptr, context);
}

void read_value(const Node& node, double& value, const ValueContext& context) {
  const std::size_t before = context.problems.size();
  read_scalar(node, value, "a number", false, context, parse_number);
  if (context.problems.size() == before) check_range(node, value, nullptr, context);
}

void read_value(const Node& node, std::string& value, const ValueContext& context) {
  if (node.kind() != Node::Kind::scalar) return context.report_kind(node, "a text");
  value = node.text();
}

void read_count(const Node& node, std::int64_t& value, const UnitSystem& units, const ValueContext& context) {
  const std::size_t before = context.problems.size();
  read_scalar(node, value, fmt::format("a {}", units.name), true, context,
              [&units](const std::string& text) { return parse_count(text, units); });
  if (context.problems.size() == before) check_range(node, value, &units, context);
}

void read_measure(const Node& node, double& value, const UnitSystem& units, const ValueContext& context) {
  const std::size_t before = context.problems.size();
  read_scalar(node, value, fmt::format("a {}", units.name), true, context,
              [&units](const std::string& text) { return parse_measure(text, units); });
  if (context.problems.size() == before) check_range(node, value, &units, context);
}

std::optional<std::size_t> read_choice(const Node& node, const std::vector<std::string>& names,
                                       const ValueContext& context) {
  if (node.kind() != Node::Kind::scalar) {
    context.report_kind(node, "one of " + joined(names));
    return std::nullopt;
  }
  const auto found = std::ranges::find(names, node.text());
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  context.problems.add(node.place(), fmt::format("unknown value '{}' for {}\n  allowed: {}{}", excerpt(node.text()),
                                                 context.path, joined(names), did_you_mean(node.text(), names)));
  return std::nullopt;
}

SectionReader::SectionReader(const Node* section, Place place, std::string path, Problems& problems)
    : section_(section), place_(std::move(place)), path_(std::move(path)), problems_(problems) {}

std::string SectionReader::child_path(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

const Node* SectionReader::take(std::string_view name, const FieldInfo& info) {
  names_.emplace_back(name);
  const Node* node = section_ ? section_->find(name) : nullptr;
  if (!node && info.required)
    problems_.add(place_, fmt::format("missing key '{}' {}\n  {}: {}", name,
                                      path_.empty() ? "at the top level" : "in " + path_, name, info.meaning));
  return node;
}

void SectionReader::finish() const {
  if (!section_) return;
  for (const Node::Entry& entry : section_->entries()) {
    if (std::ranges::find(names_, entry.key) != names_.end()) continue;
    problems_.add(entry.key_place, fmt::format("unknown key '{}' {}\n  allowed: {}{}", excerpt(entry.key),
                                               path_.empty() ? "at the top level" : "in " + path_, joined(names_),
                                               did_you_mean(entry.key, names_)));
  }
}

}  // namespace oscsim::config
