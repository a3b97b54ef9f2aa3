// SPDX-License-Identifier: Apache-2.0
// Energy of whole runs: counts of a tiny GEMM by hand, and what may and may not change it.
#include <gtest/gtest.h>

#include "sim/config/files.h"
#include "sim/config/reader.h"
#include "sim/run/costs.h"
#include "sim/run/run.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using cost::EnergyPart;
using cost::MacKind;

RunOptions timed(const std::string& scheme, const std::vector<std::string>& gemms) {
  RunOptions options;
  options.machine = "edge_npu";
  options.scheme = scheme;
  options.gemms = gemms;
  options.timing_only = true;
  return options;
}

// Microjoules of `count` times `pj`.
double uj(double count, double pj) {
  return count * pj * 1e-6;
}

struct TinyGemm : testing::Test {
  // One cube tile, m = n = 16, on one core of edge_npu: a cube is 16 x 16 x 16 in 4 bit.
  TinyGemm() : result(run(options())) {}
  static RunOptions options() {
    RunOptions options = timed("w4a4", {"16,16,64,attn_in"});
    options.settings = {"mapping.k=64"};
    return options;
  }
  double byte(Bytes capacity) const { return cost::sram_byte(table.energy, capacity).pj; }

  const cost::CostTable table = config::read_file_as<cost::CostTable>(config::locate("configs/costs", "7nm"));
  const RunResult result;
  const double codes = 16 * 64 / 2.0, scales = 16 * 64 / 32.0;  // bytes of one MXFP4 operand
  const double output = 16 * 16 * 2;                            // 16 bit in memory
};

TEST_F(TinyGemm, EnergyIsTheSumOfItsTerms) {
  const SideResult& side = result.gemms.at(0).scheme;
  const double cubes = 64 / 16.0, operands = 2 * (codes + scales);
  const cost::EnergyCosts& prices = table.energy;
  const auto part = [&side](EnergyPart which) { return side.energy[which].value; };
  // Of the 16 additions of a dot product the last one is `accumulate`.
  EXPECT_DOUBLE_EQ(part(EnergyPart::tensor), uj(cubes * 16 * 16 * 16, prices.mac[MacKind::mxfp4].value.count()) -
                                                 uj(cubes * 16 * 16, prices.add[MacKind::mxfp4].value.count()));
  EXPECT_EQ(part(EnergyPart::branch), 0);
  EXPECT_DOUBLE_EQ(part(EnergyPart::accumulate), uj(cubes * 16 * 16, prices.accumulate.value.count()));
  // Written by the feed, scales beside codes; 16 + 16 rows of 16 4-bit elements read by each cube.
  EXPECT_DOUBLE_EQ(part(EnergyPart::l0), uj(operands + cubes * 32 * 16 / 2, byte(Bytes(16 << 10))));
  // One instruction reads and writes the accumulators; the drain reads them.
  EXPECT_DOUBLE_EQ(part(EnergyPart::l0c), uj(3 * 16 * 16 * 4, byte(Bytes(64 << 10))));
  // Loaded and fed.
  EXPECT_DOUBLE_EQ(part(EnergyPart::l1), uj(2 * operands, byte(Bytes(256 << 10))));
  EXPECT_EQ(part(EnergyPart::ub), 0);
  EXPECT_EQ(part(EnergyPart::gather), 0);
  EXPECT_EQ(part(EnergyPart::vector), 0);
  // Operands are written into L2 and read from it; the output is written through it.
  EXPECT_DOUBLE_EQ(part(EnergyPart::l2), uj(2 * operands + output, byte(Bytes(2 << 20))));
  EXPECT_DOUBLE_EQ(part(EnergyPart::hbm), uj(operands + output, prices.memory[MemoryKind::lpddr5].value.count()));
  EXPECT_DOUBLE_EQ(part(EnergyPart::leakage), prices.leakage.value.count() * result.area.total() * side.time_us * 1e-3);
}

TEST_F(TinyGemm, SharedWorkHasTheEnergyOfItsCast) {
  const SideResult& cast = *result.shared.at(0).scheme;
  const double input = 16 * 64 * 2, passes = 3;
  EXPECT_DOUBLE_EQ(cast.energy[EnergyPart::vector].value,
                   uj(16 * 64 * passes, table.energy.vector_element.value.count()));
  // Loaded, read by each pass; the result is written and drained.
  EXPECT_DOUBLE_EQ(cast.energy[EnergyPart::ub].value,
                   uj(input + passes * input + 2 * (codes + scales), byte(Bytes(128 << 10))));
  EXPECT_DOUBLE_EQ(cast.energy[EnergyPart::hbm].value,
                   uj(input + codes + scales, table.energy.memory[MemoryKind::lpddr5].value.count()));
  EXPECT_EQ(cast.energy[EnergyPart::tensor].value, 0);
}

TEST_F(TinyGemm, PaddingBurnsWhatAWholeCubeDoes) {
  RunOptions padded = options();
  padded.gemms = {"9,3,50,attn_in"};
  EXPECT_EQ(run(padded).gemms[0].scheme.energy[EnergyPart::tensor].value,
            result.gemms[0].scheme.energy[EnergyPart::tensor].value);
}

