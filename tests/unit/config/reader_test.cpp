// SPDX-License-Identifier: Apache-2.0
// What the reader accepts, and the exact text of what it says about the rest.
#include "sim/config/reader.h"

#include "sim/config/writer.h"
#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

TEST(Reader, AbsentFieldsKeepTheirDefaults) {
  const MachineParams machine = read_text("name: edge");
  EXPECT_EQ(machine.name, "edge");
  EXPECT_EQ(machine.core.gather.lanes, 16);
  EXPECT_EQ(machine.clock, Hertz(1.65e9));
  EXPECT_FALSE(machine.core.second_gather.has_value());
  EXPECT_FALSE(machine.shards.has_value());
}

TEST(Reader, ReadsEveryKindOfField) {
  const MachineParams machine = read_text(R"(
name: edge
clock: 1.2GHz
core:
  gather: {lanes: 32, bank_width: 1KiB}
  second_gather: {}
  join: same_accumulator
  startup: 1cycle
bandwidth: 51.2GB/s
port: 64B/cycle
latency: 0.1us
rate: 4096MACs
width: 4bit
shards: 3
tile: [16, 32, 64]
spares: [{lanes: 1}, {lanes: 2}]
shared: true
skew: 2.5e-1
)");
  EXPECT_EQ(machine.clock, Hertz(1.2e9));
  EXPECT_EQ(machine.core.gather.lanes, 32);
  EXPECT_EQ(machine.core.gather.bank_width, Bytes(1024));
  ASSERT_TRUE(machine.core.second_gather.has_value());
  EXPECT_EQ(machine.core.second_gather->lanes, 16);
  EXPECT_EQ(machine.core.join, Join::same_accumulator);
  EXPECT_EQ(machine.core.startup, Cycles(1));
  EXPECT_EQ(machine.bandwidth, BytesPerSecond(51.2e9));
  EXPECT_EQ(machine.port, BytesPerCycle(64));
  EXPECT_EQ(machine.latency, Nanoseconds(100));
  EXPECT_EQ(machine.rate, Macs(4096));
  EXPECT_EQ(machine.width, Bits(4));
  EXPECT_EQ(machine.shards, 3);
  EXPECT_THAT(machine.tile, testing::ElementsAre(16, 32, 64));
  ASSERT_EQ(machine.spares.size(), 2u);
  EXPECT_EQ(machine.spares[1].lanes, 2);
  EXPECT_TRUE(machine.shared);
  EXPECT_EQ(machine.skew, 0.25);
}

TEST(Reader, UnknownKeyListsTheAllowedOnesAndTheNearest) {
  EXPECT_EQ(problems_of("name: x\ncore:\n  gather:\n    lnaes: 3\n"),
            "m.yaml:4:5: unknown key 'lnaes' in core.gather\n"
            "  allowed: lanes, bank_width; did you mean 'lanes'?");
  EXPECT_EQ(problems_of("name: x\nzzzzzzzz: 3\n"),
            "m.yaml:2:1: unknown key 'zzzzzzzz' at the top level\n"
            "  allowed: name, clock, core, bandwidth, port, latency, rate, width, shards, tile, spares, shared, skew");
}

TEST(Reader, MissingRequiredKeySaysWhatItMeans) {
  EXPECT_EQ(problems_of("clock: 1GHz\n"), "m.yaml:1:1: missing key 'name' at the top level\n  name: shown in reports");
}

TEST(Reader, WrongTypesSayWhatWasFound) {
  EXPECT_EQ(problems_of("name: [x]\n"), "m.yaml:1:7: name must be a text, found a sequence");
  EXPECT_EQ(problems_of("name: x\nshards: many\n"), "m.yaml:2:9: shards must be an integer: 'many' is not a number");
  EXPECT_EQ(problems_of("name: x\nshards: {a: 1}\n"), "m.yaml:2:9: shards must be an integer, found a map");
  EXPECT_EQ(problems_of("name: x\nshards:\n"), "m.yaml:2:1: shards must be an integer, found nothing");
  EXPECT_EQ(problems_of("name: x\nshards: '3'\n"),
            "m.yaml:2:9: shards must be an integer, found the quoted text '3'; write it without quotes");
  EXPECT_EQ(problems_of("name: x\nshared: yes\n"), "m.yaml:2:9: shared must be true or false: 'yes' is neither");
  EXPECT_EQ(problems_of("name: x\nskew: .nan\n"),
            "m.yaml:2:7: skew must be a number: '.nan' is not a finite decimal number");
  EXPECT_EQ(problems_of("name: x\ncore: 3\n"), "m.yaml:2:7: core must be a map of keys, found '3'");
  EXPECT_EQ(problems_of("name: x\ntile: 3\n"), "m.yaml:2:7: tile must be a sequence such as [a, b], found '3'");
  EXPECT_EQ(problems_of("name: x\ntile: [1, b]\n"), "m.yaml:2:11: tile[1] must be an integer: 'b' is not a number");
  EXPECT_EQ(problems_of("name: x\nspares: [{lane: 3}]\n"),
            "m.yaml:2:11: unknown key 'lane' in spares[0]\n  allowed: lanes, bank_width; did you mean 'lanes'?");
  EXPECT_EQ(problems_of("- 3\n"), "m.yaml:1:1: the file must be a map of keys, found a sequence");
}

