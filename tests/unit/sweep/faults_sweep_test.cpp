// SPDX-License-Identifier: Apache-2.0
// Faults that came in from outside, each under its number: the exact input, and others of its kind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "models/base/error.h"
#include "sim/config/document.h"
#include "sim/sweep/merge.h"
#include "sim/sweep/pool.h"
#include "sim/sweep/run_sweep.h"
#include "sim/sweep/slurm.h"

namespace oscsim::sweep {
namespace {

namespace fs = std::filesystem;

template <class Work>
std::string refusal(const Work& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "none";
}

// ------ B7, D13: Slurm arrays. The values of each task are those that Slurm 22.05 gave.

class Array {
 public:
  Array(const char* count, const char* min, const char* max, const char* step)
      : values_{{"COUNT", count}, {"MIN", min}, {"MAX", max}, {"STEP", step}} {}

  // "2/3", or what it is refused with.
  std::string task(const std::string& id) const {
    for (const auto& [name, value] : values_) set(name, value);
    set("ID", id.c_str());
    std::string text;
    const std::string why = refusal([&] {
      const auto shard = shard_from_environment();
      text = shard ? fmt::format("{}/{}", shard->index, shard->count) : "no array";
    });
    for (const auto& [name, value] : values_) set(name, nullptr);
    set("ID", nullptr);
    return why == "none" ? text : why;
  }

 private:
  static void set(const std::string& name, const char* value) {
    const std::string variable = "SLURM_ARRAY_TASK_" + name;
    value != nullptr ? setenv(variable.c_str(), value, 1) : unsetenv(variable.c_str());
  }

