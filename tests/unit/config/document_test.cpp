// SPDX-License-Identifier: Apache-2.0
// Texts to trees: positions, and everything that YAML allows and a configuration must not have.
#include "sim/config/document.h"

#include <fstream>

#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

Node load(const std::string& text) {
  Problems problems;
  Node node = load_text(text, "m.yaml", problems);
  problems.throw_if_any();
  return node;
}

std::string refusal(const std::string& text) {
  return error_of([&] { load(text); });
}

TEST(Document, EveryKeyAndValueKnowsItsPlace) {
  const Node root = load("# comment\na: 1\nb:\n  c: [x, 'y']\n  d: {e: f}\n");
  EXPECT_EQ(root.place().text(), "m.yaml:2:1");
  EXPECT_EQ(root.entries()[1].key_place.text(), "m.yaml:3:1");
  const Node& b = *root.find("b");
  EXPECT_EQ(b.place().text(), "m.yaml:4:3");
  EXPECT_EQ(b.find("c")->items()[1].place().text(), "m.yaml:4:10");
  EXPECT_TRUE(b.find("c")->items()[1].is_quoted());
  EXPECT_FALSE(b.find("c")->items()[0].is_quoted());
  EXPECT_EQ(b.find("d")->find("e")->place().text(), "m.yaml:5:10");
  EXPECT_EQ(b.find("z"), nullptr);
}

TEST(Document, ByteOrderMarkAndWindowsLineEndsAreAccepted) {
  const Node root = load(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: 2\r\n");
  EXPECT_EQ(root.find("b")->text(), "2");
  EXPECT_EQ(root.find("b")->place().text(), "m.yaml:2:4");
}

TEST(Document, DuplicateKeyNamesBothPlaces) {
  EXPECT_EQ(refusal("a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n"),
            "m.yaml:2:17: duplicate key 'c'\n  first at m.yaml:2:5\n"
            "m.yaml:3:1: duplicate key 'a'\n  first at m.yaml:1:1");
}

TEST(Document, AliasesAreResolvedAndMergeKeysAreNot) {
  EXPECT_EQ(load("a: &x [1, 2]\nb: *x\n").find("b")->items()[1].text(), "2");
  EXPECT_EQ(refusal("a: &x {b: 1}\nc:\n  <<: *x\n"),
            "m.yaml:3:3: merge key '<<'; write the keys out, merging is not supported");
  EXPECT_EQ(refusal("a: *x\n"), "m.yaml:1:4: not valid YAML: the referenced anchor is not defined");
  EXPECT_EQ(refusal("a: &x [1, *x]\n"), "m.yaml:1:11: alias of a value that contains it");
}

TEST(Document, AliasBombIsRefused) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    text += fmt::format("a{0}: &a{0} [", i);
    for (int j = 0; j < 10; ++j) text += fmt::format("{}*a{}", j == 0 ? "" : ", ", i - 1);
    text += "]\n";
  }
  EXPECT_EQ(refusal(text), "m.yaml:7:10: more than 2000000 values in one file");
}

TEST(Document, DeepNestingIsRefusedInEveryStyle) {
  const auto repeated = [](const std::string& text) {
    std::string all;
    for (int i = 0; i < 100000; ++i) all += text;
    return all;
  };
  EXPECT_THAT(refusal(repeated("[")), testing::EndsWith("nested more than 64 deep"));
  EXPECT_EQ(refusal(repeated("- ")), "m.yaml:1:129: nested more than 64 deep");
  EXPECT_THAT(refusal(repeated("{a: ")), testing::EndsWith("nested more than 64 deep"));
  EXPECT_THAT(refusal(repeated("? ")), testing::EndsWith("nested more than 64 deep"));
  EXPECT_EQ(refusal(std::string(64, '[') + "x" + std::string(64, ']')), "no error");
}

TEST(Document, AliasesDoNotNestDeeperThanAllowed) {
  const std::string open(40, '['), close(40, ']');
  EXPECT_EQ(refusal("[&a " + open + close + ", *a]"), "no error");
  EXPECT_EQ(refusal("[&a " + open + close + ", " + open + "*a" + close + "]"),
            "m.yaml:1:127: nested more than 64 deep");
}

TEST(Document, OnlyUtf8TextIsRead) {
  EXPECT_EQ(load("a: é\n").find("a")->text(), "é");
  EXPECT_EQ(refusal("a: caf\xE9\n"), "m.yaml:1:7: not UTF-8 text: byte 0xE9");
  EXPECT_EQ(refusal("a: 1\nb: \xC0\x80\n"), "m.yaml:2:4: not UTF-8 text: byte 0xC0");
  EXPECT_EQ(refusal("a: \xED\xA0\x80\n"), "m.yaml:1:4: not UTF-8 text: byte 0xED");
  EXPECT_EQ(refusal(std::string("a: \0b\n", 6)), "m.yaml:1:4: not a text file: control character 0x00");
}

