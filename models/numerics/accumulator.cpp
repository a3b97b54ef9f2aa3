// SPDX-License-Identifier: Apache-2.0
// The table of accumulators, and the parser of their names.
#include "models/numerics/accumulator.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <vector>

#include "models/base/error.h"

namespace oscsim::numerics {
namespace {

constexpr std::string_view kMmaSim =
    "MMA-Sim, arXiv 2511.10909; assumed: no alignment below 2^-126, where the published models differ";
constexpr std::string_view kMmaSimBlocks =
    "MMA-Sim, arXiv 2511.10909; assumed: no alignment below 2^-126, and 16-bit products as in blackwell_fp16";

constexpr std::uint32_t kTensorCoreNan = 0x7FFFFFFF;

constexpr Accumulator tensor_core(const Fusion& narrow, const Fusion& wide) {
  return {AccumulatorKind::fused, narrow, wide, kTensorCoreNan};
}
constexpr Accumulator tensor_core(const Fusion& fusion) {
  return tensor_core(fusion, fusion);
}

constexpr Fusion kTuring{.fraction_bits = 24, .terms = 8};
constexpr Fusion kHopper{.fraction_bits = 25, .terms = 16};
constexpr Fusion kAdaFp8{.fraction_bits = 13, .terms = 16, .rounding = FusedRounding::rz_e8m13};
constexpr Fusion kHopperFp8{.fraction_bits = 13, .terms = 32, .rounding = FusedRounding::rz_e8m13};
constexpr Fusion kBlackwell8{.fraction_bits = 25, .terms = 32};
constexpr Fusion kBlackwell4{.fraction_bits = 35, .terms = 4, .sub_block = 16};

constexpr Accumulator kExact{.kind = AccumulatorKind::exact, .narrow = {}, .wide = {}};

constexpr AccumulatorPreset kPresets[] = {
    {"fp32_rne", {}, "one rounding to nearest FP32 for each block of exactly summed products", "definition"},
    {"exact", kExact, "all of K in exact arithmetic, one rounding to nearest FP32 at the end", "definition"},
    {"volta_fp16", tensor_core({.fraction_bits = 23, .terms = 4}), "Volta, FP16: 4 terms, 23 fraction bits", kMmaSim},
    {"turing_fp16", tensor_core(kTuring), "Turing, FP16: 8 terms, 24 fraction bits", kMmaSim},
    {"ampere_fp16", tensor_core(kTuring), "Ampere, FP16 and BF16: 8 terms, 24 fraction bits", kMmaSim},
    {"ada_fp16", tensor_core(kTuring), "Ada Lovelace, FP16 and BF16: 8 terms, 24 fraction bits", kMmaSim},
    {"ada_fp8", tensor_core(kAdaFp8, kTuring),
     "Ada Lovelace, FP8: 16 terms, 13 fraction bits, results too; 16-bit products as in ada_fp16", kMmaSim},
    {"hopper_fp16", tensor_core(kHopper), "Hopper, FP16 and BF16: 16 terms, 25 fraction bits", kMmaSim},
    {"hopper_fp8", tensor_core(kHopperFp8, kHopper),
     "Hopper (wgmma), FP8: 32 terms, 13 fraction bits, results too; 16-bit products as in hopper_fp16", kMmaSim},
    {"blackwell_fp16", tensor_core(kHopper), "Blackwell, FP16 and BF16: 16 terms, 25 fraction bits", kMmaSim},
    {"blackwell_fp8", tensor_core(kBlackwell8, kHopper),
     "Blackwell, FP8: 32 terms, 25 fraction bits; 16-bit products as in blackwell_fp16", kMmaSim},
    {"blackwell_mxf8", tensor_core(kBlackwell8, kHopper),
     "Blackwell, 8-bit elements with block scales: 32 terms, 25 fraction bits", kMmaSimBlocks},
    {"blackwell_mxf4", tensor_core(kBlackwell4, kHopper),
     "Blackwell, MXFP4 with 64 elements: 16 summed exactly and scaled, 4 such terms, 35 fraction bits", kMmaSimBlocks},
    {"blackwell_nvf4", tensor_core(kBlackwell4, kHopper),
     "Blackwell, NVFP4 with 64 elements: 16 summed exactly and scaled, 4 such terms, 35 fraction bits", kMmaSimBlocks},
};

constexpr std::string_view kShape = "fused(fraction bits, terms, rounding[, sub-block[, zeros]])";
constexpr int kMaxFractionBits = 48;
constexpr int kMaxTerms = 1024;
constexpr int kMaxSubBlock = 64;

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t comma = 0; comma != std::string_view::npos;) {
    comma = text.find(',');
    parts.push_back(trimmed(text.substr(0, comma)));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return parts;
}

int integer_in(std::string_view accumulator_text, std::string_view meaning, std::string_view text, int min, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max)
    input_error("accumulator '{}': {} '{}'\n  allowed: {} to {}", accumulator_text, meaning, text, min, max);
  return value;
}

