// SPDX-License-Identifier: Apache-2.0
#include "sim/config/overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "models/base/error.h"
#include "sim/config/document.h"

namespace oscsim::config {
namespace {

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    keys.emplace_back(path.substr(0, dot));
    path.remove_prefix(dot + 1);
  }
  keys.emplace_back(path);
  return keys;
}

std::optional<Override> parse(const std::string& setting, std::span<const std::string> documents, Problems& problems) {
  const Place place = whole("--set " + excerpt(setting));
  const auto wrong = [&](std::string message) {
    problems.add(place, std::move(message));
    return std::nullopt;
  };
  constexpr std::string_view kForm = "write for example --set machine.core.gather.lanes=32";
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos) return wrong(fmt::format("no '='; {}", kForm));
  std::vector<std::string> keys = split_path(std::string_view(setting).substr(0, equals));
  if (equals == 0) return wrong(fmt::format("no path in front of '='; {}", kForm));
  if (std::ranges::find(keys, "") != keys.end()) return wrong(fmt::format("an empty key in the path; {}", kForm));
  if (keys.size() > kDeepestNesting) return wrong(fmt::format("more than {} keys in the path", kDeepestNesting));
  const std::string document = keys.front();
  if (std::ranges::find(documents, document) == documents.end())
    return wrong(fmt::format("unknown document '{}'\n  allowed: {}{}", document, joined(documents),
                             did_you_mean(document, documents)));
  if (keys.size() == 1) return wrong(fmt::format("no key after '{}'; {}", document, kForm));
  keys.erase(keys.begin());
  const std::string text = setting.substr(equals + 1);
  if (text.find_first_not_of(' ') == std::string::npos)
    return wrong("the value is empty; write '' for an empty text, null to leave an optional section out");
  Problems in_value;
  try {
    Node value = load_value(text, place, in_value);
    if (in_value.empty()) return Override{document, std::move(keys), std::move(value), place};
  } catch (const InputError&) {
    ensure(!in_value.empty(), "a value was refused without a reason: {}", setting);
  }
  problems.merge(in_value);
  return std::nullopt;
}

std::string dotted(std::string_view document, std::span<const std::string> keys) {
  std::string path(document);
  for (const std::string& key : keys) path += "." + key;
  return path;
}

// `node` with the value put at keys[depth...].
Node replaced(const Node& node, const Override& change, std::size_t depth, Problems& problems) {
  if (depth == change.keys.size()) return change.value;
  if (node.kind() != Node::Kind::map && node.kind() != Node::Kind::null) {
    const std::span<const std::string> path(change.keys.data(), depth);
    problems.add(change.place, fmt::format("{} is {} and has no keys\n  given at {}", dotted(change.document, path),
                                           node.description(), node.place().text()));
    return node;
  }
  std::vector<Node::Entry> entries(node.entries().begin(), node.entries().end());
  const std::string& key = change.keys[depth];
  const auto entry = std::ranges::find(entries, key, &Node::Entry::key);
  if (entry != entries.end())
    entry->value = replaced(entry->value, change, depth + 1, problems);
  else
    entries.push_back({key, change.place, replaced(Node::null(change.place, false), change, depth + 1, problems)});
  return Node::map(node.kind() == Node::Kind::null ? change.place : node.place(), std::move(entries));
}

}  // namespace

std::vector<Override> parse_overrides(std::span<const std::string> settings, std::span<const std::string> documents,
                                      Problems& problems) {
  std::vector<Override> overrides;
  for (const std::string& setting : settings)
    if (std::optional<Override> parsed = parse(setting, documents, problems)) overrides.push_back(std::move(*parsed));
  return overrides;
}

Node with_overrides(const Node& root, std::string_view document, std::span<const Override> overrides,
                    Problems& problems) {
  Node node = root;
  for (const Override& change : overrides)
    if (change.document == document) node = replaced(node, change, 0, problems);
  return node;
}

}  // namespace oscsim::config