TEST(Document, TabAsIndentationIsRefusedAndElsewhereTaken) {
  EXPECT_EQ(refusal("a:\n\tb: 1\n"), "m.yaml:2:1: tab in the indentation; YAML takes only spaces there");
  EXPECT_EQ(refusal("a:\n  \tb: 1\n"), "m.yaml:2:3: tab in the indentation; YAML takes only spaces there");
  EXPECT_EQ(refusal("a: 1\t# comment\n\t\nb: 2\n"), "no error");
}

TEST(Document, InvalidYamlHasAPlace) {
  EXPECT_EQ(refusal("a: x\n  b: 1\n"), "m.yaml:2:4: not valid YAML: illegal map value");
  EXPECT_EQ(refusal("a: @x\n"), "m.yaml:1:4: not valid YAML: unknown token");
  EXPECT_EQ(refusal("a: [1\n"), "m.yaml:2:1: not valid YAML: end of sequence flow not found");
  EXPECT_EQ(refusal("a: \"x\n"), "m.yaml:1:4: not valid YAML: the quote is never closed");
  EXPECT_EQ(refusal("a: 'it''s\n"), "m.yaml:1:4: not valid YAML: the quote is never closed");
  EXPECT_EQ(load("a: 'it''s'\nb: \"\\\"\"\n").find("b")->text(), "\"");
}

TEST(Document, OneDocumentPerFile) {
  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"),
            "m.yaml:2:1: text after the end of the document; a file holds one YAML document");
  EXPECT_EQ(refusal("{a: 1} b\n"), "m.yaml:1:8: text after the end of the document; a file holds one YAML document");
  EXPECT_EQ(load("---\na: 1\n...\n").find("a")->text(), "1");
}

TEST(Document, TagsAndKeysThatAreNoNamesAreRefused) {
  EXPECT_EQ(refusal("a: !!int 3\n"), "m.yaml:1:4: YAML tag 'tag:yaml.org,2002:int'; tags are not allowed here");
  EXPECT_EQ(refusal("? [a]\n: 1\n"), "m.yaml:1:3: a key must be a name, found a sequence");
}

TEST(Document, NullInWritingDiffersFromNothing) {
  const Node root = load("a:\nnull_like: 1\nb: null\nc: ~ # comment\nd: [~, null]\ne: {x: null}\nf: {x, y: 1}\ng:\n");
  EXPECT_FALSE(root.find("a")->is_written_null());
  EXPECT_EQ(root.find("a")->place().text(), "m.yaml:1:1");
  EXPECT_TRUE(root.find("b")->is_written_null());
  EXPECT_TRUE(root.find("c")->is_written_null());
  EXPECT_TRUE(root.find("d")->items()[0].is_written_null());
  EXPECT_TRUE(root.find("d")->items()[1].is_written_null());
  EXPECT_TRUE(root.find("e")->find("x")->is_written_null());
  EXPECT_FALSE(root.find("f")->find("x")->is_written_null());
  EXPECT_FALSE(root.find("g")->is_written_null());
}

TEST(Document, EmptyFilesAreRefused) {
  EXPECT_EQ(refusal(""), "m.yaml: the file is empty");
  EXPECT_EQ(refusal("# only a comment\n"), "m.yaml: the file is empty");
  EXPECT_EQ(refusal("---\n"), "m.yaml: the file is empty");
}

TEST(Document, MoreThan64MiBAreRefused) {
  EXPECT_EQ(refusal(std::string(kLargestFile + 1, 'x')), "m.yaml: larger than 64MiB, the limit for this kind of file");
}

TEST(Document, FilesThatCannotBeReadAreNamed) {
  const TemporaryFolder folder;
  const std::string base = folder.path().string();
  std::ofstream(folder.path() / "edge.yaml") << "a: 1\n";
  const auto refused = [](const std::string& path) {
    return error_of([&] {
      Problems problems;
      load_file(path, problems);
    });
  };
  EXPECT_EQ(refused(base + "/edge.yaml"), "no error");
  EXPECT_EQ(refused(base + "/egde.yaml"), base + "/egde.yaml: no such file; did you mean '" + base + "/edge.yaml'?");
  EXPECT_EQ(refused(base + "/unlike_anything"), base + "/unlike_anything: no such file");
  EXPECT_EQ(refused(base + "/sub/x.yaml"), base + "/sub/x.yaml: no such file; there is no folder '" + base + "/sub'");
  EXPECT_EQ(refused(base), base + ": is a directory, expected a file");
  EXPECT_EQ(refused("/dev/zero"), "/dev/zero: larger than 64MiB, the limit for this kind of file");
}

}  // namespace
}  // namespace oscsim::config
