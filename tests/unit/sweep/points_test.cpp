// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "models/base/error.h"
#include "sim/sweep/run_sweep.h"

namespace oscsim::sweep {
namespace {

constexpr const char* kBase = "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\n";

class Points : public testing::Test {
 protected:
  Points() : path_(std::filesystem::temp_directory_path() / fmt::format("oscsim_points_{}.yaml", getpid())) {}
  ~Points() override { std::filesystem::remove(path_); }

  Sweep read(const std::string& rest) {
    std::ofstream(path_) << kBase << rest;
    return read_sweep(path_.string());
  }

  // "8 64KiB | 8 128KiB | ..."
  std::string points(const std::string& rest) {
    const Sweep sweep = read(rest);
    std::string text;
    for (const Point& point : sweep.points) {
      text += text.empty() ? "" : " | ";
      std::string values;
      for (const Choice& choice : sweep.choices(point)) values += (values.empty() ? "" : " ") + choice.value->text;
      text += values;
    }
    return text;
  }

  std::string problem(const std::string& rest) {
    try {
      read(rest);
    } catch (const InputError& error) {
      return std::string(error.what()).substr(path_.string().size() + 1);
    }
    return "none";
  }

 private:
  std::filesystem::path path_;
};

TEST_F(Points, LastAxisVariesFastest) {
  EXPECT_EQ(points("axes:\n  machine.cores: [1, 2]\n  machine.core.buffers.l1: [64KiB, 128KiB]\n"),
            "1 64KiB | 1 128KiB | 2 64KiB | 2 128KiB");
}

TEST_F(Points, RangesOfEveryScale) {
  const auto of = [&](const std::string& path, const std::string& range) {
    return points(fmt::format("axes: {{{}: {{{}}}}}\n", path, range));
  };
  EXPECT_EQ(of("machine.cores", "from: 1, to: 7, step: 2"), "1 | 3 | 5 | 7");
  EXPECT_EQ(of("machine.cores", "from: 1, to: 8, step: 3"), "1 | 4 | 7");
  EXPECT_EQ(of("machine.cores", "from: 1, to: 9, count: 3"), "1 | 5 | 9");
  EXPECT_EQ(of("machine.core.buffers.l1", "from: 64KiB, to: 1MiB, scale: log2, count: 5"),
            "64KiB | 128KiB | 256KiB | 512KiB | 1MiB");
  EXPECT_EQ(of("machine.core.buffers.l1", "from: 64KiB, to: 300KiB, scale: log2"), "64KiB | 128KiB | 256KiB");
  EXPECT_EQ(of("machine.hbm.bandwidth", "from: 1GB/s, to: 1TB/s, scale: log10"), "1GB/s | 10GB/s | 100GB/s | 1TB/s");
  EXPECT_EQ(of("machine.hbm.bandwidth", "from: 0.8TB/s, to: 2.4TB/s, step: 0.8TB/s"), "800GB/s | 1.6TB/s | 2.4TB/s");
  EXPECT_EQ(of("scheme.outliers.alpha", "from: 0.1, to: 0.3, step: 0.1"), "0.1 | 0.2 | 0.3");
}

TEST_F(Points, WrongRangesAreRefused) {
  const auto of = [&](const std::string& range) {
    return problem(fmt::format("axes: {{machine.cores: {{{}}}}}\n", range));
  };
  EXPECT_EQ(of("from: 1, to: 9"), "3:23: machine.cores: a linear range needs count or step");
  EXPECT_EQ(of("from: 1, to: 9, step: 2, count: 3"), "3:23: machine.cores: step and count are given; one is enough");
  EXPECT_EQ(of("from: 1, to: 9, step: 2, scale: log2"),
            "3:23: machine.cores: step is for the linear scale; give count");
  EXPECT_EQ(of("from: 0, to: 9, scale: log2"), "3:23: machine.cores: a log2 scale must begin above 0");
  EXPECT_EQ(of("from: 1, to: 3, count: 4"), "3:23: machine.cores: 2 is there already");
  EXPECT_EQ(of("from: 1, to: 5000, count: 2"), "3:23: cores is 5000; allowed: 1 to 4096");
}

TEST_F(Points, LinkedAxesGoTogether) {
  EXPECT_EQ(
      points("axes: {machine.cores: [1, 2]}\n"
             "linked:\n  - machine.core.buffers.l0a: [32KiB, 64KiB]\n    machine.core.buffers.l0b: [16KiB, 48KiB]\n"),
      "1 32KiB 16KiB | 1 64KiB 48KiB | 2 32KiB 16KiB | 2 64KiB 48KiB");
}

TEST_F(Points, ConditionsLeavePointsOut) {
  EXPECT_EQ(points("axes:\n  gemm.m: [8, 16, 32]\n  gemm.n: [8, 16, 32]\n"
                   "where:\n  - gemm.m <= gemm.n\n  - gemm.m * gemm.n < gemm.k\n"),
            "8 8 | 8 16 | 8 32 | 16 16");
  EXPECT_EQ(problem("axes: {gemm.m: [8, 16]}\nwhere: [gemm.m > 16]\n"), " no point of 2 meets the conditions");
}

TEST_F(Points, RandomPointsDependOnTheSeedOnlyAndAreDifferent) {
  const std::string axes =
      "axes:\n  machine.cores: {from: 1, to: 1000, step: 1}\n  gemm.m: {from: 1, to: 1000, step: 1}\n"
      "where: [gemm.m <= machine.cores]\n";
  const Sweep sweep = read(axes + "random: {count: 100, seed: 7}\n");
  EXPECT_EQ(sweep.points.size(), 100U);
  EXPECT_EQ(std::set<Point>(sweep.points.begin(), sweep.points.end()).size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(sweep.points));
  for (const Point& point : sweep.points) EXPECT_LE(point[1], point[0]);
  EXPECT_EQ(read(axes + "random: {count: 100, seed: 7}\n").points, sweep.points);
  EXPECT_NE(read(axes + "random: {count: 100, seed: 8}\n").points, sweep.points);
}

TEST_F(Points, ListsAreTakenAsTheyStand) {
  EXPECT_EQ(points("points:\n  - {gemm.m: 8, scheme: osc}\n  - {scheme: w4a4, gemm.m: 4}\n"), "8 osc | 4 w4a4");
}

TEST_F(Points, KeysAreOfWhatIsSimulated) {
  const auto key = [&](const std::string& rest) { return keys_of(read(rest)).front(); };
  EXPECT_EQ(key("axes: {machine.core.buffers.l1: [1MiB]}\n"), key("axes: {machine.core.buffers.l1: [1024KiB]}\n"));
  EXPECT_EQ(key("axes: {gemm.m: [64]}\n"), key("axes: {gemm.n: [256]}\n"));
  EXPECT_NE(key("axes: {gemm.m: [64]}\n"), key("axes: {gemm.m: [65]}\n"));
  EXPECT_NE(key("axes: {gemm.position: [attn_in]}\n"), key("axes: {gemm.position: [o_in]}\n"));
  EXPECT_NE(key("axes: {mapping.m: [16]}\n"), key("axes: {mapping.m: [32]}\n"));
  EXPECT_NE(key("axes: {scheme: [osc]}\n"), key("axes: {baseline: [osc]}\n"));
  EXPECT_NE(key("axes: {trace.synthetic.miss_rate: [0]}\n"), key("axes: {trace.synthetic.miss_rate: [1]}\n"));
}

TEST_F(Points, ShardsHaveEachPointOnce) {
  for (std::size_t point = 0; point < 100; ++point) {
    int owners = 0;
    for (std::int64_t i = 1; i <= 7; ++i) owners += Shard{i, 7}.has(point) ? 1 : 0;
    EXPECT_EQ(owners, 1);
  }
}

}  // namespace
}  // namespace oscsim::sweep
