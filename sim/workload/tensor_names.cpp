// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/tensor_names.h"

#include <algorithm>
#include <charconv>

namespace oscsim {
namespace {

// In front of "layers.0.", longest first. transformers: AutoModelForCausalLM; vision-language models since 4.52 and
// before; a text model saved alone; the base model.
constexpr std::string_view kPrefixes[] = {"model.language_model.", "language_model.model.", "language_model.", "model.",
                                          ""};

// What stands behind a prefix: the parts of a causal language model.
constexpr std::string_view kBodies[] = {"layers.", "embed_tokens.", "norm.", "lm_head."};

// Endings of names, and of what. compressed-tensors, ModelOpt, FBGEMM (scale), DeepSeek (scale_inv), GPTQ and AWQ
// (scales, qzeros), gpt-oss (blocks beside scales), HQQ (zero), bitsandbytes (absmax, quant_map).
constexpr std::string_view kScaleKind = "scales of a quantised tensor";
constexpr std::string_view kZeroKind = "zero points of a quantised tensor";
constexpr std::pair<std::string_view, std::string_view> kCompanions[] = {
    {"scale", kScaleKind},       {"scales", kScaleKind},     {"scale_inv", kScaleKind}, {"scale_2", kScaleKind},
    {"scale_inv_2", kScaleKind}, {"absmax", kScaleKind},     {"quant_map", kScaleKind}, {"scaling_factor", kScaleKind},
    {"zero_point", kZeroKind},   {"zero_points", kZeroKind}, {"qzeros", kZeroKind},     {"zeros", kZeroKind},
    {"zero", kZeroKind},         {"bias", "a bias"}};

}  // namespace

std::vector<std::string> spellings(const std::string& name) {
  const auto* prefix =
      std::ranges::find_if(kPrefixes, [&](std::string_view candidate) { return name.starts_with(candidate); });
  const std::string core = name.substr(prefix->size());
  std::vector<std::string> names;
  if (std::ranges::none_of(kBodies, [&](std::string_view body) { return core.starts_with(body); })) return names;
  for (const std::string_view other : kPrefixes)
    if (other != *prefix) names.push_back(std::string(other) + core);
  return names;
}

std::string_view companion_kind(std::string_view name) {
  for (const auto& [ending, kind] : kCompanions) {
    if (!name.ends_with(ending)) continue;
    const std::string_view before = name.substr(0, name.size() - ending.size());
    if (before.empty() || before.back() == '.' || before.back() == '_') return kind;
  }
  return "";
}

std::optional<ExpertName> expert_name(const std::string& name) {
  constexpr std::string_view kExpertList = "experts.";
  constexpr std::string_view kWeight = ".weight";
  const std::size_t at = name.find(kExpertList);
  if (at == std::string::npos || !name.ends_with(kWeight)) return std::nullopt;
  ExpertName found{name.substr(0, at + kExpertList.size()), 0, {}};
  const char* end = name.data() + name.size() - kWeight.size();
  const auto [digits_end, error] = std::from_chars(name.data() + found.stack.size(), end, found.expert);
  if (error != std::errc() || digits_end == end || *digits_end != '.') return std::nullopt;
  found.projection.assign(digits_end + 1, end);
  return found;
}

}  // namespace oscsim
