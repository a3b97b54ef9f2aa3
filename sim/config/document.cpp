// SPDX-License-Identifier: Apache-2.0
#include "sim/config/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "models/base/error.h"
#include "models/base/text.h"
#include "sim/config/files.h"

namespace oscsim::config {
namespace {

[[noreturn]] void fail(Problems& problems, const Place& place, std::string message) {
  problems.add(place, std::move(message));
  problems.throw_if_any();
  throw DefectError("a problem was added and is gone");
}

// What yaml-cpp would guess at or take silently: other encodings, control characters, tabs as indentation.
void check_characters(std::string_view text, const Place& start, Problems& problems) {
  Place here = start;
  bool is_indentation = true;
  std::optional<Place> tab;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0) fail(problems, here, fmt::format("not UTF-8 text: byte 0x{:02X}", byte));
    const bool is_space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
    if ((byte < 0x20 && !is_space) || byte == 0x7F)
      fail(problems, here, fmt::format("not a text file: control character 0x{:02X}", byte));
    if (byte == '\t' && is_indentation && !tab) tab = here;
    if (!is_space && is_indentation) {
      if (tab) fail(problems, *tab, "tab in the indentation; YAML takes only spaces there");
      is_indentation = false;
    }
    i += length;
    if (here.line == 0) continue;
    here.column += static_cast<int>(length);
    if (byte == '\n') {
      here = {.origin = here.origin, .line = here.line + 1, .column = 1};
      is_indentation = true;
      tab.reset();
    }
  }
}

// Builds the tree from yaml-cpp's events. Its marks count from 0, ours from 1.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view source, Place start, Problems& problems)
      : source_(source), start_(std::move(start)), problems_(problems) {}

  const std::optional<Node>& root() const { return root_; }

  Place place(const YAML::Mark& mark) const {
    if (start_.line == 0 || mark.is_null()) return {.origin = start_.origin};
    return {.origin = start_.origin, .line = mark.line + 1, .column = mark.column + 1};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_) fail(problems_, place(mark), "text after the end of the document; a file holds one YAML document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    attach(Node::null(place(mark), is_null_word(mark)), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto target = anchors_.find(anchor);
    if (target == anchors_.end()) fail(problems_, place(mark), "alias of a value that contains it");
    if (depth() + target->second.depth > kDeepestNesting) fail_depth(mark);
    nodes_ += target->second.nodes;
    if (nodes_ > kMostNodes) fail_size(place(mark));
    attach(Node(target->second.node), 0, target->second.depth);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    if (tag == "!") check_closed(mark);
    attach(Node::scalar(place(mark), value, tag == "!"), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, false);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, true);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Place place;
    YAML::anchor_t anchor;
    bool is_map;
    std::size_t first_node;  // count of nodes before this one
    int depth = 1;           // of the subtree
    std::vector<Node> items{};
    std::vector<Node::Entry> entries{};
    std::unordered_map<std::string, Place> keys{};
    std::optional<Node> key{};
  };
  struct Anchored {
    Node node;
    std::size_t nodes;
    int depth;
  };

  int depth() const { return static_cast<int>(frames_.size()); }

  [[noreturn]] void fail_depth(const YAML::Mark& mark) {
    fail(problems_, place(mark), fmt::format("nested more than {} deep", kDeepestNesting));
  }

  // Whether null stands there in writing. yaml-cpp marks a value that is left out with the place of what follows.
  bool is_null_word(const YAML::Mark& mark) const {
    const std::string_view rest = source_.substr(std::min(source_.size(), static_cast<std::size_t>(mark.pos)));
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r\n,]}"));
    return word == "~" || word == "null" || word == "Null" || word == "NULL";
  }

  // yaml-cpp takes the end of the file for the missing quote.
  void check_closed(const YAML::Mark& mark) {
    const std::size_t open = source_.find_first_of("\"'", static_cast<std::size_t>(std::max(mark.pos, 0)));
    if (open == std::string_view::npos) return;  // a text tagged with '!'
    for (std::size_t i = open + 1; i < source_.size(); ++i) {
      if (source_[open] == '"' && source_[i] == '\\')
        ++i;
      else if (source_.substr(i).starts_with("''") && source_[open] == '\'')
        ++i;
      else if (source_[i] == source_[open])
        return;
    }
    fail(problems_, place(mark), "not valid YAML: the quote is never closed");
  }

  [[noreturn]] void fail_size(const Place& where) {
    fail(problems_, where, fmt::format("more than {} values in one file", kMostNodes));
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.add(place(mark), fmt::format("YAML tag '{}'; tags are not allowed here", excerpt(tag)));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_map) {
    check_tag(mark, tag);
    if (depth() >= kDeepestNesting) fail_depth(mark);
    frames_.push_back({.place = place(mark), .anchor = anchor, .is_map = is_map, .first_node = nodes_});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Node node = frame.is_map ? Node::map(frame.place, std::move(frame.entries))
                             : Node::sequence(frame.place, std::move(frame.items));
    attach(std::move(node), frame.anchor, frame.depth, frame.first_node);
  }

  // Puts a finished value into the sequence or map that is open.
  void attach(Node node, YAML::anchor_t anchor, int depth = 0, std::optional<std::size_t> first_node = {}) {
    const std::size_t before = first_node.value_or(nodes_);
    if (++nodes_ > kMostNodes) fail_size(node.place());
    if (anchor != 0) anchors_.insert_or_assign(anchor, Anchored{node, nodes_ - before, depth});
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    frame.depth = std::max(frame.depth, depth + 1);
    if (!frame.is_map) {
      frame.items.push_back(std::move(node));
    } else if (!frame.key) {
      if (node.kind() != Node::Kind::scalar)
        fail(problems_, node.place(), fmt::format("a key must be a name, found {}", node.description()));
      frame.key = std::move(node);
    } else {
      add_entry(frame, std::move(node));
    }
  }

  void add_entry(Frame& frame, Node value) {
    const Node key = *std::exchange(frame.key, std::nullopt);
    if (key.text() == "<<" && !key.is_quoted()) {
      problems_.add(key.place(), "merge key '<<'; write the keys out, merging is not supported");
      return;
    }
    if (value.kind() == Node::Kind::null && !value.is_written_null()) value = Node::null(key.place(), false);
    const auto [first, is_new] = frame.keys.try_emplace(key.text(), key.place());
    if (is_new) {
      frame.entries.push_back({key.text(), key.place(), std::move(value)});
    } else {
      const std::string message = fmt::format("duplicate key '{}'", excerpt(key.text()));
      problems_.add(key.place(), start_.line == 0 ? message : message + "\n  first at " + first->second.text());
    }
  }

  std::string_view source_;
  Place start_;
  Problems& problems_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::optional<Node> root_;
  std::size_t nodes_ = 0;
};

