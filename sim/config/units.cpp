// SPDX-License-Identifier: Apache-2.0
#include "sim/config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "models/base/error.h"
#include "sim/config/node.h"

namespace oscsim::config {
namespace {

constexpr std::array kSizes = {Unit{"B", 0, 0},    Unit{"KiB", 0, 10}, Unit{"MiB", 0, 20},
                               Unit{"GiB", 0, 30}, Unit{"TiB", 0, 40}, Unit{"kB", 3, 0},
                               Unit{"MB", 6, 0},   Unit{"GB", 9, 0},   Unit{"TB", 12, 0}};
constexpr std::array kBitCounts = {Unit{"bit", 0, 0}, Unit{"bits", 0, 0, false}};
constexpr std::array kCycleCounts = {Unit{"cycles", 0, 0}, Unit{"cycle", 0, 0, false}};
constexpr std::array kMacCounts = {Unit{"MACs", 0, 0}, Unit{"MAC", 0, 0, false}};
constexpr std::array kFrequencies = {Unit{"Hz", 0, 0}, Unit{"kHz", 3, 0}, Unit{"MHz", 6, 0}, Unit{"GHz", 9, 0}};
constexpr std::array kRates = {Unit{"B/s", 0, 0},    Unit{"kB/s", 3, 0},   Unit{"MB/s", 6, 0},
                               Unit{"GB/s", 9, 0},   Unit{"TB/s", 12, 0},  Unit{"KiB/s", 0, 10},
                               Unit{"MiB/s", 0, 20}, Unit{"GiB/s", 0, 30}, Unit{"TiB/s", 0, 40}};
constexpr std::array kCycleRates = {Unit{"B/cycle", 0, 0}, Unit{"KiB/cycle", 0, 10}};
constexpr std::array kTimes = {Unit{"ns", 0, 0}, Unit{"ps", -3, 0}, Unit{"us", 3, 0}, Unit{"ms", 6, 0},
                               Unit{"s", 9, 0}};
constexpr std::array kEnergies = {Unit{"pJ", 0, 0}, Unit{"fJ", -3, 0}, Unit{"nJ", 3, 0}};
constexpr std::array kAreas = {Unit{"um2", 0, 0}, Unit{"mm2", 6, 0}};
constexpr std::array kPowerDensities = {Unit{"mW/mm2", 0, 0}, Unit{"W/mm2", 3, 0}};

bool is_digit(char letter) {
  return letter >= '0' && letter <= '9';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "0" before further digits; YAML 1.1 readers take such a number for octal, we take it for a mistake.
std::string leading_zero_problem(std::string_view text, std::string_view digits) {
  if (digits.size() < 2 || digits[0] != '0' || !is_digit(digits[1])) return "";
  std::string_view plain = text;
  while (plain.size() > 1 && plain[0] == '0' && is_digit(plain[1])) plain.remove_prefix(1);
  return fmt::format("'{}' has a leading zero and octal is not read; write {}", excerpt(text), excerpt(plain));
}

// Says why `text` is no decimal integer.
std::string integer_problem(std::string_view text) {
  const std::string shown = excerpt(text);
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty()) return fmt::format("'{}' is not a number", shown);
  if (digits.size() > 2 && digits[0] == '0' && std::string_view("xXoObB").find(digits[1]) != std::string_view::npos)
    return fmt::format("'{}' is not decimal; only decimal numbers are read", shown);
  if (is_digit(digits[0]) && digits.find_first_not_of("0123456789_") == std::string_view::npos &&
      digits.find('_') != std::string_view::npos) {
    std::string plain(text);
    std::erase(plain, '_');
    return fmt::format("'{}' has digit separators; write {}", shown, excerpt(plain));
  }
  if (const std::string problem = leading_zero_problem(digits, digits); !problem.empty()) return problem;
  if (const Parsed<double> number = parse_number(text); number.value) {
    const bool has_exponent = text.find_first_of("eE") != std::string_view::npos;
    if (!has_exponent) return fmt::format("'{}' is not a whole number", shown);
    if (std::abs(*number.value) < 1e15 && *number.value == std::trunc(*number.value))
      return fmt::format("'{}' has an exponent; write {:.0f}", shown, *number.value);
    return fmt::format("'{}' has an exponent; write all digits", shown);
  }
  return fmt::format("'{}' is not a number", shown);
}

// The parts of "1.65GHz": digits before and after the point, and the unit.
struct Split {
  std::string whole;
  std::string fraction;
  const Unit* unit = nullptr;
  std::string problem;
};

std::string unit_list(const UnitSystem& system) {
  return fmt::format("\n  units: {}", joined(system.names()));
}

std::string unknown_unit_problem(std::string_view text, std::string_view name, const UnitSystem& system) {
  const auto same_letter = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  std::string hint = did_you_mean(name, system.names());
  for (const Unit& unit : system.units)
    if (std::ranges::equal(unit.name, name, same_letter)) hint = fmt::format("; did you mean '{}'?", unit.name);
  return fmt::format("unknown unit '{}' in '{}'{}{}", excerpt(name), excerpt(text), unit_list(system), hint);
}

Split split(std::string_view text, const UnitSystem& system) {
  Split parts;
  std::string_view rest = trimmed(text);
  const auto take_digits = [&rest] {
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_digit);
    const std::string digits(rest.begin(), end);
    rest.remove_prefix(digits.size());
    return digits;
  };
  const std::string shown = excerpt(text);
  const auto wrong = [&parts](std::string problem) {
    parts.problem = std::move(problem);
    return parts;
  };
  if (rest.size() > 1 && rest[0] == '-' && is_digit(rest[1])) return wrong(fmt::format("'{}' is negative", shown));
  parts.whole = take_digits();
  if (!parts.whole.empty() && rest.starts_with('.')) {
    rest.remove_prefix(1);
    parts.fraction = take_digits();
    if (parts.fraction.empty()) parts.whole.clear();
  }
  if (parts.whole.empty())
    return wrong(fmt::format("'{}' is not a number with a unit; write for example {}{}", shown, system.example,
                             unit_list(system)));
  if (std::string problem = leading_zero_problem(trimmed(text), parts.whole); !problem.empty()) return wrong(problem);
  if (rest.starts_with('_')) return wrong(fmt::format("'{}' has digit separators; write plain digits", shown));
  const std::string_view name = trimmed(rest);
  if (name.empty())
    return wrong(fmt::format("'{}' has no unit; write for example {}{}", shown, system.example, unit_list(system)));
  const auto unit = std::ranges::find(system.units, name, &Unit::name);
  if (unit == system.units.end()) return wrong(unknown_unit_problem(text, name, system));
  parts.unit = &*unit;
  return parts;
}

const Unit& base_unit(const UnitSystem& system) {
  const auto base = std::ranges::find_if(system.units, [](const Unit& u) { return u.pow10 == 0 && u.pow2 == 0; });
  ensure(base != system.units.end(), "no base unit among those of {}", system.name);
  return *base;
}

// digits * 5^fives * 2^twos when that is a whole number that fits.
enum class Scaling { exact, overflow, fractional };
Scaling scale(std::int64_t& digits, int fives, int twos) {
  const auto times = [&digits](int power, std::int64_t factor) {
    for (; power > 0; --power)
      if (__builtin_mul_overflow(digits, factor, &digits)) return Scaling::overflow;
    for (; power < 0; ++power) {
      if (digits % factor != 0) return Scaling::fractional;
      digits /= factor;
    }
    return Scaling::exact;
  };
  if (digits == 0) return Scaling::exact;
  // Divide before multiplying: 5 and 2 have no common factor, so the order does not change whether it is whole.
  const bool is_two_first = twos < 0;
  const Scaling first = is_two_first ? times(twos, 2) : times(fives, 5);
  return first != Scaling::exact ? first : is_two_first ? times(fives, 5) : times(twos, 2);
}

// Shortest decimal digits of a finite value >= 0: value = 0.d1d2d3... * 10^point.
struct Decimal {
  std::string digits;
  int point;
};

Decimal decimal_of(double value) {
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string text(buffer.data(), end.ptr);
  const std::size_t e = text.find('e');
  Decimal decimal{text.substr(0, e), std::stoi(text.substr(e + 1)) + 1};
  std::erase(decimal.digits, '.');
  return decimal;
}

// Without exponent.
std::string plain_text(const Decimal& decimal) {
  const int size = static_cast<int>(decimal.digits.size());
  if (decimal.point <= 0)
    return fmt::format("0.{}{}", std::string(static_cast<std::size_t>(-decimal.point), '0'), decimal.digits);
  if (decimal.point >= size) return decimal.digits + std::string(static_cast<std::size_t>(decimal.point - size), '0');
  const auto point = static_cast<std::size_t>(decimal.point);
  return fmt::format("{}.{}", decimal.digits.substr(0, point), decimal.digits.substr(point));
}

}  // namespace

