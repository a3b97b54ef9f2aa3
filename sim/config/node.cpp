// SPDX-License-Identifier: Apache-2.0
#include "sim/config/node.h"

#include <fmt/format.h>

#include "models/base/error.h"

namespace oscsim::config {

Node Node::null(Place place, bool is_written) {
  Node node;
  node.flag_ = is_written;
  node.place_ = std::move(place);
  return node;
}

Node Node::scalar(Place place, std::string text, bool is_quoted) {
  Node node;
  node.kind_ = Kind::scalar;
  node.flag_ = is_quoted;
  node.place_ = std::move(place);
  node.text_ = std::move(text);
  return node;
}

Node Node::sequence(Place place, std::vector<Node> items) {
  Node node;
  node.kind_ = Kind::sequence;
  node.place_ = std::move(place);
  node.items_ = std::move(items);
  return node;
}

Node Node::map(Place place, std::vector<Entry> entries) {
  Node node;
  node.kind_ = Kind::map;
  node.place_ = std::move(place);
  node.entries_ = std::move(entries);
  return node;
}

const std::string& Node::text() const {
  ensure(kind_ == Kind::scalar, "text of {} at {}", description(), place_.text());
  return text_;
}

std::span<const Node> Node::items() const {
  return items_;
}

std::span<const Node::Entry> Node::entries() const {
  return entries_;
}

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries_)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

std::string Node::description() const {
  switch (kind_) {
    case Kind::null:
      return flag_ ? "null" : "nothing";
    case Kind::scalar:
      return fmt::format("{}'{}'", flag_ ? "the quoted text " : "", excerpt(text_));
    case Kind::sequence:
      return "a sequence";
    case Kind::map:
      return "a map";
  }
  return "nothing";
}

}  // namespace oscsim::config
