// SPDX-License-Identifier: Apache-2.0
// Area: each part is the sum of its terms, and grows with every parameter.
#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/cost/sample.h"

namespace oscsim::cost {
namespace {

constexpr double kMm2 = 1e-6;  // of a square micrometre

TEST(Area, EachPartIsTheSumOfItsTerms) {
  const Area area = area_of(sample_table(), sample_chip());
  // Widths of a lane: 64 x 16, 32 x 64 and 16 x 256 um2; the last one is the largest, a quarter of the others is added.
  const double lane = 16 * 256 + 0.25 * (64 * 16 + 32 * 64);
  EXPECT_DOUBLE_EQ(area[AreaPart::tensor].value, 2 * 256 * (lane + 500) * kMm2);
  EXPECT_DOUBLE_EQ(area[AreaPart::branch].value, 2 * 64 * (8 * 256 + 500) * kMm2);
  const double um2_per_byte = 8 * 0.5 * 2;
  EXPECT_DOUBLE_EQ(area[AreaPart::gather].value, 2 * (8 * 700 + 8 * 16 * 30 + 512 * 2 * um2_per_byte) * kMm2);
  EXPECT_DOUBLE_EQ(area[AreaPart::vector].value, 2 * 64 * 3000 * kMm2);
  const double buffers = 1024 + 1024 + 4096 + 4096 + 4096 + 2 * 1024 + 1024 + 2 * 1024;
  EXPECT_DOUBLE_EQ(area[AreaPart::buffers].value, 2 * buffers * um2_per_byte * kMm2);
  EXPECT_DOUBLE_EQ(area[AreaPart::l2].value, 16384 * um2_per_byte * kMm2);
}

TEST(Area, AChipWithoutBranchUnitOrEngineHasNoAreaOfThem) {
  ChipSizes chip = sample_chip();
  chip.branch.reset();
  chip.gather.reset();
  const Area area = area_of(sample_table(), chip);
  EXPECT_EQ(area[AreaPart::branch].value, 0);
  EXPECT_EQ(area[AreaPart::gather].value, 0);
}

TEST(Area, AnIdealisedChipHasNone) {
  ChipSizes chip = sample_chip();
  chip.is_idealised = true;
  EXPECT_EQ(area_of(sample_table(), chip).total(), 0);
}

TEST(Area, AUnitIsAsLargeAsItsLargestMultiplierOfEachWidth) {
  CostTable table = sample_table();
  const double before = area_of(table, sample_chip())[AreaPart::tensor].value;
  table.area.mac.kinds[static_cast<std::size_t>(MacKind::nvfp4)].value = SquareMicrometres(20);  // 16 before
  EXPECT_DOUBLE_EQ(area_of(table, sample_chip())[AreaPart::tensor].value,
                   before + 2 * 256 * 64 * (20 - 16) * 0.25 * kMm2);
}

TEST(Area, GrowsWithEveryParameter) {
  const std::vector<std::pair<const char*, std::function<void(ChipSizes&)>>> larger{
      {"cores", [](ChipSizes& chip) { ++chip.cores; }},
      {"tensor lanes", [](ChipSizes& chip) { ++chip.tensor.lanes; }},
      {"4-bit depth", [](ChipSizes& chip) { ++chip.tensor.depth[0]; }},
      {"8-bit depth", [](ChipSizes& chip) { ++chip.tensor.depth[1]; }},
      {"16-bit depth", [](ChipSizes& chip) { ++chip.tensor.depth[2]; }},
      {"branch lanes", [](ChipSizes& chip) { ++chip.branch->lanes; }},
      {"branch depth", [](ChipSizes& chip) { ++chip.branch->depth[2]; }},
      {"gather lanes", [](ChipSizes& chip) { ++chip.gather->lanes; }},
      {"gather banks", [](ChipSizes& chip) { ++chip.gather->banks; }},
      {"gather table", [](ChipSizes& chip) { ++chip.gather->table_entries; }},
      {"l0a", [](ChipSizes& chip) { chip.buffers.l0a += Bytes(1); }},
      {"l0b", [](ChipSizes& chip) { chip.buffers.l0b += Bytes(1); }},
      {"l0c", [](ChipSizes& chip) { chip.buffers.l0c += Bytes(1); }},
      {"l1", [](ChipSizes& chip) { chip.buffers.l1 += Bytes(1); }},
      {"ub", [](ChipSizes& chip) { chip.buffers.ub += Bytes(1); }},
      {"l0 scales", [](ChipSizes& chip) { chip.buffers.l0_scales += Bytes(1); }},
      {"branch l0", [](ChipSizes& chip) { chip.buffers.branch_l0 += Bytes(1); }},
      {"branch l0c", [](ChipSizes& chip) { chip.buffers.branch_l0c += Bytes(1); }},
      {"vector rate", [](ChipSizes& chip) { ++chip.vector_rate; }},
      {"l2", [](ChipSizes& chip) { chip.l2 += Bytes(1); }}};
  const double before = area_of(sample_table(), sample_chip()).total();
  for (const auto& [name, grow] : larger) {
    ChipSizes chip = sample_chip();
    grow(chip);
    EXPECT_GT(area_of(sample_table(), chip).total(), before) << name;
  }
}

TEST(Area, AssumedShareIsThatOfTermsWithAnAssumedFactor) {
  CostTable table = sample_table();
  EXPECT_EQ(area_of(table, sample_chip()).assumed_share(), 0);
  table.area.sram_overhead.source_class = SourceClass::assumed;
  const Area area = area_of(table, sample_chip());
  EXPECT_EQ(area[AreaPart::l2].assumed, area[AreaPart::l2].value);
  EXPECT_EQ(area[AreaPart::tensor].assumed, 0);
  EXPECT_DOUBLE_EQ(area[AreaPart::gather].assumed, 2 * 512 * 2 * 8 * 0.5 * 2 * kMm2);
  const double assumed = area[AreaPart::l2].value + area[AreaPart::buffers].value + area[AreaPart::gather].assumed;
  EXPECT_DOUBLE_EQ(area.assumed_share(), assumed / area.total());
}

}  // namespace
}  // namespace oscsim::cost
