// SPDX-License-Identifier: Apache-2.0
// What a user may pin of the mapping; everything that is absent is searched.
#pragma once

#include <optional>

#include "models/base/schema.h"

namespace oscsim {

// Which operand strip stays in L1 while the other streams past it, and with it the order of the loops over tiles.
enum class LoopOrder : std::uint8_t {
  m_outer,     // both operands stream; tiles of one row of output follow one another
  n_outer,     // both operands stream; tiles of one column of output follow one another
  a_resident,  // m outside: a strip of A (all of k) stays in L1 for all tiles of its row
  b_resident,  // n outside: a strip of B stays
};

struct MappingParams {
  std::optional<std::int64_t> m, n, k, stage_k;
  std::optional<std::int64_t> cores_m, cores_n;
  std::optional<LoopOrder> order;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("m", self.m, {.min = 1, .max = 1e9, .meaning = "rows of the output tile"});
    visit("n", self.n, {.min = 1, .max = 1e9, .meaning = "columns of the output tile"});
    visit("k", self.k, {.min = 1, .max = 1e9, .meaning = "reduction depth of a step of the main pass (L0)"});
    visit("stage_k", self.stage_k,
          {.min = 1, .max = 1e9, .meaning = "reduction depth of a load of the main pass (L1); a multiple of k"});
    visit("cores_m", self.cores_m, {.min = 1, .max = 4096, .meaning = "cores along m"});
    visit("cores_n", self.cores_n, {.min = 1, .max = 4096, .meaning = "cores along n"});
    visit("order", self.order, {.meaning = "loop order and L1 residency"});
  }
};

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::LoopOrder> {
  static constexpr std::pair<std::string_view, oscsim::LoopOrder> kValues[] = {
      {"m_outer", oscsim::LoopOrder::m_outer},
      {"n_outer", oscsim::LoopOrder::n_outer},
      {"a_resident", oscsim::LoopOrder::a_resident},
      {"b_resident", oscsim::LoopOrder::b_resident}};
};
