// SPDX-License-Identifier: Apache-2.0
// Numbers and quantities as text: what is read, what is refused and why, and that printing is exact.
#include "sim/config/units.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace oscsim::config {
namespace {

template <class Q>
void expect_value(std::string_view text, Q expected) {
  const Parsed<Q> parsed = parse_quantity<Q>(text);
  ASSERT_TRUE(parsed.value.has_value()) << text << ": " << parsed.problem;
  EXPECT_EQ(parsed.value->count(), expected.count()) << text;
}

TEST(Units, ReadsEveryUnit) {
  expect_value("64B", Bytes(64));
  expect_value("512KiB", Bytes(524288));
  expect_value("1.5MiB", Bytes(1572864));
  expect_value("2GiB", Bytes(std::int64_t{1} << 31));
  expect_value("1TiB", Bytes(std::int64_t{1} << 40));
  expect_value("3kB", Bytes(3000));
  expect_value("128GB", Bytes(128'000'000'000));
  expect_value("0.5TB", Bytes(500'000'000'000));
  expect_value("512 KiB", Bytes(524288));
  expect_value("0B", Bytes(0));
  expect_value("8bit", Bits(8));
  expect_value("8bits", Bits(8));
  expect_value("1cycle", Cycles(1));
  expect_value("92cycles", Cycles(92));
  expect_value("4096MACs", Macs(4096));
  expect_value("1.65GHz", Hertz(1.65e9));
  expect_value("1200MHz", Hertz(1.2e9));
  expect_value("32kHz", Hertz(32e3));
  expect_value("5TB/s", BytesPerSecond(5e12));
  expect_value("1.6GiB/s", BytesPerSecond(1.6 * 1073741824));
  expect_value("256B/cycle", BytesPerCycle(256));
  expect_value("500ns", Nanoseconds(500));
  expect_value("1.5us", Nanoseconds(1500));
  expect_value("250ps", Nanoseconds(0.25));
  expect_value("70fJ", Picojoules(0.07));
  expect_value("1.5nJ", Picojoules(1500));
  expect_value("0.027um2", SquareMicrometres(0.027));
  expect_value("2mm2", SquareMicrometres(2e6));
  expect_value("50mW/mm2", PowerDensity(50));
  expect_value("9223372036854775807B", Bytes(std::numeric_limits<std::int64_t>::max()));
}

TEST(Units, EveryUnitOfEverySystemIsAccepted) {
  for (const UnitSystem* system :
       {&kBytesUnits, &kBitsUnits, &kCyclesUnits, &kMacsUnits, &kHertzUnits, &kBytesPerSecondUnits,
        &kBytesPerCycleUnits, &kNanosecondsUnits, &kPicojoulesUnits, &kSquareMicrometresUnits, &kPowerDensityUnits}) {
    EXPECT_TRUE(parse_measure(system->example, *system).value.has_value()) << system->name;
    for (const std::string& unit : system->names())
      EXPECT_TRUE(parse_measure("3" + unit, *system).value.has_value()) << unit;
  }
}

TEST(Units, RefusalsSayWhy) {
  const std::string units = "\n  units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
  const auto problem = [](std::string_view text) { return parse_quantity<Bytes>(text).problem; };
  EXPECT_EQ(problem("512"), "'512' has no unit; write for example 512KiB" + units);
  EXPECT_EQ(problem("512KB"), "unknown unit 'KB' in '512KB'" + units + "; did you mean 'kB'?");
  EXPECT_EQ(problem("512Kibi"), "unknown unit 'Kibi' in '512Kibi'" + units + "; did you mean 'KiB'?");
  EXPECT_EQ(problem("many"), "'many' is not a number with a unit; write for example 512KiB" + units);
  EXPECT_EQ(problem(""), "'' is not a number with a unit; write for example 512KiB" + units);
  EXPECT_EQ(problem("1.B"), "'1.B' is not a number with a unit; write for example 512KiB" + units);
  EXPECT_EQ(problem("-5B"), "'-5B' is negative");
  EXPECT_EQ(problem("010B"), "'010B' has a leading zero and octal is not read; write 10B");
  EXPECT_EQ(problem("1_000B"), "'1_000B' has digit separators; write plain digits");
  EXPECT_EQ(problem("1.5B"), "'1.5B' is not a whole number of B");
  EXPECT_EQ(problem("0.3KiB"), "'0.3KiB' is not a whole number of B");
  EXPECT_EQ(problem("9223372036854775808B"), "'9223372036854775808B' does not fit in 63 bits of B");
  EXPECT_EQ(problem("8388608TiB"), "'8388608TiB' does not fit in 63 bits of B");
}

TEST(Units, IntegersAreDecimalAndNothingElse) {
  const auto problem = [](std::string_view text) { return parse_integer(text).problem; };
  EXPECT_EQ(parse_integer("-12").value, -12);
  EXPECT_EQ(parse_integer("0").value, 0);
  EXPECT_EQ(problem("010"), "'010' has a leading zero and octal is not read; write 10");
  EXPECT_EQ(problem("0x10"), "'0x10' is not decimal; only decimal numbers are read");
  EXPECT_EQ(problem("0o17"), "'0o17' is not decimal; only decimal numbers are read");
  EXPECT_EQ(problem("1e3"), "'1e3' has an exponent; write 1000");
  EXPECT_EQ(problem("1e300"), "'1e300' has an exponent; write all digits");
  EXPECT_EQ(problem("1_000"), "'1_000' has digit separators; write 1000");
  EXPECT_EQ(problem("1.5"), "'1.5' is not a whole number");
  EXPECT_EQ(problem("+5"), "'+5' is not a number");
  EXPECT_EQ(problem("-"), "'-' is not a number");
  EXPECT_EQ(problem("12 13"), "'12 13' is not a number");
  EXPECT_EQ(problem("9223372036854775808"), "'9223372036854775808' does not fit in 63 bits");
}

TEST(Units, NumbersAreFiniteDecimals) {
  EXPECT_EQ(parse_number("-1.5e-3").value, -1.5e-3);
  EXPECT_EQ(parse_number("1e+20").value, 1e20);
  EXPECT_EQ(parse_number("0").value, 0.0);
  for (const std::string_view text : {".5", "nan", ".inf", "inf", "1e", "1.5x", "0x1p3", "--1", "", "1e+-5", "00.5"})
    EXPECT_FALSE(parse_number(text).value.has_value()) << text;
  EXPECT_EQ(parse_number("1e999").problem, "'1e999' is beyond the range of a double");
}

TEST(Units, PrintsInTheNaturalUnit) {
  EXPECT_EQ(to_text(Bytes(524288)), "512KiB");
  EXPECT_EQ(to_text(Bytes(128'000'000'000)), "128GB");
  EXPECT_EQ(to_text(Bytes(1536 * 1024)), "1536KiB");
  EXPECT_EQ(to_text(Bytes(65)), "65B");
  EXPECT_EQ(to_text(Bytes(0)), "0B");
  EXPECT_EQ(to_text(Cycles(1)), "1cycle");
  EXPECT_EQ(to_text(Cycles(0)), "0cycles");
  EXPECT_EQ(to_text(Macs(1)), "1MAC");
  EXPECT_EQ(to_text(Bits(8)), "8bit");
  EXPECT_EQ(to_text(Hertz(1.65e9)), "1.65GHz");
  EXPECT_EQ(to_text(Hertz(0)), "0Hz");
  EXPECT_EQ(to_text(BytesPerSecond(5e12)), "5TB/s");
  EXPECT_EQ(to_text(BytesPerSecond(1073741824)), "1GiB/s");
  EXPECT_EQ(to_text(BytesPerCycle(256)), "256B/cycle");
  EXPECT_EQ(to_text(Nanoseconds(500)), "500ns");
  EXPECT_EQ(to_text(Nanoseconds(0.25)), "250ps");
}

TEST(Units, WhatIsPrintedReadsBackExactly) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const std::int64_t count = static_cast<std::int64_t>(random() >> (1 + random() % 63));
    expect_value(to_text(Bytes(count)), Bytes(count));
    expect_value(to_text(Cycles(count)), Cycles(count));
    const double value = std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 150);
    expect_value(to_text(Hertz(value)), Hertz(value));
    expect_value(to_text(BytesPerSecond(value)), BytesPerSecond(value));
    expect_value(to_text(Nanoseconds(value)), Nanoseconds(value));
    EXPECT_EQ(parse_number(number_text(value)).value, value);
  }
}

}  // namespace
}  // namespace oscsim::config