TEST(RunEnergy, OutliersBringBranchAndGather) {
  const RunResult result = run(timed("osc", {"64,128,1024,attn_in"}));
  const SideResult& side = result.gemms[0].scheme;
  // Groups of 32 channels, one outlier each; a cube of the branch unit is 16 x 16 x 1.
  const double outliers = 1024.0 / 32;
  const cost::CostTable table = config::read_file_as<cost::CostTable>(config::locate("configs/costs", "7nm"));
  EXPECT_DOUBLE_EQ(side.energy[EnergyPart::branch].value,
                   uj(64 * 128 * outliers,
                      table.energy.mac[MacKind::bf16].value.count() - table.energy.add[MacKind::bf16].value.count()));
  const double gathered = 64 * outliers;
  const double entry = 2 * cost::sram_byte(table.energy, Bytes(2 * 512)).pj;
  EXPECT_DOUBLE_EQ(result.shared[0].scheme->energy[EnergyPart::gather].value,
                   uj(gathered, table.energy.gather_element.value.count() + entry));
  EXPECT_EQ(result.gemms[0].baseline.energy[EnergyPart::branch].value, 0);
}

TEST(RunEnergy, TotalsAreSumsOverGemmsAndSharedWork) {
  const RunResult result = run(timed("osc", {"64,128,1024,attn_in", "32,64,512,ffn_in"}));
  double sum = 0, parts = 0;
  for (const GemmResult& gemm : result.gemms) sum += gemm.scheme.energy.total();
  for (const SharedResult& shared : result.shared)
    if (shared.scheme) sum += shared.scheme->energy.total();
  for (const auto& [name, part] : EnumNames<EnergyPart>::kValues) parts += result.scheme_total.energy[part].value;
  EXPECT_NEAR(result.scheme_total.energy.total(), sum, 1e-9 * sum);
  EXPECT_NEAR(parts, sum, 1e-9 * sum);
  EXPECT_GT(result.scheme_total.energy.assumed_share(), 0);
  EXPECT_LT(result.scheme_total.energy.assumed_share(), 1);
}

TEST(RunEnergy, MoreWorkNeverTakesLess) {
  for (const std::string scheme : {"osc", "w4a4", "w8a8_int8", "bf16"}) {
    const double base = run(timed(scheme, {"64,128,512,attn_in"})).scheme_total.energy.total();
    for (const std::string more : {"128,128,512,attn_in", "64,256,512,attn_in", "64,128,1024,attn_in"})
      EXPECT_GT(run(timed(scheme, {more})).scheme_total.energy.total(), base) << scheme << " " << more;
  }
}

TEST(RunEnergy, FormatsOfOneWidthTakeTheirOwnPrices) {
  const RunResult result = run([] {
    RunOptions options = timed("w8a8_int8", {"64,128,512,attn_in"});
    options.baseline = "w8a8";
    return options;
  }());
  // Integers add up all of K as they multiply.
  const double integers = result.gemms[0].scheme.energy[EnergyPart::tensor].value;
  const double floats = result.gemms[0].baseline.energy[EnergyPart::tensor].value;
  const std::int64_t k0 = config::read_file_as<units::MachineParams>(config::locate("configs/machines", "edge_npu"))
                              .core.tensor.cube.k0_8bit;
  EXPECT_DOUBLE_EQ(floats / integers, (0.15 - 0.045 / static_cast<double>(k0)) / 0.1);
}

TEST(RunEnergy, IsTheSameWithoutMemo) {
  RunOptions options = timed("osc", {"64,128,512,attn_in", "64,128,512,attn_in"});
  const RunResult memo = run(options);
  options.no_memo = true;
  const RunResult anew = run(options);
  for (const auto& [name, part] : EnumNames<EnergyPart>::kValues)
    EXPECT_EQ(memo.scheme_total.energy[part].value, anew.scheme_total.energy[part].value) << name;
}

TEST(RunEnergy, FollowsTheTableThatReplacesTheBuiltIn) {
  RunOptions options = timed("w4a4", {"64,128,512,attn_in"});
  const RunResult before = run(options);
  std::string text = config::read_file(config::locate("configs/costs", "7nm"), 1 << 20);
  const std::string lpddr5 = "value: 40pJ";
  text.replace(text.find(lpddr5), lpddr5.size(), "value: 80pJ");
  const ScratchFile file(".yaml", text);
  options.costs = file.path();
  const RunResult after = run(options);
  for (const auto& [name, part] : EnumNames<EnergyPart>::kValues)
    EXPECT_DOUBLE_EQ(after.scheme_total.energy[part].value,
                     before.scheme_total.energy[part].value * (part == EnergyPart::hbm ? 2 : 1))
        << name;
  EXPECT_EQ(after.scheme_total.cycles, before.scheme_total.cycles);
  EXPECT_NE(after.provenance["costs_sha256"], before.provenance["costs_sha256"]);
  EXPECT_EQ(before.provenance["costs_name"], "7nm");
  EXPECT_EQ(before.costs, "7nm");
}

TEST(RunEnergy, EveryFormatHasAMultiplierOfItsWidth) {
  for (const numerics::FormatInfo& format : numerics::formats())
    EXPECT_EQ(cost::bits_of(mac_kind(format)), format.element_bits) << format.name;
}

TEST(RunArea, FollowsTheMachine) {
  RunOptions options = timed("w4a4", {"16,16,64"});
  const cost::Area edge = run(options).area;
  EXPECT_GT(edge[cost::AreaPart::branch].value, 0);
  EXPECT_GT(edge[cost::AreaPart::gather].value, 0);
  options.settings = {"machine.core.branch.placement=shared", "machine.core.gather.mode=strided_dma",
                      "machine.cores=4"};
  const cost::Area changed = run(options).area;
  EXPECT_EQ(changed[cost::AreaPart::branch].value, 0);
  EXPECT_EQ(changed[cost::AreaPart::gather].value, 0);
  EXPECT_DOUBLE_EQ(changed[cost::AreaPart::tensor].value, 2 * edge[cost::AreaPart::tensor].value);
  EXPECT_EQ(changed[cost::AreaPart::l2].value, edge[cost::AreaPart::l2].value);
}

}  // namespace
}  // namespace oscsim
