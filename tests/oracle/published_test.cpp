// SPDX-License-Identifier: Apache-2.0
// Machines against published profiles: CANN operator samples, matmul_high_performance, 8192 x 8192 x 8192 in 16 bit.
#include <gtest/gtest.h>

#include "tests/oracle/ready.h"

namespace oscsim {
namespace {

constexpr Shape kShape{8192, 8192, 8192};

struct Profile {
  double total_us, matrix_us;  // matrix: busy time of the matrix unit, mean over the machine's cores
};

Profile profile(const std::string& name) {
  const units::MachineParams& machine = machines().at(name);
  const auto result = simulate_gemm(machine, plan_of(schemes().at("bf16"), kShape));
  double busy = 0;
  for (const auto& core : result.cores)
    busy += static_cast<double>(core[static_cast<std::size_t>(units::PipeId::tensor)].busy.count());
  const double us = 1e6 / machine.clock.count();
  return {static_cast<double>(result.total.count()) * us, busy / static_cast<double>(machine.cores) * us};
}

TEST(Published, Ascend950prTotalAndMatrixTime) {
  const Profile found = profile("ascend_950pr");
  EXPECT_NEAR(found.total_us, 2558.2, 0.05 * 2558.2);
  EXPECT_NEAR(found.matrix_us, 2542, 0.01 * 2542);
}

TEST(Published, Ascend910b1MatrixTime) {
  const Profile found = profile("ascend_910b1");
  EXPECT_NEAR(found.matrix_us, 3023, 0.01 * 3023);
}

}  // namespace
}  // namespace oscsim
