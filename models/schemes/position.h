// SPDX-License-Identifier: Apache-2.0
// Where in a transformer layer an activation sits: the unit by which OSC (arXiv 2604.12782) decides treatment and
// shares the gathered branch operand.
#pragma once

#include <cstdint>

#include "models/base/schema.h"

namespace oscsim {

enum class Position : std::uint8_t {
  attn_in,  // input of q_proj, k_proj, v_proj
  o_in,     // input of o_proj
  ffn_in,   // input of gate_proj (W1) and up_proj (W3), of a dense FFN or an expert
  down_in,  // input of down_proj (W2)
  router,   // input of the MoE router
  lm_head,  // input of the output embedding
  other,    // any other linear layer
};

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::Position> {
  static constexpr std::pair<std::string_view, oscsim::Position> kValues[] = {
      {"attn_in", oscsim::Position::attn_in}, {"o_in", oscsim::Position::o_in},
      {"ffn_in", oscsim::Position::ffn_in},   {"down_in", oscsim::Position::down_in},
      {"router", oscsim::Position::router},   {"lm_head", oscsim::Position::lm_head},
      {"other", oscsim::Position::other}};
};
