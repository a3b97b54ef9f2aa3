// SPDX-License-Identifier: Apache-2.0
// A parameter structure as one line of text that is the same exactly when every field is: what hashes are taken of.
// Quantities stand in base units.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>

#include "sim/config/reader.h"

namespace oscsim::config {

template <class T>
void append_canonical(std::string& text, const T& value);

struct CanonicalVisitor {
  std::string& text;
  template <class Member>
  void operator()(std::string_view name, const Member& member, const FieldInfo&) {
    text += name;
    text += '=';
    append_canonical(text, member);
    text += ';';
  }
};

template <class T>
void append_canonical(std::string& text, const T& value) {
  if constexpr (ParameterStruct<T>) {
    text += '{';
    CanonicalVisitor visitor{text};
    T::fields(visitor, value);
    text += '}';
  } else if constexpr (kIsOptional<T>) {
    value ? append_canonical(text, *value) : void(text += '~');
  } else if constexpr (kIsVector<T>) {
    text += '[';
    for (const auto& element : value) {
      append_canonical(text, element);
      text += ',';
    }
    text += ']';
  } else if constexpr (NamedEnum<T>) {
    text += name_of(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    fmt::format_to(std::back_inserter(text), "{}:{}", value.size(), value);
  } else if constexpr (QuantityWithUnits<T>) {
    fmt::format_to(std::back_inserter(text), "{}", value.count());
  } else {
    fmt::format_to(std::back_inserter(text), "{}", value);
  }
}

template <ParameterStruct P>
std::string canonical_text(const P& params) {
  std::string text;
  append_canonical(text, params);
  return text;
}

}  // namespace oscsim::config
