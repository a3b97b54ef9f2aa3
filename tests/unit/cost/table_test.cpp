// SPDX-License-Identifier: Apache-2.0
// Files of configs/costs: every number has its class and source, and mistakes are refused where they stand.
#include <gtest/gtest.h>

#include "models/cost/cost_table.h"
#include "sim/config/document.h"
#include "sim/config/files.h"
#include "sim/config/reader.h"

namespace oscsim::cost {
namespace {

using config::Node;

std::string text_of(const std::string& name) {
  return config::read_file(config::locate("configs/costs", name), 1 << 20);
}

// `from` of the built-in table replaced by `to`, read as "costs.yaml"; the problems.
std::string problems_of(const std::string& from, const std::string& to) {
  std::string text = text_of("7nm");
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  config::Problems problems;
  const Node document = config::load_text(text, "costs.yaml", problems);
  config::read<CostTable>(document, problems);
  try {
    problems.throw_if_any();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no problem";
}

// Every scalar that starts with a digit stands beside a class and a source.
void expect_sources(const Node& node, const std::string& path, int& numbers) {
  for (const Node& item : node.items()) expect_sources(item, path + "[]", numbers);
  for (const Node::Entry& entry : node.entries()) {
    expect_sources(entry.value, path + "." + entry.key, numbers);
    if (entry.value.kind() != Node::Kind::scalar || entry.value.is_quoted()) continue;
    const std::string& text = entry.value.text();
    if (text[0] < '0' || text[0] > '9' || entry.key == "node" || entry.key == "description") continue;
    ++numbers;
    const Node* source = node.find("source");
    const Node* source_class = node.find("class");
    ASSERT_TRUE(source != nullptr && source_class != nullptr) << path << "." << entry.key;
    EXPECT_GT(source->text().size(), 10U) << path;
    EXPECT_TRUE(enum_from<SourceClass>(source_class->text())) << path;
  }
}

TEST(CostFiles, EveryNumberHasAClassAndASource) {
  const std::vector<std::string> names = config::available_names("configs/costs");
  EXPECT_GE(names.size(), 2U);
  for (const std::string& name : names) {
    config::Problems problems;
    const Node document = config::load_text(text_of(name), name, problems);
    const auto table = config::read<CostTable>(document, problems);
    problems.throw_if_any();
    EXPECT_EQ(table.node, name);
    int numbers = 0;
    expect_sources(document, name, numbers);
    const int values = 3 * static_cast<int>(kMacKinds) + static_cast<int>(kMemoryKinds) + 4 + 7;
    EXPECT_EQ(numbers, values + 2 * static_cast<int>(table.energy.sram.size()));  // a capacity beside each value
  }
}

TEST(CostFiles, SmallerNodesTakeNoMoreOfAnything) {
  const auto large = config::read_file_as<CostTable>(config::locate("configs/costs", "45nm"));
  const auto small = config::read_file_as<CostTable>(config::locate("configs/costs", "7nm"));
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues) {
    EXPECT_LT(small.energy.mac[kind].value, large.energy.mac[kind].value) << name;
    EXPECT_LT(small.area.mac[kind].value, large.area.mac[kind].value) << name;
  }
  EXPECT_LT(small.area.sram_bit.value, large.area.sram_bit.value);
}

TEST(CostFiles, RefusesAnUnknownKey) {
  EXPECT_EQ(problems_of("  accumulate:", "  acumulate: {value: 1pJ, class: paper, source: \"a\"}\n  accumulate:"),
            "costs.yaml:26:3: unknown key 'acumulate' in energy\n"
            "  allowed: mac, add, accumulate, sram, memory, gather_element, vector_element, leakage; did you mean "
            "'accumulate'?");
}

TEST(CostFiles, RefusesANumberWithoutSource) {
  EXPECT_EQ(problems_of("{value: 25pJ, class: assumed, source: \"hbm2 less 20 %\"}", "{value: 25pJ, class: assumed}"),
            "costs.yaml:33:11: missing key 'source' in energy.memory.hbm3\n"
            "  source: where it comes from; of an assumed number: what it was derived from");
  EXPECT_EQ(problems_of("\"hbm2 less 20 %\"", "\"\""),
            "costs.yaml:33:11: energy.memory.hbm3: source is empty; say where the number comes from");
}

TEST(CostFiles, RefusesAnUnknownClass) {
  EXPECT_EQ(problems_of("{value: 25pJ, class: assumed", "{value: 25pJ, class: asumed"),
            "costs.yaml:33:32: unknown value 'asumed' for energy.memory.hbm3.class\n"
            "  allowed: datasheet, paper, measured, assumed; did you mean 'assumed'?");
}

TEST(CostFiles, RefusesANumberWithoutUnitAndOneOfAnotherUnit) {
  EXPECT_EQ(problems_of("value: 25pJ", "value: 25"),
            "costs.yaml:33:19: energy.memory.hbm3.value must be a quantity of energy: '25' has no unit; write for "
            "example 0.1pJ\n  units: pJ, fJ, nJ");
  EXPECT_EQ(problems_of("0.027um2", "27pJ"),
            "costs.yaml:52:21: area.sram_bit.value must be a surface area: unknown unit 'pJ' in '27pJ'\n"
            "  units: um2, mm2");
}

TEST(CostFiles, RefusesMemoriesThatTakeLessWhereTheyAreLarger) {
  EXPECT_EQ(problems_of("1.0625pJ", "0.5pJ"),
            "costs.yaml:8:3: energy: sram[1]: 0.5 pJ are less than the 0.9375 of a smaller memory");
  EXPECT_EQ(problems_of("capacity: 32KiB", "capacity: 4KiB"),
            "costs.yaml:8:3: energy: sram[1]: capacity of 4096 bytes is not above the 8192 before it");
}

TEST(CostFiles, RefusesFactorsThatMakeNoSense) {
  EXPECT_EQ(problems_of("multi_width: {value: 0.3", "multi_width: {value: 1.5"),
            "costs.yaml:41:3: area: multi_width of 1.5 is more than nothing shared, 1");
  EXPECT_EQ(problems_of("sram_overhead: {value: 2.35", "sram_overhead: {value: 0.5"),
            "costs.yaml:41:3: area: sram_overhead of 0.5 makes memories smaller than their cells");
}

}  // namespace
}  // namespace oscsim::cost