TEST(Reader, UnknownChoiceListsTheNames) {
  EXPECT_EQ(problems_of("name: x\ncore: {join: epilog}\n"),
            "m.yaml:2:14: unknown value 'epilog' for core.join\n"
            "  allowed: same_accumulator, epilogue; did you mean 'epilogue'?");
}

TEST(Reader, RangesAreInclusiveAndShownInTheFieldsUnit) {
  EXPECT_EQ(problems_of("name: x\ncore: {gather: {lanes: 1}}\n"), "no error");
  EXPECT_EQ(problems_of("name: x\ncore: {gather: {lanes: 4096, bank_width: 1KiB}}\n"), "no error");
  EXPECT_EQ(problems_of("name: x\ncore: {gather: {lanes: 0}}\n"),
            "m.yaml:2:24: core.gather.lanes is 0; allowed: 1 to 4096");
  EXPECT_EQ(problems_of("name: x\ncore: {gather: {bank_width: 2MiB}}\n"),
            "m.yaml:2:29: core.gather.bank_width is 2MiB; allowed: 1B to 1KiB");
  EXPECT_EQ(problems_of("name: x\nclock: 20GHz\n"), "m.yaml:2:8: clock is 20GHz; allowed: 1MHz to 10GHz");
  EXPECT_EQ(problems_of("name: x\nshards: 0\n"), "m.yaml:2:9: shards is 0; allowed: at least 1");
  EXPECT_EQ(problems_of("name: x\ntile: [4, 0]\n"), "m.yaml:2:11: tile[1] is 0; allowed: at least 1");
}

TEST(Reader, BareNumberWhereAUnitBelongsNamesTheUnits) {
  EXPECT_EQ(problems_of("name: x\ncore: {gather: {bank_width: 32}}\n"),
            "m.yaml:2:29: core.gather.bank_width must be a size: '32' has no unit; write for example 512KiB\n"
            "  units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB");
  EXPECT_EQ(problems_of("name: x\ncore: {startup: 92}\n"),
            "m.yaml:2:17: core.startup must be a number of clock cycles: '92' has no unit; write for example 92cycles\n"
            "  units: cycles, cycle");
}

TEST(Reader, OctalLookingNumberIsRefused) {
  EXPECT_EQ(problems_of("name: x\nshards: 010\n"),
            "m.yaml:2:9: shards must be an integer: '010' has a leading zero and octal is not read; write 10");
}

TEST(Reader, NullLeavesAnOptionalOutAndNothingIsAnError) {
  EXPECT_FALSE(read_text("name: x\ncore: {second_gather: null}\n").core.second_gather.has_value());
  EXPECT_FALSE(read_text("name: x\ncore:\n  second_gather: ~\n").core.second_gather.has_value());
  EXPECT_EQ(problems_of("name: x\ncore:\n  second_gather:\n"),
            "m.yaml:3:3: core.second_gather must be a map of keys, or null to leave it out, found nothing");
}

TEST(Reader, CrossChecksStandAtTheirSectionAndRunOnlyOnCleanSections) {
  EXPECT_EQ(problems_of("name: x\ncore:\n  gather:\n    lanes: 257\n"),
            "m.yaml:4:5: core.gather: more lanes than the banks deliver");
  EXPECT_EQ(problems_of("name: x\ncore:\n  gather: {lanes: 257, bank_width: 0B}\n"),
            "m.yaml:3:36: core.gather.bank_width is 0B; allowed: 1B to 1KiB");
}

