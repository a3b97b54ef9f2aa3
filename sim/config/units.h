// SPDX-License-Identifier: Apache-2.0
// Texts to numbers and quantities and back: "512KiB" <-> Bytes(524288). Printing is exact: what is printed reads back
// as the same value. KiB, MiB, ... are powers of 1024; kB, MB, ... are powers of 1000.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "models/base/quantity.h"

namespace oscsim::config {

// A value, or what is wrong with the text ("'512' has no unit; ..."), without place and name.
template <class T>
struct Parsed {
  std::optional<T> value;
  std::string problem;
};

struct Unit {
  std::string_view name;
  int pow10;               // one unit = 10^pow10 * 2^pow2 base units
  int pow2;                // 0 unless pow10 is 0
  bool is_printed = true;  // false: accepted only
};

// The units in which one quantity may be written. One of them is the base unit (both powers 0).
struct UnitSystem {
  std::string_view name;     // "size"; messages put "a " in front
  std::string_view example;  // "512KiB"
  std::span<const Unit> units;
  std::string_view singular = "";  // the base unit after the number 1, where it differs

  std::vector<std::string> names() const;
};

extern const UnitSystem kBytesUnits, kBitsUnits, kCyclesUnits, kMacsUnits, kHertzUnits, kBytesPerSecondUnits,
    kBytesPerCycleUnits, kNanosecondsUnits, kPicojoulesUnits, kSquareMicrometresUnits, kPowerDensityUnits;

// A new quantity gets its name in this list, one line below and one table in units.cpp.
template <class T, class... Known>
inline constexpr bool kIsOneOf = (std::is_same_v<T, Known> || ...);
template <class T>
concept QuantityWithUnits = kIsOneOf<T, Bytes, Bits, Cycles, Macs, Hertz, BytesPerSecond, BytesPerCycle, Nanoseconds,
                                     Picojoules, SquareMicrometres, PowerDensity>;

template <class T>
constexpr const UnitSystem* units_of() {
  if constexpr (std::is_same_v<T, Bytes>) return &kBytesUnits;
  if constexpr (std::is_same_v<T, Bits>) return &kBitsUnits;
  if constexpr (std::is_same_v<T, Cycles>) return &kCyclesUnits;
  if constexpr (std::is_same_v<T, Macs>) return &kMacsUnits;
  if constexpr (std::is_same_v<T, Hertz>) return &kHertzUnits;
  if constexpr (std::is_same_v<T, BytesPerSecond>) return &kBytesPerSecondUnits;
  if constexpr (std::is_same_v<T, BytesPerCycle>) return &kBytesPerCycleUnits;
  if constexpr (std::is_same_v<T, Nanoseconds>) return &kNanosecondsUnits;
  if constexpr (std::is_same_v<T, Picojoules>) return &kPicojoulesUnits;
  if constexpr (std::is_same_v<T, SquareMicrometres>) return &kSquareMicrometresUnits;
  if constexpr (std::is_same_v<T, PowerDensity>) return &kPowerDensityUnits;
  return nullptr;
}

// Decimal digits with an optional minus; no leading zeros, no 0x, no exponent, no separators.
Parsed<std::int64_t> parse_integer(std::string_view text);

// Finite decimal number; an exponent is allowed (1.5e-3).
Parsed<double> parse_number(std::string_view text);

// `true` or `false`, nothing else.
Parsed<bool> parse_bool(std::string_view text);

// Number and unit, in base units. Never negative. parse_count also refuses what is no whole number of base units.
Parsed<std::int64_t> parse_count(std::string_view text, const UnitSystem& system);
Parsed<double> parse_measure(std::string_view text, const UnitSystem& system);

// `count` and `value` are in base units.
std::string count_text(std::int64_t count, const UnitSystem& system);
std::string measure_text(double value, const UnitSystem& system);
std::string number_text(double value);  // shortest that reads back as the same value

template <QuantityWithUnits Q>
std::string to_text(Q quantity) {
  if constexpr (std::is_same_v<decltype(quantity.count()), double>)
    return measure_text(quantity.count(), *units_of<Q>());
  else
    return count_text(quantity.count(), *units_of<Q>());
}

template <QuantityWithUnits Q>
Parsed<Q> parse_quantity(std::string_view text) {
  const auto convert = [](auto parsed) {
    return Parsed<Q>{parsed.value ? std::optional(Q(*parsed.value)) : std::nullopt, std::move(parsed.problem)};
  };
  if constexpr (std::is_same_v<decltype(Q().count()), double>)
    return convert(parse_measure(text, *units_of<Q>()));
  else
    return convert(parse_count(text, *units_of<Q>()));
}

}  // namespace oscsim::config
