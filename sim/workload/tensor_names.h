// SPDX-License-Identifier: Apache-2.0
// What the names of tensors say: the same parameter under the prefixes of other classes, and what is no weight.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim {

// The names that a parameter has in checkpoints of the same model: "model.layers.0.x", "layers.0.x" (saved from the
// model without its head), "model.language_model.layers.0.x" and the like (with a vision tower beside it). `name`
// itself is not among them.
std::vector<std::string> spellings(const std::string& name);

// What a tensor is, by the last part of its name, when it only goes with a weight and is none: "scales of a quantised
// tensor", "zero points of a quantised tensor", "a bias"; empty for all others.
std::string_view companion_kind(std::string_view name);

// "P.experts.7.gate_proj.weight" taken apart.
struct ExpertName {
  std::string stack;  // "P.experts."
  std::int64_t expert = 0;
  std::string projection;  // "gate_proj"
};
std::optional<ExpertName> expert_name(const std::string& name);

}  // namespace oscsim
