// SPDX-License-Identifier: Apache-2.0
// Output files appear whole or not at all.
#include "sim/config/atomic_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "sim/config/files.h"
#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

class AtomicFile : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  std::string content(const std::string& name) const { return read_file(path(name), 1 << 20); }
  std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator());
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(AtomicFile, WritesAndReplaces) {
  write_file_atomically(path("a"), "one");
  EXPECT_EQ(content("a"), "one");
  write_file_atomically(path("a"), [](std::ostream& out) { out << "two" << '\0' << "\r\n"; });
  EXPECT_EQ(content("a"), std::string("two\0\r\n", 6));
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFile, FailingWriterLeavesTheOldFileAndNothingElse) {
  write_file_atomically(path("a"), "one");
  const auto failing = [](std::ostream& out) {
    out << "half";
    throw std::runtime_error("stop");
  };
  EXPECT_THROW(write_file_atomically(path("a"), failing), std::runtime_error);
  EXPECT_THROW(write_file_atomically(path("b"), failing), std::runtime_error);
  EXPECT_EQ(content("a"), "one");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFile, KeepsTheModeOfAnExistingFileAndUsesTheMaskForANewOne) {
  const mode_t old_mask = umask(027);
  write_file_atomically(path("new"), "x");
  umask(old_mask);
  EXPECT_EQ(fs::status(path("new")).permissions(), fs::perms(0640));
  fs::permissions(path("new"), fs::perms(0604));
  write_file_atomically(path("new"), "y");
  EXPECT_EQ(fs::status(path("new")).permissions(), fs::perms(0604));
}

TEST_F(AtomicFile, WritesThroughSymbolicLinks) {
  write_file_atomically(path("target"), "one");
  fs::create_symlink("target", path("link"));
  write_file_atomically(path("link"), "two");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(content("target"), "two");
  fs::create_symlink("later", path("dangling"));
  write_file_atomically(path("dangling"), "three");
  EXPECT_EQ(content("later"), "three");
}

TEST_F(AtomicFile, DevicesAreWrittenDirectly) {
  write_file_atomically("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(error_of([] { write_file_atomically("/dev/full", "x"); }),
            "/dev/full: cannot be written: No space left on device");
}

TEST_F(AtomicFile, ErrorsNameThePath) {
  EXPECT_EQ(error_of([&] { write_file_atomically(path(""), "x"); }),
            path("").string() + ": is a directory, expected a file to write");
  EXPECT_EQ(error_of([&] { write_file_atomically(path("sub/a"), "x"); }),
            path("sub/a").string() + ": cannot be written: there is no folder '" + path("sub").string() + "'");
  EXPECT_EQ(error_of([] { write_file_atomically("", "x"); }), "an empty name for an output file");
  EXPECT_EQ(error_of([] { write_file_atomically("/proc/oscsim", "x"); }),
            "/proc/oscsim: cannot be written: No such file or directory");
}

}  // namespace
}  // namespace oscsim::config
