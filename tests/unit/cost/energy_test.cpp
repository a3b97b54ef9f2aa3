// SPDX-License-Identifier: Apache-2.0
// Energy: counts times prices; the price of an SRAM's byte follows from its capacity.
#include <gtest/gtest.h>

#include "tests/unit/cost/sample.h"

namespace oscsim::cost {
namespace {

constexpr double kUj = 1e-6;  // of a picojoule

TEST(Energy, EachPartIsCountsTimesPrices) {
  Actions did;
  did.tensor_macs[static_cast<std::size_t>(MacKind::mxfp4)] = 1000;  // 0.25 pJ, 0.0625 of it an addition
  did.tensor_macs[static_cast<std::size_t>(MacKind::fp8)] = 100;     // 0.5 pJ, 0.125
  did.branch_macs[static_cast<std::size_t>(MacKind::bf16)] = 10;     // 1 pJ, 0.25
  did.tensor_dots[static_cast<std::size_t>(MacKind::mxfp4)] = 4;
  did.branch_dots[static_cast<std::size_t>(MacKind::bf16)] = 3;
  did.l0 = Bytes(100);
  did.branch_l0 = Bytes(10);
  did.l0c = Bytes(200);
  did.branch_l0c = Bytes(20);
  did.l1 = Bytes(300);
  did.ub = Bytes(400);
  did.gathered = 50;
  did.vector_elements = 60;
  did.l2 = Bytes(500);
  did.memory = Bytes(600);
  did.time_us = 3;
  const CostModel model(sample_table(), sample_chip());
  const Energy energy = model.energy(did);
  // A byte takes 1 pJ in 1 KiB, 2 in 4 KiB and so, by the square root of the capacity, 4 in 16 KiB.
  EXPECT_DOUBLE_EQ(energy[EnergyPart::tensor].value, (1000 * 0.25 - 4 * 0.0625 + 100 * 0.5) * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::branch].value, (10 * 1 - 3 * 0.25) * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::accumulate].value, (4 + 3) * 2 * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::l0].value, (100 * 1 + 10 * 1) * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::l0c].value, (200 * 2 + 20 * 1) * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::l1].value, 300 * 2 * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::ub].value, 400 * 2 * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::gather].value, 50 * (3 + 2 * 1) * kUj);  // 2 bytes of a table of 1 KiB
  EXPECT_DOUBLE_EQ(energy[EnergyPart::vector].value, 60 * 5 * kUj);
  EXPECT_NEAR(energy[EnergyPart::l2].value, 500 * 4 * kUj, 1e-12);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::hbm].value, 600 * 32 * kUj);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::leakage].value, 10 * model.area().total() * 3 * 1e-3);
  double sum = 0;
  for (const auto& [name, part] : EnumNames<EnergyPart>::kValues) sum += energy[part].value;
  EXPECT_DOUBLE_EQ(energy.total(), sum);
  // Beyond the last capacity the law is ours; all else here is a paper's.
  EXPECT_DOUBLE_EQ(energy.assumed_share(), energy[EnergyPart::l2].value / energy.total());
}

TEST(Energy, PricesAreThoseOfTheMemorysKind) {
  CostTable table = sample_table();
  table.energy.memory.kinds[static_cast<std::size_t>(MemoryKind::lpddr5)] = {Picojoules(48), SourceClass::assumed, "x"};
  ChipSizes chip = sample_chip();
  chip.memory = MemoryKind::lpddr5;
  Actions did;
  did.memory = Bytes(1000);
  const Energy energy = CostModel(table, chip).energy(did);
  EXPECT_DOUBLE_EQ(energy[EnergyPart::hbm].value, 48000 * kUj);
  EXPECT_EQ(energy[EnergyPart::hbm].assumed, energy[EnergyPart::hbm].value);
}

TEST(Energy, SumsOverRepeats) {
  Actions did;
  did.memory = Bytes(1000);
  const Energy one = CostModel(sample_table(), sample_chip()).energy(did);
  Energy sum;
  sum.add(one, 3);
  sum.add(one);
  EXPECT_DOUBLE_EQ(sum[EnergyPart::hbm].value, 4 * one[EnergyPart::hbm].value);
  EXPECT_EQ(Energy().assumed_share(), 0);
}

TEST(SramByte, KeepsTheTableAtItsCapacitiesAndGrowsBetweenAndBeyond) {
  const EnergyCosts costs = sample_table().energy;
  EXPECT_EQ(sram_byte(costs, Bytes(1024)).pj, 1);
  EXPECT_EQ(sram_byte(costs, Bytes(4096)).pj, 2);
  EXPECT_EQ(sram_byte(costs, Bytes(0)).pj, 1);
  EXPECT_DOUBLE_EQ(sram_byte(costs, Bytes(2048)).pj, std::sqrt(2.0));
  double last = 0;
  for (std::int64_t capacity = 1; capacity < 1 << 20; capacity += 511) {
    const BytePrice price = sram_byte(costs, Bytes(capacity));
    EXPECT_GE(price.pj, last) << capacity;
    EXPECT_EQ(price.is_assumed, capacity > 4096) << capacity;
    last = price.pj;
  }
}

}  // namespace
}  // namespace oscsim::cost