  std::vector<std::pair<std::string, const char*>> values_;
};

std::string no_place(const std::string& id, const std::string& array) {
  return fmt::format(
      "this is task {} of a Slurm array {}, whose place in it cannot be told\n  give --shard I/N with I from 1 to N, "
      "or an "
      "array such as 1-8 or 1-9:4",
      id, array);
}

TEST(FaultB7, StepsOfAnArrayAreCounted) {
  const Array array("3", "1", "9", "4");  // 1-9:4
  EXPECT_EQ(array.task("1"), "1/3");
  EXPECT_EQ(array.task("5"), "2/3");
  EXPECT_EQ(array.task("9"), "3/3");
}

TEST(FaultB7, AListIsRefusedByEveryTask) {
  const Array array("2", "2", "7", "1");  // 2,7
  for (const char* id : {"2", "7"}) EXPECT_EQ(array.task(id), no_place(id, "of 2 tasks from 2 to 7"));
}

TEST(FaultB7, VariantArraysFromZeroSingleTasksAndStepsBeyondTheEnd) {
  EXPECT_EQ(Array("16", "0", "15", "1").task("15"), "16/16");  // 0-15%4
  EXPECT_EQ(Array("1", "5", "5", "1").task("5"), "1/1");       // 5
  EXPECT_EQ(Array("1", "1", "1", "4").task("1"), "1/1");       // 1-2:4
  EXPECT_EQ(Array("4", "3", "6", "1").task("6"), "4/4");       // 3-4,4-6
}

TEST(FaultB7, VariantMixedArraysAreRefusedByEveryTask) {
  const Array with_step("5", "0", "7", "2");  // 0-3,7-7:2
  for (const char* id : {"0", "1", "2", "3", "7"})
    EXPECT_EQ(with_step.task(id), no_place(id, "of 5 tasks from 0 to 7"));
  const Array with_end("4", "1", "9", "4");  // 1-9:4,2
  for (const char* id : {"1", "2", "5", "9"}) EXPECT_EQ(with_end.task(id), no_place(id, "of 4 tasks from 1 to 9"));
}

// Two of its tasks cannot know; the third one does, and leaves nothing out.
TEST(FaultB7, VariantAListThatLooksLikeStepsIsCoveredByItsOddTask) {
  const Array array("3", "1", "9", "4");  // 1,2,9-9:4
  EXPECT_EQ(array.task("1"), "1/3");
  EXPECT_EQ(array.task("9"), "3/3");
  EXPECT_EQ(array.task("2"), "1/1");
}

TEST(FaultB7, VariantATaskWithoutItsArrayIsRefused) {
  EXPECT_EQ(Array(nullptr, nullptr, nullptr, nullptr).task("3"),
            no_place("3", "without SLURM_ARRAY_TASK_COUNT and SLURM_ARRAY_TASK_MIN"));
  EXPECT_EQ(Array("3", "1", nullptr, nullptr).task("5"), no_place("5", "of 3 tasks from 1 to 3"));
  EXPECT_EQ(Array("3", "1", "9", "4").task(""), "no array");
}

TEST(FaultD13, AHugeNegativeMinimumIsRefused) {
  EXPECT_EQ(
      Array("4", "-9223372036854775807", "9", "1").task("5"),
      "the environment's SLURM_ARRAY_TASK_MIN is '-9223372036854775807'; allowed: 0 to 4000000; or give --shard I/N");
}

TEST(FaultD13, VariantHugeCountsIdsAndStepsAreRefused) {
  const auto start = [](const std::string& name, const std::string& value) {
    return fmt::format("the environment's SLURM_ARRAY_TASK_{} is '{}'; allowed: 0 to 4000000; or give --shard I/N",
                       name, value);
  };
  EXPECT_EQ(Array("9223372036854775807", "0", "9", "1").task("5"), start("COUNT", "9223372036854775807"));
  EXPECT_EQ(Array("4", "0", "9", "9223372036854775807").task("5"), start("STEP", "9223372036854775807"));
  EXPECT_EQ(Array("4", "0", "3", "1").task("99999999999999999999"), start("ID", "99999999999999999999"));
  EXPECT_EQ(Array("4", "0", "3", "1").task("1x"), start("ID", "1x"));
}

// ------ D1: scripts

SlurmJob job_in(const std::string& folder) {
  SlurmJob job;
  job.program = "/opt/oscsim";
  job.file = "/home/me/sweep.yaml";
  job.folder = folder;
  job.left = {1};
  return job;
}

TEST(FaultD1, AFolderWithALineEndIsRefused) {
  EXPECT_EQ(refusal([] { array_script(job_in("/data/a\ntouch pwned\n")); }),
            "-o '/data/a touch pwned ': a batch script cannot hold a name with a control character");
}

TEST(FaultD1, VariantEveryNameOfBothScripts) {
  SlurmJob job = job_in("/data/a");
  job.file = "/home/\rme";
  EXPECT_EQ(refusal([&] { merge_script(job); }),
            "the sweep file '/home/ me': a batch script cannot hold a name with a control character");
  job.file = "/home/me";
  job.program = "/opt/\x7F";
  EXPECT_EQ(refusal([&] { array_script(job); }),
            "the program '/opt/ ': a batch script cannot hold a name with a control character");
  EXPECT_EQ(refusal([] { merge_script(job_in("/data/\"; touch x \"")); }),
            "-o '/data/\"; touch x \"': the line #SBATCH --output cannot hold a name with \"");
  EXPECT_EQ(refusal([] { array_script(job_in("/data/a\\b")); }),
            "-o '/data/a\\b': the line #SBATCH --output cannot hold a name with \\");
}

TEST(FaultD1, VariantNamesThatAShellWouldReadAreQuoted) {
  SlurmJob job = job_in("/data/$(touch x) `y` #'z'");
  job.limits = " --cycle-limit 5";
  const std::string script = array_script(job);
  EXPECT_NE(script.find("#SBATCH --output=\"/data/$(touch x) `y` #'z'/slurm/%A_%a.log\"\n"), std::string::npos)
      << script;
  EXPECT_NE(script.find(
                "-o '/data/$(touch x) `y` #'\\''z'\\''' --jobs 1 --shard \"$SLURM_ARRAY_TASK_ID/1\" --cycle-limit 5\n"),
            std::string::npos)
      << script;
}

// ------ sweeps of a file

class FaultFile {
 public:
  FaultFile() : path_(fs::temp_directory_path() / fmt::format("oscsim_faults_{}.yaml", getpid())) {}
  ~FaultFile() { fs::remove(path_); }

