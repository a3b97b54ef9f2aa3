// SPDX-License-Identifier: Apache-2.0
// What the operations between the GEMMs of dense Qwen3 layers need, beside tensors, to be computed.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "models/base/error.h"
#include "models/base/schema.h"

namespace oscsim {

struct ChainParams {
  std::vector<std::int64_t> lengths;
  std::int64_t head_dim = 0;
  double rms_norm_eps = 0;
  double rope_theta = 0;

  std::int64_t tokens() const { return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}); }

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("lengths", self.lengths,
          {.min = 1,
           .max = 1 << 30,
           .required = true,
           .meaning = "tokens of each sequence, in the order of the activations' rows"});
    visit("head_dim", self.head_dim, {.min = 2, .max = 1 << 16, .required = true, .meaning = "channels of a head"});
    visit("rms_norm_eps", self.rms_norm_eps,
          {.min = 0, .max = 1, .required = true, .meaning = "added to the mean square by the norms"});
    visit("rope_theta", self.rope_theta,
          {.min = 1, .max = 1e12, .required = true, .meaning = "base of the rotary embedding's angles"});
  }
  void check(std::vector<std::string>& problems) const {
    if (lengths.empty()) problems.push_back("lengths is empty; allowed: one number for each sequence");
    if (head_dim % 2 != 0) problems.push_back(fmt::format("head_dim is {}; allowed: even numbers", head_dim));
  }
};

}  // namespace oscsim
