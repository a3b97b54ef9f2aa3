// SPDX-License-Identifier: Apache-2.0
// Machines against published profiles: CANN operator samples (matmul_high_performance), 8192 x 8192 x 8192 in FP16, the
// second operand transposed. One parameter set for each machine; rows differ by the mapping that the sample describes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

using testing::HasSubstr;
using units::PipeId;

constexpr Shape kShape{8192, 8192, 8192};

struct Row {
  const char* machine;
  const char* name;
  const char* mapping;
  std::int64_t core_m, core_n;  // a core's share
  std::int64_t m, n;
  std::int64_t blocks;  // of k = 64 in one load
  std::int64_t l1_slots, parts_m;
  bool folded, follows;
  double total, cube, feed, load, drain;  // published, us; busy times are means over cores
};

// The sample's comment on c8 of both machines: the profiler's drain time then contains the wait of the drain command
// for the matrix unit. c0 to c3 run its NORM template, which follows too.
constexpr Row kRows[] = {
    {"ascend_950pr", "c0", "one core, tile 64 x 64 x 64, one k-block per load, L1 not double-buffered",  //
     8192, 8192, 64, 64, 1, 1, 1, false, true, 1096626, 198352, 115705, 960572, 28616},
    {"ascend_950pr", "c1", "c0 with tile 256 x 256 x 64",  //
     8192, 8192, 256, 256, 1, 1, 1, false, true, 130560, 88685, 22489, 106793, 4200},
    {"ascend_950pr", "c2", "c1 on 4 x 8 cores",  //
     2048, 1024, 256, 256, 1, 1, 1, false, true, 4294.6, 2788.8, 707.6, 3540.6, 141.9},
    {"ascend_950pr", "c4", "two k-blocks per load, L1 double-buffered",  //
     2048, 1024, 256, 256, 2, 2, 1, false, false, 2668.2, 2571.1, 799.4, 2531.9, 33.9},
    {"ascend_950pr", "c5", "four k-blocks per load",  //
     2048, 1024, 256, 256, 4, 2, 1, false, false, 2591.4, 2547.0, 834.3, 1926.4, 35.4},
    {"ascend_950pr", "c6", "c5 with M in two parts",  //
     1024, 1024, 256, 256, 4, 2, 2, false, false, 2589.9, 2547.5, 826.4, 1879.0, 33.3},
    {"ascend_950pr", "c7", "c6 with constants folded",  //
     1024, 1024, 256, 256, 4, 2, 2, true, false, 2589.1, 2547.0, 827.9, 1895.2, 33.6},
    {"ascend_950pr", "c8", "c7, drain follows the matrix unit",  //
     1024, 1024, 256, 256, 4, 2, 2, true, true, 2558.2, 2549.7, 835.6, 1900.3, 213.8},
    {"ascend_910b1", "c0", "one core, tile 64 x 64 x 64, one k-block per load, L1 not double-buffered",  //
     8192, 8192, 64, 64, 1, 1, 1, false, true, 759364, 141699, 162104, 582516, 34303},
    {"ascend_910b1", "c1", "c0 with tile 128 x 256 x 64",  //
     8192, 8192, 128, 256, 1, 1, 1, false, true, 249467, 81477, 52004, 195613, 11314},
    {"ascend_910b1", "c2", "c1 on 2 x 12 cores of 4096 x 683",  //
     4096, 683, 128, 256, 1, 1, 1, false, true, 12541, 3463, 2261, 10178, 875},
    {"ascend_910b1", "c3", "c1 on 4 x 6 cores of 2048 x 1536",  //
     2048, 1536, 128, 256, 1, 1, 1, false, true, 12284, 3395, 2167, 8617, 489},
};

MappingParams pins(const Row& row) {
  MappingParams pins;
  pins.m = row.m;
  pins.n = row.n;
  pins.k = 64;
  pins.stage_k = 64 * row.blocks;
  pins.core_m = row.core_m;
  pins.core_n = row.core_n;
  pins.order = LoopOrder::n_outer;  // the sample's default: along M first
  pins.l1_slots = row.l1_slots;
  pins.parts_m = row.parts_m;
  pins.drain_follows = row.follows;
  pins.constants_folded = row.folded;
  return pins;
}

// Microseconds of a run; of a pipe, the mean over cores of the time with a command under way. Writes are posted: a
// drain ends for the profiler when its port is free.
struct Profile {
  double total, cube, feed, load, drain;
};

Profile profile_of(const Row& row) {
  const units::MachineParams& machine = machines().at(row.machine);
  const GemmPlan plan = plan_of(schemes().at("bf16"), kShape);
  const auto result = simulate_gemm(machine, plan, search_tiling(plan, machine, pins(row)));
  const double us = 1e6 / machine.clock.count();
  const auto mean = [&](auto cycles_of) {
    double sum = 0;
    for (const auto& core : result.cores) sum += static_cast<double>(cycles_of(core).count());
    return sum / static_cast<double>(result.cores.size()) * us;
  };
  const auto active = [&](PipeId pipe) {
    return mean([&](const auto& core) { return core[static_cast<std::size_t>(pipe)].active; });
  };
  return {static_cast<double>(result.total.count()) * us, active(PipeId::tensor), active(PipeId::feed),
          active(PipeId::load),
          mean([](const auto& core) { return core[static_cast<std::size_t>(PipeId::drain)].busy; })};
}

std::string cell(double simulated, double published) {
  const double percent = std::round(1000 * (simulated / published - 1)) / 10;
  return fmt::format("{:.0f} / {:.0f} ({:+.1f})", simulated, published, percent + 0.0);
}

std::string readme_row(const Row& row, const Profile& found) {
  const std::string drain = row.follows ? "-" : cell(found.drain, row.drain);
  return fmt::format("| {} {} | {} | {} | {} | {} | {} | {} |", row.machine, row.name, row.mapping,
                     cell(found.total, row.total), cell(found.cube, row.cube), cell(found.feed, row.feed),
                     cell(found.load, row.load), drain);
}

class Published : public testing::TestWithParam<Row> {};

TEST_P(Published, TotalsAndPipesAreNearTheProfileAndInTheReadme) {
  const Row& row = GetParam();
  const Profile found = profile_of(row);
  const double tolerance = row.core_m == kShape.m ? 0.15 : 0.05;  // one core, several cores
  EXPECT_NEAR(found.total, row.total, tolerance * row.total);
  EXPECT_NEAR(found.cube, row.cube, 0.01 * row.cube);
  EXPECT_NEAR(found.feed, row.feed, 0.1 * row.feed);
  EXPECT_NEAR(found.load, row.load, 0.1 * row.load);
  if (!row.follows) {
    EXPECT_NEAR(found.drain, row.drain, 0.1 * row.drain);
  }

  std::stringstream readme;
  readme << std::ifstream("README.md").rdbuf();
  EXPECT_THAT(readme.str(), HasSubstr(readme_row(row, found)));
}

INSTANTIATE_TEST_SUITE_P(Rows, Published, testing::ValuesIn(kRows),
                         [](const auto& row) { return fmt::format("{}_{}", row.param.machine, row.param.name); });

}  // namespace
}  // namespace oscsim
