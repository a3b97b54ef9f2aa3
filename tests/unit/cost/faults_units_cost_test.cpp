// SPDX-License-Identifier: Apache-2.0
// Cost tables against what synthesis of their units says; each name has the fault's number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "tests/unit/cost/sample.h"

namespace oscsim::cost {
namespace {

constexpr double kRounding = 1e-3;  // numbers of tables have four digits

CostTable ready(const std::string& node) {
  return config::read_file_as<CostTable>(config::locate("configs/costs", node));
}

struct FaultA17 : testing::TestWithParam<std::string> {
  const CostTable table = ready(GetParam());

  double area(MacKind kind) const { return table.area.mac[kind].value.count(); }
  double multiply(MacKind kind) const {
    return table.energy.mac[kind].value.count() - table.energy.add[kind].value.count();
  }
};

TEST_P(FaultA17, AreasHaveTheRatiosOfSynthesis) {
  const double e2m1 = area(MacKind::mxfp4);
  EXPECT_NEAR(area(MacKind::fp8) / e2m1, 4.5, 4.5 * kRounding);
  EXPECT_NEAR(area(MacKind::bf16) / e2m1, 7.5, 7.5 * kRounding);
  EXPECT_NEAR(area(MacKind::int8) / e2m1, 4.7, 4.7 * kRounding);
  EXPECT_NEAR(area(MacKind::int4) / e2m1, 1.4, 1.4 * kRounding);
  EXPECT_NEAR(table.area.accumulate.value.count() / area(MacKind::int8), 2, 2 * kRounding);
}

TEST_P(FaultA17, VariantHiFloat4IsSmallerThanNvfp4) {
  EXPECT_NEAR(area(MacKind::hif4) / area(MacKind::nvfp4), 0.6, 0.6 * kRounding);
}

TEST_P(FaultA17, VariantMeasuredAreasSaySo) {
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues) {
    if (kind == MacKind::int8 || kind == MacKind::fp16) continue;  // the anchor, and what was not synthesised
    EXPECT_EQ(table.area.mac[kind].source_class, SourceClass::measured) << name;
    EXPECT_THAT(table.area.mac[kind].source, testing::HasSubstr("yosys 0.23")) << name;
  }
  EXPECT_EQ(table.area.accumulate.source_class, SourceClass::measured);
}

TEST_P(FaultA17, VariantEnergiesOfMultipliersHaveTheirRatios) {
  const double e2m1 = multiply(MacKind::mxfp4);
  EXPECT_NEAR(multiply(MacKind::int8) / e2m1, 6.2, 6.2 * kRounding);
  EXPECT_NEAR(multiply(MacKind::int4) / e2m1, 1.5, 1.5 * kRounding);
}

INSTANTIATE_TEST_SUITE_P(EveryNode, FaultA17, testing::Values("45nm", "7nm"));

// k0 products of which each is added: k0 - 1 additions in the tree, one to the sum.
TEST(FaultA16, ADotProductHasAsManyAdditionsAsProducts) {
  const CostTable table = ready("7nm");
  const auto uj_of = [&](std::int64_t k0) {
    Actions did;
    did.tensor_macs[static_cast<std::size_t>(MacKind::bf16)] = 1000 * k0;
    did.tensor_dots[static_cast<std::size_t>(MacKind::bf16)] = 1000;
    return CostModel(table, sample_chip()).energy(did).total();
  };
  const double kilo_pj = 1e-3;  // 1000 pJ in uJ; Jouppi et al.: BF16 multiply 0.21 and add 0.11, FP32 add 0.38
  EXPECT_NEAR(uj_of(1), (0.21 + 0.38) * kilo_pj, 1e-12);
  EXPECT_NEAR(uj_of(16), (16 * 0.21 + 15 * 0.11 + 0.38) * kilo_pj, 1e-12);
}

TEST(FaultA16, VariantAnAdditionIsNoMoreThanWhatItIsIn) {
  CostTable table = ready("7nm");
  table.energy.add.kinds[static_cast<std::size_t>(MacKind::bf16)].value = Picojoules(0.5);
  std::vector<std::string> problems;
  table.energy.check(problems);
  EXPECT_THAT(problems,
              testing::ElementsAre("add.bf16: 0.5 pJ are more than the 0.32 of the multiply-accumulate that it is in"));
}

}  // namespace
}  // namespace oscsim::cost
