// SPDX-License-Identifier: Apache-2.0
// Statistics of synthetic tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/schemes/scheme.h"

namespace oscsim {

inline constexpr double kTokenJitter = 0.1;  // an outlier varies by +- this share from token to token; assumed

// Of one activation.
struct ActivationStatistics {
  double std, density, magnitude, magnitude_spread, token_spread, miss_rate, bypass_rate;
};

// What `positions` says about the activations of one position, in one range of layers or in all; what it leaves out is
// as in SyntheticParams.
struct PositionStatistics {
  Position position = Position::other;
  std::optional<std::string> layers{};
  std::optional<double> std{}, density{}, magnitude{}, magnitude_spread{}, token_spread{}, miss_rate{}, bypass_rate{};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("position", self.position, {.required = true, .meaning = "activations of this position"});
    visit("layers", self.layers, {.meaning = "in these layers, such as 3 or 0-35; none: in all"});
    visit("std", self.std, {.min = 0, .max = 1e6, .meaning = "as activation_std"});
    visit("density", self.density, {.min = 0, .max = 1, .meaning = "as attn_in_density"});
    visit("magnitude", self.magnitude, {.min = 0, .max = 1e4, .meaning = "as above"});
    visit("magnitude_spread", self.magnitude_spread, {.min = 0, .max = 3, .meaning = "as above"});
    visit("token_spread", self.token_spread, {.min = 0, .max = 3, .meaning = "as above"});
    visit("miss_rate", self.miss_rate, {.min = 0, .max = 1, .meaning = "as above"});
    visit("bypass_rate", self.bypass_rate, {.min = 0, .max = 1, .meaning = "as above"});
  }
};

// Weights: normal, mean 0. Activations: normal, mean 0, and in each group of `group` channels one outlier channel that
// persists over the tokens.
struct SyntheticParams {
  double weight_std = 0.02;
  double activation_std = 1;
  std::int64_t group = 32;
  double magnitude = 20;
  double magnitude_spread = 0.25;
  double token_spread = 0;
  double miss_rate = 0.05;
  double bypass_rate = 0;
  // Density per position: middle of the range that arXiv 2604.12782 shows for Qwen3-8B.
  double attn_in_density = 0.70;
  double o_in_density = 0.45;
  double ffn_in_density = 0.65;
  double down_in_density = 0.275;
  std::vector<PositionStatistics> positions{};

  double density(Position position) const;
  // Of an activation by its position and the layer in its name: the first of `positions` that fits, else the values
  // above.
  ActivationStatistics of(Position position, const std::string& activation) const;
  // A density below 1 / group cannot be: the most frequent channel of a group has at least its equal share.
  void check(std::vector<std::string>& problems) const;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("weight_std", self.weight_std,
          {.min = 0, .max = 1e3, .meaning = "standard deviation of weights", .source = "assumed"});
    visit("activation_std", self.activation_std,
          {.min = 0,
           .max = 1e6,
           .meaning = "standard deviation of activations without their outliers",
           .source = "assumed"});
    visit("group", self.group,
          {.min = kSmallestGroup,
           .max = kLargestGroup,
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
        "token_spread", self.token_spread,
        {.min = 0,
         .max = 3,
         .meaning = "standard deviation of the logarithm of an outlier's magnitude from token to token, beside +-10 %",
         .source = "assumed"});
    visit(
        "miss_rate", self.miss_rate,
        {.min = 0, .max = 1, .meaning = "share of tokens in which a group has no outlier at all", .source = "assumed"});
    visit("bypass_rate", self.bypass_rate,
          {.min = 0, .max = 1, .meaning = "share of groups that have no outlier in any token", .source = "assumed"});
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
    visit("positions", self.positions,
          {.meaning = "statistics of single positions and layers; of several that fit, the first applies"});
  }
};

}  // namespace oscsim
