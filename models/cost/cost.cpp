// SPDX-License-Identifier: Apache-2.0
#include "models/cost/cost.h"

#include <algorithm>
#include <cmath>

namespace oscsim::cost {
namespace {

constexpr double kSquareMicrometres = 1e6;  // in a square millimetre
constexpr double kPicojoules = 1e6;         // in a microjoule
constexpr Bytes kTableEntry{2};             // a channel's index

template <class Count>
double real(Count count) {
  return static_cast<double>(count);
}
double real(Bytes bytes) {
  return static_cast<double>(bytes.count());
}

template <class Value>
void add_area(Amount& amount, double count, const Sourced<Value>& each) {
  amount.add(count * each.value.count() / kSquareMicrometres, each.is_assumed());
}

void add_sram(Amount& amount, const AreaCosts& costs, double bytes) {
  constexpr double kBits = 8;
  amount.add(bytes * kBits * costs.sram_bit.value.count() * costs.sram_overhead.value / kSquareMicrometres,
             costs.sram_bit.is_assumed() || costs.sram_overhead.is_assumed());
}

// The largest multiplier of a width: a unit multiplies every format of its width.
const Sourced<SquareMicrometres>& largest(const AreaCosts& costs, std::size_t width) {
  const Sourced<SquareMicrometres>* found = nullptr;
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues)
    if (width_index(bits_of(kind)) == width && (found == nullptr || costs.mac[kind].value > found->value))
      found = &costs.mac[kind];
  return *found;
}

// The multipliers of the widest array, and of the others the part that they do not share with it.
void add_matrix(Amount& amount, const AreaCosts& costs, const MatrixShape& shape, double units) {
  const double lanes = units * real(shape.lanes);
  const auto array = [&](std::size_t width) { return real(shape.depth[width]) * largest(costs, width).value.count(); };
  std::size_t most = 0;
  for (std::size_t width = 1; width < kWidths; ++width)
    if (array(width) > array(most)) most = width;
  for (std::size_t width = 0; width < kWidths; ++width) {
    const bool is_shared = width != most;
    amount.add(lanes * array(width) * (is_shared ? costs.multi_width.value : 1) / kSquareMicrometres,
               largest(costs, width).is_assumed() || (is_shared && costs.multi_width.is_assumed()));
  }
  add_area(amount, lanes, costs.accumulate);
}

void add_energy(Amount& amount, double count, const BytePrice& price) {
  amount.add(count * price.pj / kPicojoules, price.is_assumed);
}
void add_energy(Amount& amount, double count, const Sourced<Picojoules>& price) {
  amount.add(count * price.value.count() / kPicojoules, price.is_assumed());
}

}  // namespace

BytePrice sram_byte(const EnergyCosts& costs, Bytes capacity) {
  const std::vector<SramPoint>& points = costs.sram;
  if (capacity <= points.front().capacity) return {points.front().value.count(), points.front().is_assumed()};
  const auto found = std::ranges::lower_bound(points, capacity, {}, &SramPoint::capacity);
  const auto above = found == points.end() ? found - 1 : found;
  const SramPoint &low = *(above - 1), &high = *above;
  if (capacity == high.capacity) return {high.value.count(), high.is_assumed()};
  const double slope = std::log(high.value / low.value) / std::log(high.capacity / low.capacity);
  return {high.value.count() * std::pow(capacity / high.capacity, slope),
          found == points.end() || low.is_assumed() || high.is_assumed()};
}

