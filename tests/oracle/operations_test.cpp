// SPDX-License-Identifier: Apache-2.0
// What holds for attention and for operations over rows on every machine: bounds, conservation, repeatability.
#include <gmock/gmock.h>

#include "sim/mapping/operation_program.h"
#include "sim/run/timing.h"
#include "tests/oracle/variants.h"

namespace oscsim {
namespace {

using units::MachineParams;

constexpr int kRounds = 4;

AttentionPlan attention(Variants& variants) {
  AttentionSizes sizes;
  sizes.sequences = variants.between(1, 3);
  sizes.kv_heads = variants.between(1, 3);
  sizes.heads = sizes.kv_heads * variants.between(1, 5);
  sizes.head_dim = 16 * variants.between(1, 8);
  sizes.queries = variants.between(1, 150);
  sizes.keys = sizes.queries + variants.between(0, 300);
  sizes.causal = variants.between(0, 1) == 1;
  if (sizes.causal && variants.between(0, 2) == 0) {
    sizes.window = variants.between(1, 120);
    sizes.keys =
        std::min(sizes.keys, sizes.queries + sizes.window - 1);  // what the first query does not see is not there
  }
  constexpr numerics::FormatId kFormats[] = {numerics::FormatId::bf16, numerics::FormatId::fp8,
                                             numerics::FormatId::mxfp8};
  return {sizes, kFormats[variants.between(0, 2)]};
}

RowPlan rows(Variants& variants) {
  const auto operations = row_operations();
  const auto index = variants.between(0, static_cast<std::int64_t>(operations.size()) - 1);
  return plan_rows(operations[static_cast<std::size_t>(index)].kind, {.rows = variants.between(1, 400),
                                                                      .width = variants.between(1, 9000),
                                                                      .experts_per_token = variants.between(1, 8),
                                                                      .head_dim = variants.between(1, 128)});
}

double at_bandwidth(const MachineParams& machine, Bytes bytes) {
  return static_cast<double>(bytes.count()) / per_cycle(machine.hbm.bandwidth, machine.clock).count();
}

void expect_sound_stack(const SideResult& side) {
  std::int64_t sum = 0;
  for (const auto& [name, part] : side.cycle_stack) sum += part.count();
  EXPECT_EQ(sum, side.cycles.count());
  for (const auto& [name, busy] : side.busy_cycles) EXPECT_LE(busy, side.cycles) << name;
}

template <class Check>
void on_variants(std::uint32_t seed, const Check& check) {
  Variants variants(seed);
  for (int round = 0; round < kRounds; ++round)
    for (const auto& [name, machine] : machines()) {
      SCOPED_TRACE(fmt::format("round {} on a variant of {}", round, name));
      check(variants, variants.machine(machine));
    }
}

TEST(EveryAttention, TakesAtLeastItsWorkAndItsBytes) {
  on_variants(1, [](Variants& variants, const MachineParams& machine) {
    const AttentionPlan plan = attention(variants);
    const AttentionSizes& sizes = plan.sizes;
    TimingModel timing(machine);
    const SideResult side = timing.attention({}, plan);
    const int bits = numerics::format(plan.format).element_bits;
    const double peak =
        static_cast<double>(units::macs_per_cycle(machine.matrix(bits, false), bits).count() * machine.cores);
    const auto total = static_cast<double>(side.cycles.count());
    EXPECT_GE(total, static_cast<double>(attention_macs(sizes).count()) / peak);
    const std::int64_t queries = sizes.sequences * sizes.heads * sizes.queries * sizes.head_dim;
    const std::int64_t keys = sizes.sequences * sizes.kv_heads * sizes.keys * sizes.head_dim;
    const Bytes read((queries + 2 * keys) * bits / 8);
    const Bytes written = machine.core.drain.output_element * queries;
    EXPECT_GE(side.traffic.hbm_read, read);
    EXPECT_EQ(side.traffic.hbm_write, written);
    EXPECT_GE(total + 1e-6, at_bandwidth(machine, read + written));
    expect_sound_stack(side);
    EXPECT_EQ(TimingModel(machine, {}, false).attention({}, plan).cycles, side.cycles) << "again";
  });
}

TEST(EveryRowOperation, TakesAtLeastItsPassesAndItsBytes) {
  on_variants(2, [](Variants& variants, const MachineParams& machine) {
    const RowPlan plan = rows(variants);
    TimingModel timing(machine);
    const SideResult side = timing.rows({}, plan);
    const auto total = static_cast<double>(side.cycles.count());
    const Bytes read = plan.input * plan.rows, written = plan.output * plan.rows;
    const double passes = static_cast<double>((plan.data * (plan.rows * (plan.reduce + plan.apply))).count());
    EXPECT_GE(total, passes / machine.core.vector.rate.count() / static_cast<double>(machine.cores));
    EXPECT_GE(side.traffic.hbm_read, read);
    EXPECT_EQ(side.traffic.hbm_write, written);
    EXPECT_GE(total + 1e-6, at_bandwidth(machine, read + written));
    expect_sound_stack(side);
    EXPECT_EQ(TimingModel(machine, {}, false).rows({}, plan).cycles, side.cycles) << "again";
  });
}

}  // namespace
}  // namespace oscsim
