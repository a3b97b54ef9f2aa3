// SPDX-License-Identifier: Apache-2.0
// Outputs onto inputs, whatever their names; files that a signal leaves behind; where configurations are found.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "sim/config/atomic_file.h"
#include "sim/config/ending.h"
#include "sim/config/files.h"
#include "sim/config/json_output.h"
#include "sim/config/open_files.h"
#include "sim/config/temporary_file.h"
#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void write(const std::string& name, const std::string& text = "x") const { std::ofstream(path(name)) << text; }
  std::string content(const std::string& name) const { return read_file(path(name), 1 << 20); }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
  std::string refusal(const OutputClaims::Outputs& outputs) const {
    return error_of([&] { const OutputClaims claims(outputs); });
  }
  std::string is_input(const std::string& output, const std::string& input) const {
    return output + ": is the input " + path(input) + "; nothing is written over what is read";
  }

 private:
  TemporaryFolder folder_;
};

void limit_file_size(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_FSIZE, &limit);
}

using FaultB1 = FilesTest;
using FaultB5 = FilesTest;
using FaultB6 = FilesTest;
using FaultC8 = FilesTest;
using FaultC11 = FilesTest;
using FaultD8 = FilesTest;

TEST_F(FaultB1, OutputIsNoFileThatWasReadByWhateverName) {
  write("t.yaml");
  content("t.yaml");
  fs::create_symlink("t.yaml", path("symlink"));
  fs::create_symlink("symlink", path("second"));
  fs::create_hard_link(path("t.yaml"), path("hard"));
  fs::create_directory(path("sub"));
  fs::create_directory_symlink(".", path("here"));
  for (const char* name : {"t.yaml", "symlink", "second", "hard", "sub/../t.yaml", "here/t.yaml"})
    EXPECT_EQ(refusal({{"--json", path(name)}}), is_input("--json " + path(name), "t.yaml"));
  EXPECT_EQ(refusal({{"--json", path("new.json")}, {"--csv", ""}}), "no error");
}

TEST_F(FaultB1, InputThatIsFoundLaterIsHeldAgainstTheClaims) {
  write("table.yaml");
  fs::create_hard_link(path("table.yaml"), path("hard"));
  const OutputClaims claims({{"--csv", path("hard")}});
  EXPECT_EQ(error_of([&] { content("table.yaml"); }), is_input("--csv " + path("hard"), "table.yaml"));
  EXPECT_EQ(error_of([&] { note_input(path("table.yaml")); }), is_input("--csv " + path("hard"), "table.yaml"));
  write("other.yaml");
  EXPECT_EQ(content("other.yaml"), "x");
}

TEST_F(FaultB1, ClaimsEndWithTheirObject) {
  write("a");
  { const OutputClaims claims({{"-o", path("a")}}); }
  EXPECT_EQ(content("a"), "x");
}

TEST_F(FaultB1, VariantOutputsWithoutAClaimAreHeldAgainstTheInputs) {
  write("sweep.yaml");
  content("sweep.yaml");
  fs::create_symlink("sweep.yaml", path("points.jsonl"));
  EXPECT_EQ(error_of([&] { require_not_read(path("points.jsonl")); }), is_input(path("points.jsonl"), "sweep.yaml"));
  EXPECT_EQ(error_of([&] { require_not_read(path("none")); }), "no error");
}

TEST_F(FaultB1, VariantTwoOutputsOntoOneFile) {
  fs::create_symlink("later", path("dangling"));
  EXPECT_EQ(refusal({{"--json", path("later")}, {"--csv", path("dangling")}}),
            "--json and --csv name the same file, " + path("dangling"));
  write("a");
  fs::create_hard_link(path("a"), path("b"));
  EXPECT_EQ(refusal({{"-o", path("a")}, {"--json", path("b")}}), "-o and --json name the same file, " + path("b"));
  EXPECT_EQ(refusal({{"-o", path("a")}, {"--json", path("c")}}), "no error");
}

TEST_F(FaultB1, VariantDevicesAndPipesMayBeGivenToSeveral) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(refusal({{"-o", "/dev/null"}, {"--json", "/dev/null"}, {"--csv", "/dev/stdout"}, {"--vcd", "/dev/fd/1"}}),
            "no error");
  EXPECT_EQ(refusal({{"-o", path("fifo")}, {"--json", path("fifo")}}), "no error");
}

// An inode that comes back is not the file that was read.
TEST_F(FaultB1, VariantAnInputThatIsGoneIsNobody) {
  for (int i = 0; i < 8; ++i) {
    write("input");
    content("input");
    fs::remove(path("input"));
    write("output");
    EXPECT_EQ(refusal({{"-o", path("output")}}), "no error");
    fs::remove(path("output"));
  }
}

TEST_F(FaultB1, VariantWhatStandardOutputHoldsIsNotCutOff) {
  write("log", "before\n");
  std::fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  std::FILE* log = std::fopen(path("log").c_str(), "a");
  dup2(fileno(log), STDOUT_FILENO);
  write_file_atomically("/dev/stdout", "{}\n");
  dup2(kept, STDOUT_FILENO);
  close(kept);
  std::fclose(log);
  EXPECT_EQ(content("log"), "before\n{}\n");
}