Area area_of(const CostTable& table, const ChipSizes& chip) {
  const AreaCosts& costs = table.area;
  const double cores = real(chip.cores);
  const BufferSizes& buffers = chip.buffers;
  Area area;
  if (chip.is_idealised) return area;
  add_matrix(area[AreaPart::tensor], costs, chip.tensor, cores);
  if (chip.branch) add_matrix(area[AreaPart::branch], costs, *chip.branch, cores);
  if (chip.gather) {
    Amount& gather = area[AreaPart::gather];
    add_area(gather, cores * real(chip.gather->lanes), costs.gather_lane);
    add_area(gather, cores * real(chip.gather->lanes) * real(chip.gather->banks), costs.gather_crosspoint);
    add_sram(gather, costs, cores * real(kTableEntry * chip.gather->table_entries));
  }
  add_area(area[AreaPart::vector], cores * chip.vector_rate, costs.vector_byte);
  for (const Bytes bytes : {buffers.l0a, buffers.l0b, buffers.l0c, buffers.l1, buffers.ub, buffers.branch_l0 * 2,
                            buffers.branch_l0c, buffers.l0_scales * 2})
    add_sram(area[AreaPart::buffers], costs, cores * real(bytes));
  add_sram(area[AreaPart::l2], costs, real(chip.l2));
  return area;
}

CostModel::CostModel(const CostTable& table, const ChipSizes& chip)
    : costs_(table.energy), area_(area_of(table, chip)) {
  const Sourced<Picojoules>& memory = costs_.memory[chip.memory];
  const BufferSizes& buffers = chip.buffers;
  memory_ = {memory.value.count(), memory.is_assumed()};
  l0_ = sram_byte(costs_, std::max(buffers.l0a, buffers.l0b));
  l0c_ = sram_byte(costs_, buffers.l0c);
  branch_l0_ = sram_byte(costs_, buffers.branch_l0);
  branch_l0c_ = sram_byte(costs_, buffers.branch_l0c);
  l1_ = sram_byte(costs_, buffers.l1);
  ub_ = sram_byte(costs_, buffers.ub);
  if (chip.gather) table_ = sram_byte(costs_, kTableEntry * chip.gather->table_entries);
  l2_ = sram_byte(costs_, chip.l2);
}

Energy CostModel::energy(const Actions& actions) const {
  Energy energy;
  for (const auto& [name, kind] : EnumNames<MacKind>::kValues) {
    const auto index = static_cast<std::size_t>(kind);
    const auto multiply = [&, kind = kind](EnergyPart part, std::int64_t macs, std::int64_t dots) {
      const Sourced<Picojoules>&mac = costs_.mac[kind], &addition = costs_.add[kind];
      // The last addition of a dot product is the one to its sum, which `accumulate` has.
      energy[part].add((real(macs) * mac.value.count() - real(dots) * addition.value.count()) / kPicojoules,
                       mac.is_assumed() || (dots > 0 && addition.is_assumed()));
      add_energy(energy[EnergyPart::accumulate], real(dots), costs_.accumulate);
    };
    multiply(EnergyPart::tensor, actions.tensor_macs[index], actions.tensor_dots[index]);
    multiply(EnergyPart::branch, actions.branch_macs[index], actions.branch_dots[index]);
  }
  add_energy(energy[EnergyPart::l0], real(actions.l0), l0_);
  add_energy(energy[EnergyPart::l0], real(actions.branch_l0), branch_l0_);
  add_energy(energy[EnergyPart::l0c], real(actions.l0c), l0c_);
  add_energy(energy[EnergyPart::l0c], real(actions.branch_l0c), branch_l0c_);
  add_energy(energy[EnergyPart::l1], real(actions.l1), l1_);
  add_energy(energy[EnergyPart::ub], real(actions.ub), ub_);
  add_energy(energy[EnergyPart::gather], real(actions.gathered), costs_.gather_element);
  add_energy(energy[EnergyPart::gather], real(kTableEntry * actions.gathered), table_);
  add_energy(energy[EnergyPart::vector], real(actions.vector_elements), costs_.vector_element);
  add_energy(energy[EnergyPart::l2], real(actions.l2), l2_);
  add_energy(energy[EnergyPart::hbm], real(actions.memory), memory_);
  // mW x us = nJ
  constexpr double kNanojoules = 1e3;
  energy[EnergyPart::leakage].add(costs_.leakage.value.count() * area_.total() * actions.time_us / kNanojoules,
                                  costs_.leakage.is_assumed() || area_.assumed_share() > 0);
  return energy;
}

}  // namespace oscsim::cost
