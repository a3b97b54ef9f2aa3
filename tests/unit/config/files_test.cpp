// SPDX-License-Identifier: Apache-2.0
// Configurations by name.
#include "sim/config/files.h"

#include <cstdlib>
#include <fstream>

#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

class Locate : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(root() / "configs/machines/old.yaml");
    for (const char* name : {"edge_npu", "paper"})
      std::ofstream(root() / fmt::format("configs/machines/{}.yaml", name)) << "name: x\n";
  }
  const fs::path& root() const { return folder_.path(); }
  std::string refusal(const std::string& argument) const {
    return error_of([&] { locate("configs/machines", argument, root()); });
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Locate, NameStandsForTheFileInTheFolder) {
  EXPECT_EQ(locate("configs/machines", "paper", root()), root() / "configs/machines/paper.yaml");
}

TEST_F(Locate, PathIsTakenAsItIs) {
  const fs::path path = root() / "configs/machines/paper.yaml";
  EXPECT_EQ(locate("configs/schemes", path.string(), root()), path);
}

TEST_F(Locate, UnknownNameListsTheKnownOnes) {
  EXPECT_EQ(refusal("papr"), "'papr' is neither a file nor a name in " + root().string() +
                                 "/configs/machines\n  available: edge_npu, paper; did you mean 'paper'?");
  EXPECT_EQ(error_of([&] { locate("configs/none", "papr", root()); }),
            "'papr' is neither a file nor a name in " + root().string() + "/configs/none\n  available: none");
  EXPECT_EQ(refusal(""), "an empty name for a file of configs/machines");
}

TEST_F(Locate, MissingPathAndDirectoryAreFileErrors) {
  const std::string base = root().string() + "/configs/machines";
  EXPECT_EQ(refusal(base + "/papr.yaml"), base + "/papr.yaml: no such file; did you mean '" + base + "/paper.yaml'?");
  EXPECT_EQ(refusal(base), base + ": is a directory, expected a file");
  EXPECT_EQ(refusal("no_such_folder/x.yaml"),
            "no_such_folder/x.yaml: no such file; there is no folder 'no_such_folder'");
}

TEST_F(Locate, EnvironmentVariableSetsTheRoot) {
  ASSERT_EQ(setenv("OSCSIM_HOME", root().c_str(), 1), 0);
  EXPECT_EQ(search_root(), root());
  ASSERT_EQ(setenv("OSCSIM_HOME", "/nonexistent", 1), 0);
  EXPECT_EQ(error_of([] { search_root(); }), "OSCSIM_HOME is '/nonexistent', but there is no folder configs in it");
  unsetenv("OSCSIM_HOME");
}

TEST_F(Locate, ReadFileStopsAtItsLimit) {
  const fs::path path = root() / "x";
  std::ofstream(path) << std::string(100, 'a');
  EXPECT_EQ(read_file(path, 100), std::string(100, 'a'));
  EXPECT_EQ(error_of([&] { read_file(path, 99); }),
            path.string() + ": larger than 99B, the limit for this kind of file");
}

}  // namespace
}  // namespace oscsim::config
