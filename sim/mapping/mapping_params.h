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

// Where an activation is gathered and cast.
enum class QuantisePlace : std::uint8_t {
  prologue,  // once for all GEMMs that read it, through memory
  fused,     // by each GEMM, whenever it loads a tile of it
};

struct MappingParams {
  std::optional<std::int64_t> m, n, k, stage_k;
  std::optional<std::int64_t> cores_m, cores_n, core_m, core_n;
  std::optional<LoopOrder> order;
  std::optional<std::int64_t> l1_slots, scale_stages, parts_m;
  std::optional<bool> drain_follows, constants_folded;
  std::optional<QuantisePlace> quantise;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("m", self.m, {.min = 1, .max = 1e9, .meaning = "rows of the output tile"});
    visit("n", self.n, {.min = 1, .max = 1e9, .meaning = "columns of the output tile"});
    visit("k", self.k, {.min = 1, .max = 1e9, .meaning = "reduction depth of a step of the main pass (L0)"});
    visit("stage_k", self.stage_k,
          {.min = 1, .max = 1e9, .meaning = "reduction depth of a load of the main pass (L1); a multiple of k"});
    visit("cores_m", self.cores_m, {.min = 1, .max = 4096, .meaning = "cores along m"});
    visit("cores_n", self.cores_n, {.min = 1, .max = 4096, .meaning = "cores along n"});
    visit("core_m", self.core_m,
          {.min = 1,
           .max = 1e9,
           .meaning = "rows of a core's share; cores_m equal shares of whole tiles when not given"});
    visit("core_n", self.core_n, {.min = 1, .max = 1e9, .meaning = "columns of a core's share; the same with cores_n"});
    visit("order", self.order, {.meaning = "loop order and L1 residency"});
    visit("l1_slots", self.l1_slots,
          {.min = 1,
           .max = 8,
           .meaning = "loads of a streaming operand that L1 holds; 2 (double buffering) when not given"});
    visit("scale_stages", self.scale_stages,
          {.min = 1, .max = 1e9, .meaning = "loads of codes that one load of block scales covers"});
    visit("parts_m", self.parts_m,
          {.min = 1,
           .max = 64,
           .meaning = "all cores together take M in so many parts, one after the other; 1 when not given"});
    visit("drain_follows", self.drain_follows,
          {.meaning = "the drain follows the matrix unit; as core.drain.follows when not given"});
    visit("constants_folded", self.constants_folded,
          {.meaning =
               "sizes are known when the kernel is compiled: core.issue's folded costs apply; true when not given"});
    visit("quantise", self.quantise,
          {.meaning = "prologue: activations are gathered and cast once for all GEMMs that read them, through memory; "
                      "fused: by each GEMM whenever it loads a tile of A; prologue when not given"});
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
template <>
struct oscsim::EnumNames<oscsim::QuantisePlace> {
  static constexpr std::pair<std::string_view, oscsim::QuantisePlace> kValues[] = {
      {"prologue", oscsim::QuantisePlace::prologue}, {"fused", oscsim::QuantisePlace::fused}};
};