// `start` has line 1 for files and line 0 for text without lines.
Node parse(const std::string& text, const Place& start, Problems& problems) {
  check_characters(text, start, problems);
  std::istringstream stream(text);
  TreeBuilder builder(text, start, problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail(problems, builder.place(error.mark), fmt::format("not valid YAML: {}", error.msg));
  }
  if (!builder.root() || (builder.root()->kind() == Node::Kind::null && !builder.root()->is_written_null()))
    fail(problems, {.origin = start.origin}, start.line == 0 ? "the value is empty" : "the file is empty");
  return *builder.root();
}

}  // namespace

Node load_text(std::string text, const std::string& origin, Problems& problems) {
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // byte order mark of UTF-8
  Place start = whole(origin);
  if (text.size() > kLargestFile) fail(problems, start, "larger than 64MiB, the limit for this kind of file");
  start.line = start.column = 1;
  return parse(text, start, problems);
}

Node load_file(const std::filesystem::path& path, Problems& problems) {
  std::string text;
  try {
    text = read_file(path, kLargestFile);
  } catch (const InputError& error) {
    if (problems.empty()) throw;
    throw InputError(problems.text() + "\n" + error.what());
  }
  return load_text(std::move(text), path.string(), problems);
}

Node load_value(const std::string& text, const Place& place, Problems& problems) {
  if (text.find_first_of("\r\n") != std::string::npos) fail(problems, place, "the value has more than one line");
  Node node = parse(text, place, problems);
  const char first = text[text.find_first_not_of(" \t")];
  const bool is_block = (node.kind() == Node::Kind::map && first != '{' && first != '&') ||
                        (node.kind() == Node::Kind::sequence && first != '[' && first != '&');
  if (is_block) fail(problems, place, "write a sequence as [a, b] and a map as {key: value}");
  return node;
}

}  // namespace oscsim::config