constinit const UnitSystem kBytesUnits{"size", "512KiB", kSizes};
constinit const UnitSystem kBitsUnits{"number of bits", "8bit", kBitCounts};
constinit const UnitSystem kCyclesUnits{"number of clock cycles", "92cycles", kCycleCounts, "cycle"};
constinit const UnitSystem kMacsUnits{"number of multiply-accumulates", "4096MACs", kMacCounts, "MAC"};
constinit const UnitSystem kHertzUnits{"frequency", "1.65GHz", kFrequencies};
constinit const UnitSystem kBytesPerSecondUnits{"bandwidth", "5TB/s", kRates};
constinit const UnitSystem kBytesPerCycleUnits{"bandwidth per clock cycle", "256B/cycle", kCycleRates};
constinit const UnitSystem kNanosecondsUnits{"time", "500ns", kTimes};
constinit const UnitSystem kPicojoulesUnits{"quantity of energy", "0.1pJ", kEnergies};
constinit const UnitSystem kSquareMicrometresUnits{"surface area", "36um2", kAreas};
constinit const UnitSystem kPowerDensityUnits{"power per area", "50mW/mm2", kPowerDensities};

std::vector<std::string> UnitSystem::names() const {
  std::vector<std::string> names;
  for (const Unit& unit : units) names.emplace_back(unit.name);
  return names;
}

