// SPDX-License-Identifier: Apache-2.0
// Kinds of main memory. A machine names its kind, a cost table the energy of each.
#pragma once

#include <cstdint>

#include "models/base/schema.h"

namespace oscsim {

enum class MemoryKind : std::uint8_t { hbm2, hbm3, lpddr5, gddr6, ddr4 };
inline constexpr std::size_t kMemoryKinds = 5;

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::MemoryKind> {
  using Kind = oscsim::MemoryKind;
  static constexpr std::pair<std::string_view, Kind> kValues[] = {{"hbm2", Kind::hbm2},
                                                                  {"hbm3", Kind::hbm3},
                                                                  {"lpddr5", Kind::lpddr5},
                                                                  {"gddr6", Kind::gddr6},
                                                                  {"ddr4", Kind::ddr4}};
};
