// SPDX-License-Identifier: Apache-2.0
// --set options: what they change, and what is said about malformed ones.
#include "sim/config/overrides.h"

#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

// The machine of a one-line file after `settings`.
MachineParams machine_with(const std::vector<std::string>& settings) {
  const std::vector<std::string> documents = {"machine", "scheme"};
  Problems problems;
  Node document = load_text("name: edge\n", "m.yaml", problems);
  const std::vector<Override> overrides = parse_overrides(settings, documents, problems);
  document = with_overrides(document, "machine", overrides, problems);
  const MachineParams machine = read<MachineParams>(document, problems);
  problems.throw_if_any();
  return machine;
}

std::string refusal_of(const std::string& setting) {
  return error_of([&] { machine_with({setting}); });
}

TEST(Overrides, ReplaceScalarsSequencesAndSections) {
  const MachineParams machine = machine_with({"machine.core.gather.lanes=32", "machine.tile=[1, 2]",
                                              "machine.core.second_gather={lanes: 3}", "machine.name=other"});
  EXPECT_EQ(machine.core.gather.lanes, 32);
  EXPECT_THAT(machine.tile, testing::ElementsAre(1, 2));
  EXPECT_EQ(machine.core.second_gather->lanes, 3);
  EXPECT_EQ(machine.name, "other");
}

TEST(Overrides, CreateAbsentOptionalSections) {
  EXPECT_EQ(machine_with({"machine.core.second_gather.lanes=9"}).core.second_gather->lanes, 9);
  EXPECT_TRUE(machine_with({"machine.core.second_gather={}"}).core.second_gather.has_value());
}

TEST(Overrides, LaterOnesWinAndNullRemoves) {
  EXPECT_EQ(machine_with({"machine.shards=3", "machine.shards=4"}).shards, 4);
  EXPECT_FALSE(machine_with({"machine.shards=3", "machine.shards=null"}).shards.has_value());
}

TEST(Overrides, ThoseOfOtherDocumentsAreLeftAlone) {
  EXPECT_EQ(machine_with({"scheme.name=x"}).name, "edge");
}

TEST(Overrides, TheReaderReportsThemUnderTheirOwnText) {
  EXPECT_EQ(refusal_of("machine.core.gather.lnaes=3"),
            "--set machine.core.gather.lnaes=3: unknown key 'lnaes' in core.gather\n"
            "  allowed: lanes, bank_width; did you mean 'lanes'?");
  EXPECT_EQ(refusal_of("machine.core.gather.lanes=010"),
            "--set machine.core.gather.lanes=010: core.gather.lanes must be an integer: '010' has a leading zero and "
            "octal is not read; write 10");
  EXPECT_EQ(refusal_of("machine.core.gather={lanes: 1, lanes: 2}"),
            "--set machine.core.gather={lanes: 1, lanes: 2}: duplicate key 'lanes'");
}

TEST(Overrides, MalformedOnesSayWhatIsWrong) {
  const std::string form = "; write for example --set machine.core.gather.lanes=32";
  EXPECT_EQ(refusal_of("machine.name"), "--set machine.name: no '='" + form);
  EXPECT_EQ(refusal_of("=3"), "--set =3: no path in front of '='" + form);
  EXPECT_EQ(refusal_of("machine..lanes=3"), "--set machine..lanes=3: an empty key in the path" + form);
  EXPECT_EQ(refusal_of("machine=3"), "--set machine=3: no key after 'machine'" + form);
  EXPECT_EQ(refusal_of("machin.name=3"),
            "--set machin.name=3: unknown document 'machin'\n  allowed: machine, scheme; did you mean 'machine'?");
  EXPECT_EQ(
      refusal_of("machine.name="),
      "--set machine.name=: the value is empty; write '' for an empty text, null to leave an optional section out");
  EXPECT_EQ(refusal_of("machine.name=#x"), "--set machine.name=#x: the value is empty");
  EXPECT_EQ(refusal_of("machine.name=[1"), "--set machine.name=[1: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(refusal_of("machine.core=gather: {}"),
            "--set machine.core=gather: {}: write a sequence as [a, b] and a map as {key: value}");
  EXPECT_EQ(refusal_of("machine.tile=- 3"),
            "--set machine.tile=- 3: write a sequence as [a, b] and a map as {key: value}");
  EXPECT_EQ(refusal_of("machine.name=a\nb"), "--set machine.name=a b: the value has more than one line");
}

TEST(Overrides, PathThroughAScalarNamesTheScalar) {
  EXPECT_EQ(refusal_of("machine.name.x=3"),
            "--set machine.name.x=3: machine.name is 'edge' and has no keys\n"
            "  given at m.yaml:1:7");
}

TEST(Overrides, EndlessPathsAreRefused) {
  std::string path = "machine";
  for (int i = 0; i < 100000; ++i) path += ".a";
  EXPECT_THAT(refusal_of(path + "=1"), testing::EndsWith("more than 64 keys in the path"));
}

}  // namespace
}  // namespace oscsim::config
