// SPDX-License-Identifier: Apache-2.0
#include "models/units/machine.h"

namespace oscsim::units {

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
  // The smallest tile is one cube of each width, twice for double buffering; 16 bit is the largest.
  fits(core.buffers.l0a, 2 * cube.m0 * cube.k0_16bit * 2, "l0a", "two 16-bit cubes of A");
  fits(core.buffers.l0b, 2 * cube.n0 * cube.k0_16bit * 2, "l0b", "two 16-bit cubes of B");
  fits(core.buffers.l0c, cube.m0 * cube.n0 * 4, "l0c", "one FP32 output cube");
  need(core.drain.output_element.count() == 2 || core.drain.output_element.count() == 4,
       fmt::format("core.drain.output_element is {} bytes; allowed: 2B, 4B", core.drain.output_element.count()));
}

}  // namespace oscsim::units
