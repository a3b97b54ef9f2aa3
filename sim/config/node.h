// SPDX-License-Identifier: Apache-2.0
// A YAML document as an immutable tree in which every value and every key knows where it was written.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/base/text.h"
#include "sim/config/problems.h"

namespace oscsim::config {

class Node {
 public:
  enum class Kind { null, scalar, sequence, map };
  struct Entry;

  Node() = default;                                // null at no place
  static Node null(Place place, bool is_written);  // is_written: `null` or `~`, not merely nothing after the colon
  static Node scalar(Place place, std::string text, bool is_quoted);
  static Node sequence(Place place, std::vector<Node> items);
  static Node map(Place place, std::vector<Entry> entries);  // in the order of the file, keys unique

  Kind kind() const { return kind_; }
  const Place& place() const { return place_; }
  bool is_written_null() const { return kind_ == Kind::null && flag_; }
  bool is_quoted() const { return kind_ == Kind::scalar && flag_; }

  const std::string& text() const;               // of a scalar; calling it on another kind is a defect
  std::span<const Node> items() const;           // of a sequence; empty for other kinds
  std::span<const Entry> entries() const;        // of a map; empty for other kinds
  const Node* find(std::string_view key) const;  // in a map; nullptr when absent

  // For messages: "'abc'", "the quoted text 'abc'", "a sequence", "a map", "nothing".
  std::string description() const;

 private:
  Kind kind_ = Kind::null;
  bool flag_ = false;
  Place place_;
  std::string text_;
  std::vector<Node> items_;
  std::vector<Entry> entries_;
};

struct Node::Entry {
  std::string key;
  Place key_place;
  Node value;
};

using oscsim::excerpt;  // of what a node holds, for messages

}  // namespace oscsim::config