Parsed<std::int64_t> parse_integer(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  const bool is_decimal = !digits.empty() && std::ranges::all_of(digits, is_digit);
  if (!is_decimal || (digits.size() > 1 && digits[0] == '0')) return {{}, integer_problem(text)};
  std::int64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
    return {{}, fmt::format("'{}' does not fit in 63 bits", excerpt(text))};
  return {value, ""};
}

Parsed<double> parse_number(std::string_view text) {
  const std::string_view unsigned_text = text.starts_with('-') ? text.substr(1) : text;
  const std::string not_a_number = fmt::format("'{}' is not a finite decimal number", excerpt(text));
  if (unsigned_text.empty() || !is_digit(unsigned_text[0])) return {{}, not_a_number};
  if (std::string problem = leading_zero_problem(unsigned_text, unsigned_text); !problem.empty()) return {{}, problem};
  double value = 0;
  std::string c_text(text);  // from_chars takes no plus in front of the exponent
  if (const std::size_t plus = c_text.find('+'); plus != std::string::npos && plus + 1 < c_text.size() &&
                                                 is_digit(c_text[plus + 1]) && std::tolower(c_text[plus - 1]) == 'e')
    c_text.erase(plus, 1);
  const auto [end, error] = std::from_chars(c_text.data(), c_text.data() + c_text.size(), value);
  if (error == std::errc::result_out_of_range)
    return {{}, fmt::format("'{}' is beyond the range of a double", excerpt(text))};
  if (error != std::errc() || end != c_text.data() + c_text.size()) return {{}, not_a_number};
  return {value, ""};
}

