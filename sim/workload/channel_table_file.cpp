// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/channel_table_file.h"

#include <algorithm>
#include <map>

#include "models/base/error.h"
#include "models/base/quantity.h"
#include "sim/config/atomic_file.h"
#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/config/writer.h"

namespace oscsim {
namespace {

void check_channels(const config::Node& node, const std::string& input, std::int64_t group,
                    config::Problems& problems) {
  for (const config::Node& channel : node.items()) {
    const auto value = config::parse_integer(channel.text()).value;
    if (value && *value < group) continue;
    problems.add(channel.place(), fmt::format("channel {} of '{}'; allowed: -1 to {} for groups of {}", channel.text(),
                                              input, group - 1, group));
  }
}

// A key that is null, or an empty list or text, says nothing.
void remove_absent(nlohmann::ordered_json& object) {
  for (auto entry = object.begin(); entry != object.end();) {
    const nlohmann::ordered_json& value = entry.value();
    const bool is_absent = value.is_null() || (value.is_array() && value.empty()) || value == "";
    entry = is_absent && entry.key() != "channels" ? object.erase(entry) : std::next(entry);
  }
}

// Counts of the groups: as many as channels, or none; no more hits than tokens.
void check_counts(const config::Node& node, const ChannelTableEntry& entry, config::Problems& problems) {
  for (const auto& [key, counts] : {std::pair("above", &entry.above), {"hits", &entry.hits}})
    if (!counts->empty() && counts->size() != entry.channels.size())
      problems.add(node.find(key)->place(), fmt::format("{} of '{}' has {} numbers for {} groups", key, entry.input,
                                                        counts->size(), entry.channels.size()));
  for (std::size_t i = 0; i < std::min(entry.above.size(), entry.hits.size()); ++i)
    if (entry.hits[i] > entry.above[i])
      problems.add(node.find("hits")->items()[i].place(),
                   fmt::format("{} hits of '{}' among {} tokens", entry.hits[i], entry.input, entry.above[i]));
}

}  // namespace

std::optional<Treatment> ChannelTableFile::decision(const std::string& input) const {
  const auto found = std::ranges::find(tables, input, &ChannelTableEntry::input);
  return found == tables.end() ? std::nullopt : found->decision;
}

ChannelTable ChannelTableFile::find(const std::string& input, std::int64_t k, std::int64_t scheme_group) const {
  if (group != scheme_group)
    input_error("{}: the tables are for groups of {} channels, the scheme works on groups of {}", path, group,
                scheme_group);
  const auto found = std::ranges::find(tables, input, &ChannelTableEntry::input);
  if (found == tables.end()) {
    std::vector<std::string> names;
    for (const ChannelTableEntry& entry : tables) names.push_back(entry.input);
    input_error("{}: no table for '{}'{}", path, input, did_you_mean(input, names));
  }
  if (std::ssize(found->channels) != tiles_of(k, group))
    input_error("{}: the table of '{}' has {} groups; {} channels in groups of {} make {}", path, input,
                found->channels.size(), k, group, tiles_of(k, group));
  ChannelTable table{.group = group, .channels = {}};
  for (const std::int64_t channel : found->channels) table.channels.push_back(static_cast<std::int16_t>(channel));
  const std::int64_t tail = k - (std::ssize(table.channels) - 1) * group;
  if (table.channels.back() >= tail)
    input_error("{}: the table of '{}' has channel {} in the last group, which has {} channels", path, input,
                table.channels.back(), tail);
  return table;
}

ChannelTableFile read_channel_tables(const std::string& path) {
  return read_channel_tables(path, config::read_file(path, config::kLargestFile));
}

ChannelTableFile read_channel_tables(const std::string& path, std::string text) {
  config::Problems problems;
  const config::Node root = config::load_text(std::move(text), path, problems);
  auto file = config::read<ChannelTableFile>(root, problems);
  problems.throw_if_any();
  file.path = path;
  const config::Node& list = *root.find("tables");
  if (file.tables.empty()) problems.add(list.place(), "there are no tables");
  std::map<std::string, std::string> places;
  for (std::size_t i = 0; i < file.tables.size(); ++i) {
    const config::Node& node = list.items()[i];
    const std::string& input = file.tables[i].input;
    check_channels(*node.find("channels"), input, file.group, problems);
    check_counts(node, file.tables[i], problems);
    const auto [first, is_new] = places.try_emplace(input, node.place().text());
    if (!is_new)
      problems.add(node.place(), fmt::format("a second table for '{}'\n  first at {}", input, first->second));
  }
  problems.throw_if_any();
  return file;
}

void write_channel_tables(const std::string& path, const ChannelTableFile& file) {
  nlohmann::ordered_json json = config::to_json(file);
  remove_absent(json);
  for (nlohmann::ordered_json& table : json["tables"]) remove_absent(table);
  config::write_file_atomically(path, "# Written by oscsim calibrate.\n" + config::json_to_yaml(json));
}

}  // namespace oscsim