template <NamedEnum Choice>
Choice choice_in(std::string_view accumulator_text, std::string_view meaning, std::string_view text) {
  if (const auto choice = enum_from<Choice>(text)) return *choice;
  const std::vector<std::string> names = names_of<Choice>();
  input_error("accumulator '{}': {} '{}'\n  allowed: {}{}", accumulator_text, meaning, text, joined(names),
              did_you_mean(text, names));
}

Fusion parsed_fusion(std::string_view text) {
  constexpr std::string_view kOpening = "fused(";
  if (!text.ends_with(')')) input_error("accumulator '{}' does not end with ')'\n  allowed: {}", text, kShape);
  const std::vector<std::string_view> parts = split(text.substr(kOpening.size(), text.size() - kOpening.size() - 1));
  if (parts.size() < 3 || parts.size() > 5)
    input_error("accumulator '{}' has {} parameters\n  allowed: {}", text, parts.size(), kShape);
  Fusion fusion;
  fusion.fraction_bits = integer_in(text, "fraction bits", parts[0], 1, kMaxFractionBits);
  fusion.terms = integer_in(text, "terms", parts[1], 1, kMaxTerms);
  fusion.rounding = choice_in<FusedRounding>(text, "rounding", parts[2]);
  if (parts.size() > 3) {
    fusion.sub_block = integer_in(text, "sub-block", parts[3], 1, kMaxSubBlock);
    if (!std::has_single_bit(static_cast<unsigned>(fusion.sub_block)))
      input_error("accumulator '{}': sub-block {} is not a power of two", text, fusion.sub_block);
  }
  if (parts.size() > 4) fusion.zeros = choice_in<ZeroTerms>(text, "zeros", parts[4]);
  return fusion;
}

}  // namespace

std::span<const AccumulatorPreset> accumulators() {
  return kPresets;
}

Accumulator accumulator(std::string_view text) {
  const auto found = std::ranges::find(kPresets, text, &AccumulatorPreset::name);
  if (found != std::end(kPresets)) return found->accumulator;
  if (text.starts_with("fused(")) {
    const Fusion fusion = parsed_fusion(text);
    Fusion wide = fusion;
    wide.sub_block = 1;
    return {.kind = AccumulatorKind::fused, .narrow = fusion, .wide = wide};
  }
  std::vector<std::string> names;
  for (const AccumulatorPreset& preset : kPresets) names.emplace_back(preset.name);
  const std::string near = did_you_mean(text, names);
  input_error("unknown accumulator '{}'\n  allowed: {}, {}{}", text, joined(names), kShape, near);
}

std::string text_of(const Accumulator& accumulator) {
  const auto found = std::ranges::find(kPresets, accumulator, &AccumulatorPreset::accumulator);
  if (found != std::end(kPresets)) return std::string(found->name);
  const Fusion& fusion = accumulator.narrow;
  const std::string sub_block = fusion.zeros != ZeroTerms::align
                                    ? fmt::format(",{},{}", fusion.sub_block, name_of(fusion.zeros))
                                : fusion.sub_block != 1 ? fmt::format(",{}", fusion.sub_block)
                                                        : "";
  return fmt::format("fused({},{},{}{})", fusion.fraction_bits, fusion.terms, name_of(fusion.rounding), sub_block);
}

}  // namespace oscsim::numerics