Parsed<bool> parse_bool(std::string_view text) {
  if (text == "true") return {true, ""};
  if (text == "false") return {false, ""};
  return {{}, fmt::format("'{}' is neither", excerpt(text))};
}

Parsed<std::int64_t> parse_count(std::string_view text, const UnitSystem& system) {
  Split parts = split(text, system);
  if (!parts.unit) return {{}, parts.problem};
  while (parts.fraction.ends_with('0')) parts.fraction.pop_back();
  const std::string digits = parts.whole + parts.fraction;
  const Unit& unit = *parts.unit;
  const int power = unit.pow10 - static_cast<int>(std::min<std::size_t>(parts.fraction.size(), 1000));
  std::int64_t count = 0;
  const bool fits = std::from_chars(digits.data(), digits.data() + digits.size(), count).ec == std::errc();
  const Scaling scaling = fits ? scale(count, power, unit.pow2 + power) : Scaling::overflow;
  if (scaling == Scaling::fractional)
    return {{}, fmt::format("'{}' is not a whole number of {}", excerpt(text), base_unit(system).name)};
  if (scaling == Scaling::overflow)
    return {{}, fmt::format("'{}' does not fit in 63 bits of {}", excerpt(text), base_unit(system).name)};
  return {count, ""};
}

Parsed<double> parse_measure(std::string_view text, const UnitSystem& system) {
  const Split parts = split(text, system);
  if (!parts.unit) return {{}, parts.problem};
  // The decimal exponent goes into the text: one correctly rounded conversion. The binary one is exact.
  const std::string number =
      fmt::format("{}.{}e{}", parts.whole, parts.fraction.empty() ? "0" : parts.fraction, parts.unit->pow10);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  value = std::ldexp(value, parts.unit->pow2);
  if (error != std::errc() || !std::isfinite(value))
    return {{}, fmt::format("'{}' is beyond the range of a double", excerpt(text))};
  return {value, ""};
}

std::string count_text(std::int64_t count, const UnitSystem& system) {
  if (count == 1 && !system.singular.empty()) return fmt::format("1{}", system.singular);
  std::string best = fmt::format("{}{}", count, base_unit(system).name);
  for (const Unit& unit : system.units) {
    std::int64_t scaled = count;
    if (count == 0 || !unit.is_printed || scale(scaled, -unit.pow10, -unit.pow10 - unit.pow2) != Scaling::exact)
      continue;
    if (const std::string text = fmt::format("{}{}", scaled, unit.name); text.size() < best.size()) best = text;
  }
  return best;
}

std::string measure_text(double value, const UnitSystem& system) {
  if (!(value > 0) || !std::isfinite(value)) return fmt::format("{}{}", value, base_unit(system).name);
  // The decimal unit that leaves one to three digits before the point, else the one that comes closest to that.
  const Decimal decimal = decimal_of(value);
  const auto misfit = [&decimal](const Unit& unit) {
    const int digits_before_point = decimal.point - unit.pow10;
    return std::max({0, 1 - digits_before_point, digits_before_point - 3});
  };
  const Unit* best_unit = &base_unit(system);
  for (const Unit& unit : system.units)
    if (unit.pow2 == 0 && unit.is_printed && misfit(unit) < misfit(*best_unit)) best_unit = &unit;
  std::string best =
      fmt::format("{}{}", plain_text({decimal.digits, decimal.point - best_unit->pow10}), best_unit->name);
  for (const Unit& unit : system.units) {
    const double scaled = std::ldexp(value, -unit.pow2);
    if (unit.pow2 == 0 || !unit.is_printed || scaled < 1) continue;
    const std::string text = fmt::format("{}{}", plain_text(decimal_of(scaled)), unit.name);
    if (text.size() < best.size()) best = text;
  }
  return best;
}

std::string number_text(double value) {
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), end.ptr);
}

}  // namespace oscsim::config