  Sweep read(const std::string& rest) const {
    std::ofstream(path_) << "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\n" << rest;
    return read_sweep(path_.string());
  }
  // Without the file's name.
  std::string problem(const std::string& rest) const {
    const std::string text = refusal([&] { read(rest); });
    return text.starts_with(path_.string()) ? text.substr(path_.string().size() + 1) : text;
  }
  std::string condition(const std::string& text) const {
    return problem(fmt::format("axes: {{machine.cores: [1, 2]}}\nwhere:\n  - {}\n", text));
  }
  std::string values(const std::string& axis) const {
    std::string text;
    const Sweep sweep = read(fmt::format("axes:\n  {}\n", axis));
    for (const std::vector<AxisValue>& value : sweep.axes.front().values)
      text += (text.empty() ? "" : " ") + value.front().text;
    return text;
  }

 private:
  fs::path path_;
};

std::string wrong(const std::string& condition, const std::string& why) {
  return fmt::format("5:5: condition '{}': {}\n  write for example machine.core.buffers.l0a <= 64KiB", condition, why);
}

TEST(FaultB9, AnUnknownNameIsRefused) {
  EXPECT_EQ(FaultFile().condition("foo <= 3"), wrong("foo <= 3", "'foo' is no parameter"));
}

TEST(FaultB9, AResultIsRefusedWithAWord) {
  EXPECT_EQ(FaultFile().condition("area_mm2 <= 150"),
            wrong("area_mm2 <= 150",
                  "'area_mm2' is a result: conditions choose points before they run; choose among the rows of "
                  "results.jsonl by it"));
}

TEST(FaultB9, VariantNamesAreRefusedWithTheNearest) {
  const FaultFile file;
  EXPECT_EQ(file.condition("lanes <= 8"),
            wrong("lanes <= 8", "'lanes' is no parameter; did you mean 'machine.core.gather.lanes'?"));
  EXPECT_EQ(file.condition("machine.cores + coress <= 3"),
            wrong("machine.cores + coress <= 3", "'coress' is no parameter; did you mean 'machine.cores'?"));
  EXPECT_EQ(file.condition("machine.cores > 1 or speedup > 1"),
            wrong("machine.cores > 1 or speedup > 1",
                  "'speedup' is a result: conditions choose points before they run; choose among the rows of "
                  "results.jsonl by it"));
}

TEST(FaultB9, VariantNamesThatNothingCanEqualAreRefused) {
  const FaultFile file;
  EXPECT_EQ(file.condition("scheme < osc"), wrong("scheme < osc", "'osc' is no parameter"));
  EXPECT_EQ(file.condition("machine.cores == osc"),
            wrong("machine.cores == osc", "'osc' is no number, and the other side of == is one"));
  EXPECT_EQ(file.condition("scheme + 1 == 2"), wrong("scheme + 1 == 2", "'scheme' is no number: + needs numbers"));
  EXPECT_EQ(file.condition("scheme <= baseline"),
            wrong("scheme <= baseline", "'scheme' is no number: it can only be == or !="));
  const std::string unknown = file.condition("scheme != osk");
  EXPECT_TRUE(unknown.starts_with("5:5: 'osk' is neither a file nor a name in ")) << unknown;
  EXPECT_TRUE(unknown.ends_with("; did you mean 'osc'?")) << unknown;
  EXPECT_EQ(file.condition("machine.core.branch.placement == owm"),
            "5:5: unknown value 'owm' for core.branch.placement\n  allowed: own, shared; did you mean 'own'?");
  EXPECT_EQ(file.condition("scheme == osc"), "none");
}

TEST(FaultD3, NestedParenthesesHaveALimit) {
  const std::string text = std::string(10'250, '(') + "1" + std::string(10'250, ')') + " < 2";
  EXPECT_EQ(FaultFile().condition(text),
            wrong(std::string(60, '(') + "… (20,505 bytes)", "20505 characters; allowed: up to 4096"));
  const std::string deep = std::string(65, '(') + "1" + std::string(65, ')') + " < 2";
  EXPECT_EQ(FaultFile().condition(deep),
            wrong(std::string(60, '(') + "… (135 bytes)", "more than 64 parentheses in each other"));
  EXPECT_EQ(FaultFile().condition(std::string(64, '(') + "1" + std::string(64, ')') + " < 2"), "none");
}

TEST(FaultD3, LongChainsHaveALimit) {
  std::string ors = "1 < 2", sums = "1";
  for (int i = 0; i < 43'800; ++i) ors += " or 1 < 2";
  for (int i = 0; i < 59'400; ++i) sums += " + 1";
  for (const std::string& text : {ors, sums + " > 2"})
    EXPECT_NE(FaultFile().condition(text).find(fmt::format("{} characters; allowed: up to 4096\n", text.size())),
              std::string::npos);
}

TEST(FaultD3, VariantTheLongestChainsThatAreAllowedAreEvaluated) {
  std::string chain = "machine.cores";
  while (chain.size() + 10 < Condition::kLongest) chain += "*1";
  EXPECT_EQ(FaultFile().condition(chain + " > 0"), "none");
}

// Of a range, before the parameter's own reader judges its values.
std::string range_values(const std::string& path, const std::string& range) {
  config::Problems problems;
  const config::Node node = config::load_text(fmt::format("{}: {{{}}}\n", path, range), "range", problems);
  const auto axis = read_axis(node.entries().front(), problems);
  if (!problems.empty()) return problems.text();
  std::string text;
  for (const std::vector<AxisValue>& value : axis->values) text += (text.empty() ? "" : " ") + value.front().text;
  return text;
}

constexpr const char* kNumber = "trace.synthetic.activation_std";

TEST(FaultD9, ARangeFromASubnormalNumberIsRight) {
  EXPECT_EQ(range_values(kNumber, "from: 1e-320, to: 1, count: 3"), "1e-320 0.5 1");
  EXPECT_EQ(FaultFile().values(fmt::format("{}: {{from: 1e-320, to: 1, count: 3}}", kNumber)), "1e-320 0.5 1");
}

TEST(FaultD9, ALogRangeOverAllOfTheNumbersIsRight) {
  EXPECT_EQ(range_values(kNumber, "from: 1e-308, to: 1e308, count: 3, scale: log10"), "1e-308 1 1e+308");
  EXPECT_EQ(range_values(kNumber, "from: 1e-308, to: 1e308, count: 5, scale: log2"), "1e-308 1e-154 1 1e+154 1e+308");
  EXPECT_EQ(
      FaultFile().problem(fmt::format("axes:\n  {}: {{from: 1e-308, to: 1e308, count: 3, scale: log10}}\n", kNumber)),
      "4:35: synthetic.activation_std is 1e+308; allowed: 0 to 1e+06");
}

TEST(FaultD9, VariantWideRangesOfEveryKind) {
  EXPECT_EQ(range_values(kNumber, "from: -1.5e308, to: 1.5e308, count: 3"), "-1.5e+308 0 1.5e+308");
  EXPECT_EQ(range_values(kNumber, "from: 5e-324, to: 1.7e308, scale: log10").substr(0, 23), "5e-324 5e-323 4.94e-322");
  EXPECT_EQ(range_values(kNumber, "from: 0, to: 1.7e308, step: 5e-324"),
            "range:1:33: trace.synthetic.activation_std: more than 100000 values");
}

TEST(FaultD9, VariantWholeNumbersKeepTheirDigits) {
  EXPECT_EQ(range_values("gemm.m", "from: 1000000000001, to: 1000000000003, step: 1"),
            "1000000000001 1000000000002 1000000000003");
  EXPECT_EQ(range_values("gemm.m", "from: 1, to: 9007199254740993, count: 2"),
            "range:1:23: gemm.m.to: 2^53 or more, where a range is not exact: give a list of values");
}

// ------ D10: damaged folders

class FaultFolder : public testing::Test {
 protected:
  FaultFolder() : path_(fs::temp_directory_path() / fmt::format("oscsim_folder_{}", getpid())), folder_(path_) {
    fs::remove_all(path_);
    const Sweep sweep = file_.read("axes: {machine.cores: [1, 2]}\n");
    keys_ = keys_of(sweep);
    folder_.begin(sweep, keys_);
    write("rows/1_of_1.0.jsonl", evaluate(sweep, 0, keys_[0], nullptr) + "\n");
  }
  ~FaultFolder() override { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }
  std::string damage() const {
    return refusal([&] {
      folder_.require_ours();
      merge(folder_);
    });
  }
  std::string named(const std::string& name, const std::string& what) const {
    return fmt::format("{}/{}: {}; the sweep's folder is damaged", path_.string(), name, what);
  }

  FaultFile file_;
  fs::path path_;
  Folder folder_;
  std::vector<std::string> keys_;
};

using FaultD10 = FaultFolder;

TEST_F(FaultD10, AWholeFolderMerges) {
  EXPECT_EQ(damage(), "none");
}

TEST_F(FaultD10, NumbersAsVersionAndGit) {
  write("sweep.json", "{\"version\": 1, \"git\": \"x\"}");
  EXPECT_EQ(damage(), named("sweep.json", "'version' is no text"));
  write("sweep.json", "{\"version\": \"1\", \"git\": 7}");
  EXPECT_EQ(damage(), named("sweep.json", "'git' is no text"));
}

TEST_F(FaultD10, PointsWithoutAKey) {
  write("points.jsonl", "{\"key\":1}\n");
  EXPECT_EQ(damage(), named("points.jsonl:1", "'key' is not 20 hexadecimal digits"));
  fs::remove(path_ / "points.jsonl");
  fs::create_directory(path_ / "points.jsonl");
  EXPECT_EQ(damage(), named("points.jsonl", "is no regular file"));
}

TEST_F(FaultD10, APipeAmongTheRowsDoesNotHang) {
  ASSERT_EQ(mkfifo((path_ / "rows/x.jsonl").c_str(), 0600), 0);
  EXPECT_EQ(damage(), named("rows/x.jsonl", "is no regular file"));
  EXPECT_EQ(refusal([&] { folder_.repair({}); }), "none");
  EXPECT_EQ(refusal([&] { RowFile row(path_ / "rows/x.jsonl"); }), named("rows/x.jsonl", "is no regular file"));
}

TEST_F(FaultD10, VariantPipesAndFoldersInTheOtherPlaces) {
  for (const std::string name : {"sweep.json", "points.jsonl"}) {
    fs::rename(path_ / name, path_ / "kept");
    ASSERT_EQ(mkfifo((path_ / name).c_str(), 0600), 0);
    EXPECT_EQ(damage(), named(name, "is no regular file"));
    fs::rename(path_ / "kept", path_ / name);
  }
  ASSERT_EQ(mkfifo((path_ / "results.csv").c_str(), 0600), 0);
  EXPECT_EQ(damage(), named("results.csv", "is no regular file"));
  fs::remove(path_ / "points.jsonl");
  ASSERT_EQ(mkfifo((path_ / "points.jsonl").c_str(), 0600), 0);
  EXPECT_EQ(refusal([&] { folder_.begin(file_.read("axes: {machine.cores: [1, 2]}\n"), keys_); }),
            named("points.jsonl", "is no regular file"));
  fs::remove_all(path_ / "rows");
  write("rows", "");
  EXPECT_EQ(damage(), named("rows", "is no folder"));
}

TEST_F(FaultD10, VariantTextsThatAreNoJson) {
  write("sweep.json", "{\n\"version\": \"1\",\n}");
  EXPECT_EQ(damage(), named("sweep.json:3", "is no JSON"));
  write("sweep.json", std::string("{}\n\0{}", 6));
  EXPECT_EQ(damage(), named("sweep.json:2", "is no JSON"));
  write("sweep.json", "[]");
  EXPECT_EQ(damage(), named("sweep.json:1", "is no JSON object"));
}

TEST_F(FaultD10, VariantRowsOfOtherKinds) {
  for (const std::string& row :
       {std::string("5"), std::string("[]"), std::string("\xFF\xFE\0x", 4), std::string("{\"key\":1}"),
        std::string("{\"key\":\"a\",\"status\":\"ok\"}"), "{\"key\":\"" + keys_[0] + "\",\"status\":\"well\"}"}) {
    write("rows/x.jsonl", row + "\n");
    EXPECT_EQ(damage(), named("rows/x.jsonl:1", "is no row of a sweep"));
  }
  // Rows with a good beginning.
  const std::string good = error_line(keys_[1], Status::failed, "why");
  for (const auto& [from, to] : {std::pair(R"("speedup":null)", R"("speedup":{})"),
                                 {"\"error\":\"why\",", ""},
                                 {R"("speedup":null)", R"("speedup":"fast")"},
                                 {"null}", "null,}"}}) {
    std::string row = good;
    row.replace(row.rfind(from), std::string(from).size(), to);
    write("rows/x.jsonl", row + "\n");
    EXPECT_EQ(damage(), named("rows/x.jsonl:1", "is no row of a sweep")) << row;
  }
}

TEST_F(FaultD10, VariantPointsThatAreNotThoseOfTheSweep) {
  std::ifstream file(path_ / "points.jsonl");
  std::string first, second;
  std::getline(file, first);
  std::getline(file, second);
  write("points.jsonl", first + "\n");
  EXPECT_EQ(damage(), named("points.jsonl", "has 1 points, not those that sweep.json says"));
  write("points.jsonl", second + "\n" + first + "\n");
  EXPECT_EQ(damage(), named("points.jsonl:1", "is not the point that belongs there"));
  write("points.jsonl", first + "\n{}\n");
  EXPECT_EQ(damage(), named("points.jsonl:2", "'key' is not 20 hexadecimal digits"));
}

TEST_F(FaultD10, VariantWhatWasSubmitted) {
  fs::create_directory(path_ / "slurm");
  write("slurm/submitted.json", R"({"array_job": 1, "merge_job": "2", "shards": 3})");
  EXPECT_EQ(refusal([&] { submitted(folder_); }), named("slurm/submitted.json", "'array_job' is no text"));
  write("slurm/submitted.json", R"({"array_job": "1", "merge_job": "2", "shards": 1e99})");
  EXPECT_EQ(refusal([&] { submitted(folder_); }), named("slurm/submitted.json", "'shards' is not 1 to 1000"));
}

// ------ limits of the pool

TEST(FaultLimits, AStuckTaskEndsAndTheOthersGoOn) {
  std::vector<std::size_t> late;
  PoolTasks tasks;
  tasks.count = 4;
  tasks.open = [](std::size_t) {};
  tasks.run = [](std::size_t task) {
    if (task == 1)
      for (;;) pause();
    return true;
  };
  tasks.died = [](std::size_t, std::size_t, const std::string& why) { FAIL() << why; };
  tasks.time_limit = std::chrono::milliseconds(300);
  tasks.timed_out = [&](std::size_t, std::size_t task) { late.push_back(task); };
  PoolProgress last;
  tasks.progress = [&](const PoolProgress& progress) { last = progress; };
  EXPECT_EQ(run_pool(2, tasks), PoolEnd::done);
  EXPECT_EQ(late, std::vector<std::size_t>{1});
  EXPECT_EQ(last.done, 4U);
  EXPECT_EQ(last.failed, 1U);
}

}  // namespace
}  // namespace oscsim::sweep
