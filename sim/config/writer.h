// SPDX-License-Identifier: Apache-2.0
// Parameter structures as JSON (result files) and as YAML that reads back as the same structure. Quantities are texts
// with their natural unit ("512KiB"), enumerations their names, an absent optional section is null.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "models/base/schema.h"
#include "sim/config/reader.h"
#include "sim/config/units.h"

namespace oscsim::config {

template <class T>
nlohmann::ordered_json value_to_json(const T& value);

struct JsonVisitor {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  template <class Member>
  void operator()(std::string_view name, const Member& member, const FieldInfo&) {
    json[std::string(name)] = value_to_json(member);
  }
};

template <ParameterStruct P>
nlohmann::ordered_json to_json(const P& params) {
  JsonVisitor visitor;
  P::fields(visitor, params);
  return visitor.json;
}

template <class T>
nlohmann::ordered_json value_to_json(const T& value) {
  if constexpr (ParameterStruct<T>) {
    return to_json(value);
  } else if constexpr (kIsOptional<T>) {
    return value ? value_to_json(*value) : nlohmann::ordered_json();
  } else if constexpr (kIsVector<T>) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& element : value) list.push_back(value_to_json(element));
    return list;
  } else if constexpr (NamedEnum<T>) {
    return std::string(name_of(value));
  } else if constexpr (QuantityWithUnits<T>) {
    return to_text(value);
  } else {
    return value;
  }
}

// Block style, texts quoted only where YAML would take them for something else.
std::string json_to_yaml(const nlohmann::ordered_json& json);

template <ParameterStruct P>
std::string to_yaml(const P& params) {
  return json_to_yaml(to_json(params));
}

}  // namespace oscsim::config