TEST(Reader, AllProblemsOfAFileAreReportedInTheOrderOfTheFile) {
  EXPECT_EQ(problems_of("clock: 3\ncore:\n  gather:\n    lnaes: 1\n    lanes: 0\n    lanes: 5\nshared: no\n"),
            "m.yaml:1:1: missing key 'name' at the top level\n"
            "  name: shown in reports\n"
            "m.yaml:1:8: clock must be a frequency: '3' has no unit; write for example 1.65GHz\n"
            "  units: Hz, kHz, MHz, GHz\n"
            "m.yaml:4:5: unknown key 'lnaes' in core.gather\n"
            "  allowed: lanes, bank_width; did you mean 'lanes'?\n"
            "m.yaml:5:12: core.gather.lanes is 0; allowed: 1 to 4096\n"
            "m.yaml:6:5: duplicate key 'lanes'\n"
            "  first at m.yaml:5:5\n"
            "m.yaml:7:9: shared must be true or false: 'no' is neither");
}

TEST(Reader, ManyProblemsAreCutAndCounted) {
  std::string text = "name: x\ntile:\n";
  for (int i = 0; i < 60; ++i) text += "- 0\n";
  const std::string report = problems_of(text);
  EXPECT_EQ(std::ranges::count(report, '\n'), 50);
  EXPECT_TRUE(report.ends_with("m.yaml:52:3: tile[49] is 0; allowed: at least 1\nand 10 more")) << report;
}

TEST(Reader, ReadsOneElementOfAListUnderItsOwnName) {
  Problems problems;
  const Node list = load_text("- {lanes: 7}\n- {lanes: x}\n", "t.yaml", problems);
  EXPECT_EQ(read<GatherParams>(list.items()[0], problems, "gemms[0]").lanes, 7);
  EXPECT_TRUE(problems.empty());
  read<GatherParams>(list.items()[1], problems, "gemms[1]");
  EXPECT_EQ(problems.text(), "t.yaml:2:11: gemms[1].lanes must be an integer: 'x' is not a number");
}

TEST(Writer, YamlReadsBackAsTheSameStructure) {
  MachineParams machine;
  machine.name = "yes: \"no\"\n # é";
  machine.clock = Hertz(1.0 / 3 * 1e9);
  machine.core.second_gather = GatherParams{.lanes = 5, .bank_width = Bytes(999)};
  machine.core.join = Join::same_accumulator;
  machine.spares = {GatherParams{.lanes = 1}, GatherParams{.lanes = 2}};
  machine.tile = {};
  machine.skew = 1e-17;
  machine.shared = true;
  const MachineParams again = read_text(to_yaml(machine));
  EXPECT_EQ(to_json(again), to_json(machine));
  EXPECT_EQ(again.name, machine.name);
  EXPECT_EQ(again.clock, machine.clock);
  EXPECT_EQ(again.core.second_gather->bank_width, Bytes(999));
  EXPECT_EQ(again.skew, machine.skew);
}

TEST(Writer, YamlIsWrittenForReading) {
  MachineParams machine;
  machine.name = "edge";
  machine.spares = {GatherParams{}};
  EXPECT_EQ(to_yaml(machine), R"(name: edge
clock: 1.65GHz
core:
  gather:
    lanes: 16
    bank_width: 32B
  second_gather: null
  join: epilogue
  startup: 92cycles
bandwidth: 1.6TB/s
port: 256B/cycle
latency: 500ns
rate: 8192MACs
width: 8bit
shards: null
tile: [128, 256, 64]
spares:
  - lanes: 16
    bank_width: 32B
shared: false
skew: 0.5
)");
}

TEST(Writer, TextsThatLookLikeSomethingElseAreQuoted) {
  for (const std::string text : {"true", "null", "12", "1e5", "0x10", "", " x", "a: b", "#", "-", "2026-01-01", "~"}) {
    MachineParams machine;
    machine.name = text;
    EXPECT_TRUE(to_yaml(machine).starts_with("name: \"")) << text;
    EXPECT_EQ(read_text(to_yaml(machine)).name, text);
  }
}

TEST(Writer, JsonIsValidInputToo) {
  MachineParams machine;
  machine.name = "edge";
  machine.bandwidth = BytesPerSecond(5e12);
  const std::string json = to_json(machine).dump(2);
  EXPECT_THAT(json, testing::HasSubstr("\"bandwidth\": \"5TB/s\""));
  EXPECT_EQ(to_json(read_text(json)), to_json(machine));
}

}  // namespace
}  // namespace oscsim::config
