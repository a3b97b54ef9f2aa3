// SPDX-License-Identifier: Apache-2.0
// How a parameter structure declares its fields: once, in one line each. The same line gives reading, checking,
// `oscsim describe` and the resolved configuration in the result file.
//
//   struct GatherParams {
//     std::int64_t lanes = 16;
//     Bytes bank_width{32};
//     template <class Visitor, class Self>
//     static void fields(Visitor& visit, Self& self) {
//       visit("lanes", self.lanes, {.min = 1, .max = 4096, .meaning = "elements moved per cycle"});
//       visit("bank_width", self.bank_width, {.min = 1, .meaning = "bytes that one bank delivers per cycle"});
//     }
//     void check(std::vector<std::string>& problems) const;   // optional: rules that span several fields
//   };
//
// A visitor is called with (name, member, FieldInfo). Members may be: bool, std::int64_t, double, std::string, the
// quantities of quantity.h, enumerations with an EnumNames table, nested parameter structures, std::optional of any of
// these, and std::vector of scalars.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/base/quantity.h"

namespace oscsim {

struct FieldInfo {
  double min = -std::numeric_limits<double>::infinity();  // inclusive, in the base unit of the field's type
  double max = std::numeric_limits<double>::infinity();   // inclusive
  bool required = false;                                  // no default: the file must give it
  std::string_view meaning;                               // one line
  std::string_view source = "";                           // of the default value; empty when the field is a choice
};

// Specialise for each enumeration that appears in a parameter structure:
//   template <> struct EnumNames<Join> { static constexpr std::pair<std::string_view, Join> kValues[] = {...}; };
template <class Enum>
struct EnumNames;

template <class Enum>
concept NamedEnum = std::is_enum_v<Enum> && requires {
  EnumNames<Enum>::kValues;
};

template <NamedEnum Enum>
constexpr std::string_view name_of(Enum value) {
  for (const auto& [name, candidate] : EnumNames<Enum>::kValues)
    if (candidate == value) return name;
  return "?";
}

template <NamedEnum Enum>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const auto& [name, value] : EnumNames<Enum>::kValues) names.emplace_back(name);
  return names;
}

template <NamedEnum Enum>
std::optional<Enum> enum_from(std::string_view text) {
  for (const auto& [name, value] : EnumNames<Enum>::kValues)
    if (name == text) return value;
  return std::nullopt;
}

// A structure with a `fields` declaration.
struct NullVisitor {
  template <class Member>
  void operator()(std::string_view, Member&, const FieldInfo&) {}
};
template <class Params>
concept ParameterStruct = requires(Params& params, NullVisitor& visit) {
  std::remove_cv_t<Params>::fields(visit, params);
};

}  // namespace oscsim
