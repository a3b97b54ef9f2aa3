// SPDX-License-Identifier: Apache-2.0
#include "models/units/machine.h"

#include <limits>

#include "models/numerics/accumulator.h"

namespace oscsim::units {

void SystolicShape::check(const char* path, std::vector<std::string>& problems) const {
  const bool outputs_stay = dataflow == Dataflow::output_stationary;
  const auto refuse = [&](std::string_view field, std::string_view value, std::string_view of) {
    problems.push_back(fmt::format("{}.{} is {}, which only {} arrays have; dataflow is {}", path, field, value, of,
                                   name_of(dataflow)));
  };
  if (drain_side == DrainSide::rows && !outputs_stay) refuse("drain_side", "rows", "output_stationary");
  if (fold_registers == FoldRegisters::shadow_weights && outputs_stay)
    refuse("fold_registers", "shadow_weights", "weight_stationary and input_stationary");
  if (fold_registers == FoldRegisters::output_register && !outputs_stay)
    refuse("fold_registers", "output_register", "output_stationary");
}

void MachineParams::check(std::vector<std::string>& problems) const {
  const auto need = [&](bool condition, std::string text) {
    if (!condition) problems.push_back(std::move(text));
  };
  const CubeShape& cube = core.tensor.cube;
  need(cube.k0_4bit >= cube.k0_8bit && cube.k0_8bit >= cube.k0_16bit,
       fmt::format("core.tensor: k0 must not grow with the width; found {} (4 bit), {} (8 bit), {} (16 bit)",
                   cube.k0_4bit, cube.k0_8bit, cube.k0_16bit));
  const auto fits = [&](Bytes buffer, std::int64_t bytes, std::string_view name, std::string_view what) {
    need(buffer.count() >= bytes,
         fmt::format("core.buffers.{} of {} bytes does not hold {} ({} bytes)", name, buffer.count(), what, bytes));
  };
  need(cube.k0_16bit > 0 || core.branch.placement == BranchPlacement::own,
       "core.tensor.k0_16bit is 0, but core.branch.placement is shared; allowed: placement own, or a 16-bit rate");
  // The smallest tile is one cube or fold of each width, twice for double buffering; the widest is the largest.
  constexpr std::int64_t kWhole = std::numeric_limits<std::int64_t>::max();
  const TileGranule tile = tile_granule(core.tensor, kWhole, kWhole);
  const int widest = cube.k0_16bit > 0 ? 16 : 8;
  const std::int64_t row = depth_granule(core.tensor, widest) * widest / 8;  // bytes
  const std::string_view unit = core.tensor.kind == MatrixKind::cube ? "cube" : "fold";
  fits(core.buffers.l0a, 2 * tile.m * row, "l0a", fmt::format("two {}-bit {}s of A", widest, unit));
  fits(core.buffers.l0b, 2 * tile.n * row, "l0b", fmt::format("two {}-bit {}s of B", widest, unit));
  fits(core.buffers.l0c, tile.m * tile.n * 4, "l0c", fmt::format("one FP32 output {}", unit));
  need(core.drain.output_element.count() == 2 || core.drain.output_element.count() == 4,
       fmt::format("core.drain.output_element is {} bytes; allowed: 2B, 4B", core.drain.output_element.count()));
  if (core.tensor.kind == MatrixKind::systolic) core.tensor.systolic.check("core.tensor", problems);
  if (core.branch.placement == BranchPlacement::own && core.branch.kind == MatrixKind::systolic)
    core.branch.systolic.check("core.branch", problems);
  try {
    numerics::accumulator(core.accumulator);
  } catch (const InputError& error) {
    problems.push_back(fmt::format("core.accumulator: {}", error.what()));
  }
}

}  // namespace oscsim::units
