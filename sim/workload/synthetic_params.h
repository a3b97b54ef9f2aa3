// SPDX-License-Identifier: Apache-2.0
// Statistics of synthetic tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/schemes/position.h"

namespace oscsim {

// Weights: normal, mean 0. Activations: normal with standard deviation 1, and in each group of `group` channels one
// outlier channel that persists over the tokens.
struct SyntheticParams {
  double weight_std = 0.02;
  std::int64_t group = 32;
  double magnitude = 20;
  double magnitude_spread = 0.25;
  double miss_rate = 0.05;
  // Density per position: middle of the range that arXiv 2604.12782 shows for Qwen3-8B.
  double attn_in_density = 0.70;
  double o_in_density = 0.45;
  double ffn_in_density = 0.65;
  double down_in_density = 0.275;

  double density(Position position) const;
  // A density below 1 / group cannot be: the most frequent channel of a group has at least its equal share.
  void check(std::vector<std::string>& problems) const;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("weight_std", self.weight_std,
          {.min = 0, .max = 1e3, .meaning = "standard deviation of weights", .source = "assumed"});
    visit("group", self.group,
          {.min = 2,
           .max = 4096,
           .meaning = "channels that share one persistent outlier channel",
           .source = "arXiv 2604.12782: MXFP4 group"});
    visit("magnitude", self.magnitude,
          {.min = 0,
           .max = 1e4,
           .meaning = "median magnitude of an outlier, in standard deviations",
           .source = "assumed"});
    visit("magnitude_spread", self.magnitude_spread,
          {.min = 0,
           .max = 3,
           .meaning = "standard deviation of the logarithm of a channel's magnitude",
           .source = "assumed"});
    visit(
        "miss_rate", self.miss_rate,
        {.min = 0, .max = 1, .meaning = "share of tokens in which a group has no outlier at all", .source = "assumed"});
    visit("attn_in_density", self.attn_in_density,
          {.min = 0,
           .max = 1,
           .meaning = "share of a group's outliers that sit in its persistent channel: q, k, v input",
           .source = "arXiv 2604.12782: 60-80 %"});
    visit("o_in_density", self.o_in_density,
          {.min = 0, .max = 1, .meaning = "the same for the o_proj input", .source = "arXiv 2604.12782: 40-50 %"});
    visit("ffn_in_density", self.ffn_in_density,
          {.min = 0, .max = 1, .meaning = "the same for the gate and up input", .source = "arXiv 2604.12782: 60-70 %"});
    visit("down_in_density", self.down_in_density,
          {.min = 0, .max = 1, .meaning = "the same for the down_proj input", .source = "arXiv 2604.12782: 20-35 %"});
  }
};

}  // namespace oscsim