TEST_F(FaultB5, TheRootIsAboveTheProgram) {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  unsetenv("OSCSIM_HOME");
  EXPECT_TRUE(program.string().starts_with(search_root().string() + "/")) << search_root();
}

TEST_F(FaultC11, PathIsLookedUpBesideTheFileThatNamesIt) {
  write("m.yaml");
  fs::create_directory(path("edge_npu"));
  const fs::path folder = path("");
  EXPECT_EQ(beside_or_as_is(folder, "m.yaml"), (folder / "m.yaml").string());
  EXPECT_EQ(beside_or_as_is(folder, "none.yaml"), "none.yaml");
  EXPECT_EQ(beside_or_as_is(folder, ""), "");
  EXPECT_EQ(beside_or_as_is(folder, "/etc/passwd"), "/etc/passwd");
}

TEST_F(FaultC11, VariantAFolderIsNoMachineButMayHoldTensors) {
  fs::create_directory(path("edge_npu"));
  const fs::path folder = path("");
  EXPECT_EQ(beside_or_as_is(folder, "edge_npu"), "edge_npu");
  EXPECT_EQ(beside_or_as_is(folder, "edge_npu", true), (folder / "edge_npu").string());
}

TEST_F(FaultC8, JsonTakesNamesThatAreNotUtf8) {
  EXPECT_EQ(json_text(nlohmann::json{{"file", "caf\xE9.yaml"}}), "{\"file\":\"caf\xEF\xBF\xBD.yaml\"}");
}

// ------ signals; each of these processes ends

TEST_F(FaultB6, NothingStaysOfAFileThatASignalStops) {
  using Kind = TemporaryFile::Kind;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU})
    for (const Kind kind : {Kind::unnamed_where_possible, Kind::named})
      EXPECT_EXIT(
          {
            prepare_for_the_end(2);
            TemporaryFile file(path("t.json"), kind);
            static_cast<void>(!::write(file.descriptor(), "half", 4));
            raise(number);
          },
          testing::KilledBySignal(number), "^oscsim: stopped by SIG[A-Z]+; unfinished files are discarded\n$");
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(FaultB6, VariantASignalThatIsIgnoredStaysSo) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);  // nohup
        prepare_for_the_end(2);
        raise(SIGHUP);
        exit(0);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST_F(FaultB6, VariantAChildLeavesTheFilesOfItsParent) {
  prepare_for_the_end(2);
  TemporaryFile file(path("t.json"), TemporaryFile::Kind::named);
  EXPECT_EXIT(raise(SIGTERM), testing::KilledBySignal(SIGTERM), "SIGTERM");
  EXPECT_EQ(names().size(), 1U);
  EXPECT_TRUE(file.finish(0644));
  EXPECT_EQ(names(), std::vector<std::string>{"t.json"});
}

TEST_F(FaultB6, VariantANamedFileThatIsGivenUpIsRemoved) {
  { const TemporaryFile file(path("t.json"), TemporaryFile::Kind::named); }
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(FaultB6, VariantFinishedFilesReplaceOldOnes) {
  for (const auto kind : {TemporaryFile::Kind::unnamed_where_possible, TemporaryFile::Kind::named})
    for (const std::string text : {"one", "two"}) {
      TemporaryFile file(path("t.json"), kind);
      ASSERT_EQ(::write(file.descriptor(), text.data(), text.size()), std::ssize(text));
      EXPECT_TRUE(file.finish(0600));
      EXPECT_EQ(content("t.json"), text);
    }
  EXPECT_EQ(names(), std::vector<std::string>{"t.json"});
}

TEST_F(FaultB6, VariantTheLongestNameOfAnOutputIsTaken) {
  const std::string name(255, 'n');  // NAME_MAX of Linux
  for (int i = 0; i < 2; ++i) write_file_atomically(path(name), "x");
  TemporaryFile file(path(name), TemporaryFile::Kind::named);
  EXPECT_TRUE(file.is_open());
}

TEST_F(FaultD8, AFileBeyondTheLimitIsAnErrorOfTheWrite) {
  EXPECT_EXIT(
      {
        prepare_for_the_end(2);
        limit_file_size(1 << 20);
        const std::string text = error_of([&] { write_file_atomically(path("t.json"), std::string(2 << 20, 'x')); });
        static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
        exit(0);
      },
      testing::ExitedWithCode(0), "t.json: cannot be written: File too large$");
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(FaultD8, VariantTheFirstErrorOfAWriteIsTold) {
  const auto flushing = [](std::ostream& out) {
    for (int i = 0; i < 3; ++i) out << "x" << std::flush;
  };
  EXPECT_EQ(error_of([&] { write_file_atomically("/dev/full", flushing); }),
            "/dev/full: cannot be written: No space left on device");
}

}  // namespace
}  // namespace oscsim::config
