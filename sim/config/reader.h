// SPDX-License-Identifier: Apache-2.0
// Reads a Node into a parameter structure (models/base/schema.h). Every deviation is collected with its position:
// unknown, missing and wrongly typed values, values out of range, and the structure's own cross-checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "models/base/schema.h"
#include "sim/config/document.h"
#include "sim/config/node.h"
#include "sim/config/problems.h"
#include "sim/config/units.h"

namespace oscsim::config {

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

template <class P>
concept HasCheck = requires(const P& params, std::vector<std::string>& problems) {
  params.check(problems);
};

// What a value's reader needs to know besides the value: its dotted name, its limits, and where to complain.
struct ValueContext {
  std::string path;
  const FieldInfo& info;
  Problems& problems;

  // "<path> must be <what>: <problem>" at the node; `what` is for example "an integer".
  void report(const Node& node, std::string_view what, const std::string& problem) const;
  // "<path> must be <what>, found a map"
  void report_kind(const Node& node, std::string_view what) const;
};

// "1 to 4096", "at least 1B", "at most 9", or an empty text. `units` is null for plain numbers.
std::string range_text(const FieldInfo& info, const UnitSystem* units, bool is_whole);

void read_value(const Node& node, bool& value, const ValueContext& context);
void read_value(const Node& node, std::int64_t& value, const ValueContext& context);
void read_value(const Node& node, double& value, const ValueContext& context);
void read_value(const Node& node, std::string& value, const ValueContext& context);
void read_count(const Node& node, std::int64_t& value, const UnitSystem& units, const ValueContext& context);
void read_measure(const Node& node, double& value, const UnitSystem& units, const ValueContext& context);
// Index into `names`, or nothing after a report.
std::optional<std::size_t> read_choice(const Node& node, const std::vector<std::string>& names,
                                       const ValueContext& context);

template <class T>
void read_value(const Node& node, T& value, const ValueContext& context);

// The visitor that reads one section, and the bookkeeping of the keys that it may hold.
class SectionReader {
 public:
  // `section` is null when the file does not give it: then only missing required fields are reported, at `place`.
  SectionReader(const Node* section, Place place, std::string path, Problems& problems);

  template <class Member>
  void operator()(std::string_view name, Member& member, const FieldInfo& info) {
    const ValueContext context{.path = child_path(name), .info = info, .problems = problems_};
    if (const Node* node = take(name, info))
      read_value(*node, member, context);
    else if constexpr (ParameterStruct<Member>)
      if (!info.required) read_section(nullptr, place_, context.path, member, problems_);
  }

  // Reports the keys that no field claimed.
  void finish() const;

  // Reads `params`; runs its cross-checks when everything below it was read without a problem.
  template <ParameterStruct P>
  static void read_section(const Node* section, const Place& place, const std::string& path, P& params,
                           Problems& problems) {
    const std::size_t before = problems.size();
    SectionReader reader(section, place, path, problems);
    P::fields(reader, params);
    reader.finish();
    if constexpr (HasCheck<P>) {
      std::vector<std::string> failed;
      if (problems.size() == before) std::as_const(params).check(failed);
      for (const std::string& text : failed) problems.add(place, path.empty() ? text : path + ": " + text);
    }
  }

 private:
  std::string child_path(std::string_view name) const;
  const Node* take(std::string_view name, const FieldInfo& info);

  const Node* section_;
  Place place_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> names_;
};

template <class T>
void read_value(const Node& node, T& value, const ValueContext& context) {
  if constexpr (ParameterStruct<T>) {
    if (node.kind() == Node::Kind::map)
      SectionReader::read_section(&node, node.place(), context.path, value, context.problems);
    else
      context.report_kind(node, "a map of keys");
  } else if constexpr (kIsOptional<T>) {
    if (node.is_written_null()) {
      value.reset();
    } else if (ParameterStruct<typename T::value_type> && node.kind() != Node::Kind::map) {
      context.report_kind(node, "a map of keys, or null to leave it out");
    } else {
      if (!value) value.emplace();
      read_value(node, *value, context);
    }
  } else if constexpr (kIsVector<T>) {
    if (node.kind() != Node::Kind::sequence) return context.report_kind(node, "a sequence such as [a, b]");
    value.clear();
    for (const Node& item : node.items()) {
      typename T::value_type element{};
      const std::string path = context.path + "[" + std::to_string(value.size()) + "]";
      read_value(item, element, {.path = path, .info = context.info, .problems = context.problems});
      value.push_back(std::move(element));
    }
  } else if constexpr (NamedEnum<T>) {
    if (const auto index = read_choice(node, names_of<T>(), context)) value = EnumNames<T>::kValues[*index].second;
  } else if constexpr (QuantityWithUnits<T>) {
    auto count = value.count();
    if constexpr (std::is_same_v<decltype(count), double>)
      read_measure(node, count, *units_of<T>(), context);
    else
      read_count(node, count, *units_of<T>(), context);
    value = T(count);
  } else {
    static_assert(QuantityWithUnits<T>, "a field of this type cannot be read; see models/base/schema.h");
  }
}

// Reads `node`, a map, on top of the structure's defaults. `path` is the dotted name of the node, empty for a whole
// document; for an element of a list something like "gemms[3]".
template <ParameterStruct P>
P read(const Node& node, Problems& problems, const std::string& path = "") {
  P params{};
  static constexpr FieldInfo kAnything;
  if (node.kind() == Node::Kind::map)
    SectionReader::read_section(&node, node.place(), path, params, problems);
  else
    ValueContext{.path = path.empty() ? "the file" : path, .info = kAnything, .problems = problems}.report_kind(
        node, "a map of keys");
  return params;
}

// A whole file, with every problem in one InputError.
template <ParameterStruct P>
P read_file_as(const std::filesystem::path& path) {
  Problems problems;
  const Node document = load_file(path, problems);
  P params = read<P>(document, problems);
  problems.throw_if_any();
  return params;
}

}  // namespace oscsim::config
