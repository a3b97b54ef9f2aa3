// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/channel_table_file.h"

#include <gtest/gtest.h>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

ChannelTableFile tables() {
  ChannelTableFile file;
  file.group = 32;
  file.source = "synthetic, seed 1";
  file.tables.resize(2);
  file.tables[0].input = "model.layers.0.attn_in";
  file.tables[0].position = Position::attn_in;
  file.tables[0].decision = Treatment::fallback;
  file.tables[0].density = 0.7;
  file.tables[0].channels = {3, -1, 31};
  file.tables[0].above = {10, 0, 4};
  file.tables[0].hits = {7, 0, 2};
  file.tables[1].input = "model.layers.0.o_in";
  file.tables[1].channels = {0};
  file.path = "table.yaml";
  return file;
}

std::string error_of_table(const std::string& content) {
  const ScratchFile file(".yaml", content);
  return error_of([&] { read_channel_tables(file.path()); }, file.path());
}

TEST(ChannelTableFile, WhatIsWrittenReadsBack) {
  const ScratchFile scratch(".yaml");
  write_channel_tables(scratch.path(), tables());
  const ChannelTableFile read = read_channel_tables(scratch.path());
  EXPECT_EQ(read.alpha, 5);
  EXPECT_EQ(read.source, "synthetic, seed 1");
  EXPECT_EQ(read.tables[0].density, 0.7);
  EXPECT_EQ(read.tables[0].hits, (std::vector<std::int64_t>{7, 0, 2}));
  EXPECT_FALSE(read.tables[1].density);
  EXPECT_EQ(read.decision("model.layers.0.attn_in"), Treatment::fallback);
  EXPECT_EQ(read.decision("model.layers.0.o_in"), std::nullopt);
  EXPECT_EQ(read.decision("model.layers.0.down_in"), std::nullopt);
  const ChannelTable expected{.group = 32, .channels = {3, -1, 31}};
  EXPECT_EQ(read.find("model.layers.0.attn_in", 96, 32), expected);
}

TEST(ChannelTableFile, RefusesWhatDoesNotFitTheScheme) {
  const ChannelTableFile file = tables();
  const auto error = [&](const char* input, std::int64_t k, std::int64_t group) {
    return error_of([&] { file.find(input, k, group); });
  };
  EXPECT_EQ(error("model.layers.0.o_in", 32, 16),
            "table.yaml: the tables are for groups of 32 channels, the scheme works on groups of 16");
  EXPECT_EQ(error("model.layers.0.i_in", 32, 32),
            "table.yaml: no table for 'model.layers.0.i_in'; did you mean 'model.layers.0.o_in'?");
  EXPECT_EQ(error("model.layers.0.attn_in", 128, 32),
            "table.yaml: the table of 'model.layers.0.attn_in' has 3 groups; 128 channels in groups of 32 make 4");
  EXPECT_EQ(
      error("model.layers.0.attn_in", 95, 32),
      "table.yaml: the table of 'model.layers.0.attn_in' has channel 31 in the last group, which has 31 channels");
}

TEST(ChannelTableFile, RefusesChannelsOutOfRangeAndSecondTables) {
  EXPECT_EQ(error_of_table(
                "schema: 1\ngroup: 16\ntables:\n  - {input: a, channels: [0, 16]}\n  - {input: a, channels: [0]}\n"),
            "FILE:4:30: channel 16 of 'a'; allowed: -1 to 15 for groups of 16\n"
            "FILE:5:5: a second table for 'a'\n  first at FILE:4:5");
  EXPECT_EQ(error_of_table("schema: 1\ngroup: 16\ntables:\n  - {input: a, channels: [-2]}\n"),
            "FILE:4:27: tables[0].channels[0] is -2; allowed: at least -1");
  EXPECT_EQ(error_of_table("schema: 1\ngroup: 16\ntables: []\n"), "FILE:3:9: there are no tables");
}

TEST(ChannelTableFile, RefusesCountsThatDoNotFit) {
  const std::string head = "schema: 1\ngroup: 16\ntables:\n  - {input: a, channels: [0, 1], ";
  EXPECT_EQ(error_of_table(head + "above: [1]}\n"), "FILE:4:41: above of 'a' has 1 numbers for 2 groups");
  EXPECT_EQ(error_of_table(head + "above: [3, 3], hits: [3, 4]}\n"), "FILE:4:59: 4 hits of 'a' among 3 tokens");
  EXPECT_EQ(error_of_table(head + "decision: ocs}\n"),
            "FILE:4:44: unknown value 'ocs' for tables[0].decision\n  allowed: osc, fallback; did you mean 'osc'?");
}

}  // namespace
}  // namespace oscsim
