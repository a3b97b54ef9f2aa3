// SPDX-License-Identifier: Apache-2.0
// The table behind `oscsim describe`: one row per field of a parameter structure, from the same declaration that the
// reader uses. Defaults are those of a default-constructed structure.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "models/base/schema.h"
#include "sim/config/reader.h"
#include "sim/config/writer.h"

namespace oscsim::config {

struct DescribeRow {
  std::string path{};           // "core.gather.lanes"; "[]" behind the name of a list of sections
  std::string type{};           // "integer", "size", "choice", "section", "list of integer", ...
  std::string choices{};        // units of a quantity, names of an enumeration
  std::string range{};          // "1 to 4096"
  std::string default_value{};  // empty when required and for sections that are always there; "none" when absent
  bool required = false;
  std::string meaning;
  std::string source{};  // of the default
};

template <class T>
inline constexpr bool kIsWhole = std::is_integral_v<T>;
template <class Tag, class Rep>
inline constexpr bool kIsWhole<Quantity<Tag, Rep>> = std::is_integral_v<Rep>;

// Type name of a field, units or choices, and range.
template <class T>
void describe_type(DescribeRow& row, const FieldInfo& info) {
  if constexpr (kIsOptional<T>) {
    describe_type<typename T::value_type>(row, info);
    row.type = "optional " + row.type;
  } else if constexpr (kIsVector<T>) {
    describe_type<typename T::value_type>(row, info);
    row.type = "list of " + row.type;
  } else if constexpr (ParameterStruct<T>) {
    row.type = "section";
  } else if constexpr (NamedEnum<T>) {
    row.type = "choice";
    row.choices = joined(names_of<T>());
  } else if constexpr (std::is_same_v<T, bool>) {
    row.type = "truth value";
    row.choices = "true, false";
  } else if constexpr (std::is_same_v<T, std::string>) {
    row.type = "text";
  } else if constexpr (requires { T::kTypeName; }) {
    row.type = T::kTypeName;
  } else {
    const UnitSystem* units = units_of<T>();
    row.type = units ? std::string(units->name) : kIsWhole<T> ? "integer" : "number";
    row.choices = units ? joined(units->names()) : "";
    row.range = range_text(info, units, kIsWhole<T>);
  }
}

class DescribeVisitor {
 public:
  explicit DescribeVisitor(std::string prefix) : prefix_(std::move(prefix)) {}

  template <class Member>
  void operator()(std::string_view name, const Member& member, const FieldInfo& info) {
    DescribeRow row{.path = prefix_ + std::string(name),
                    .required = info.required,
                    .meaning = std::string(info.meaning),
                    .source = std::string(info.source)};
    describe_type<Member>(row, info);
    if constexpr (!ParameterStruct<Member>)
      if (!info.required) row.default_value = default_text(value_to_json(member));
    const std::string path = row.path;
    rows.push_back(std::move(row));
    descend(path, member);
  }

  std::vector<DescribeRow> rows;

 private:
  // The rows of a section stand below the section's own row, also when it is absent by default.
  template <class Member>
  void descend(const std::string& path, const Member& member) {
    if constexpr (ParameterStruct<Member>) {
      DescribeVisitor below(path + ".");
      Member::fields(below, member);
      rows.insert(rows.end(), below.rows.begin(), below.rows.end());
    } else if constexpr (kIsOptional<Member>) {
      if constexpr (ParameterStruct<typename Member::value_type>)
        descend(path, member.value_or(typename Member::value_type{}));
    } else if constexpr (kIsVector<Member>) {
      if constexpr (ParameterStruct<typename Member::value_type>) descend(path + "[]", typename Member::value_type{});
    }
  }

  static std::string default_text(const nlohmann::ordered_json& json);

  std::string prefix_;
};

template <ParameterStruct P>
std::vector<DescribeRow> describe() {
  DescribeVisitor visitor("");
  const P defaults{};
  P::fields(visitor, defaults);
  return visitor.rows;
}

}  // namespace oscsim::config
