// SPDX-License-Identifier: Apache-2.0
// A quantisation scheme, as data: formats, an optional outlier branch, optional exceptions by position. What a GEMM
// becomes under it is computed in plan.h; no other code asks which scheme it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/numerics/gemm.h"
#include "models/schemes/position.h"

namespace oscsim {

// Where the accumulators of the main path and of the branch meet.
enum class JoinPlace : std::uint8_t {
  l0c,       // in the accumulator buffer: costs nothing extra
  epilogue,  // on the way out: the drain reads both accumulators
};

inline constexpr std::int64_t kSmallestGroup = 2,
                              kLargestGroup = 4096;  // channels that share one outlier channel; assumed
inline constexpr double kLargestAlpha = 1e6;         // of a mean magnitude; assumed

// The 16-bit branch of OSC (arXiv 2604.12782): one outlier channel for each group of channels.
struct OutlierParams {
  std::int64_t group = 32;
  double alpha = 5;
  numerics::FormatId branch = numerics::FormatId::bf16;
  numerics::Join join = numerics::Join::add;
  JoinPlace join_place = JoinPlace::l0c;
  bool zero_weight_rows = false;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("group", self.group,
          {.min = kSmallestGroup,
           .max = kLargestGroup,
           .meaning = "channels per group; one outlier channel is gathered from each",
           .source = "arXiv 2604.12782: 16 (NVFP4), 32 (MXFP4), 64 (HiF4)"});
    visit("alpha", self.alpha,
          {.min = 0,
           .max = kLargestAlpha,
           .meaning = "threshold of calibration: alpha * mean(abs(X))",
           .source = "arXiv 2604.12782"});
    visit("branch", self.branch, {.meaning = "16-bit type of the branch: bf16 or fp16", .source = "assumed"});
    visit("join", self.join,
          {.meaning = "arithmetic of the join: one FP32 addition, or the branch continues the main accumulation chain",
           .source = "assumed"});
    visit("join_place", self.join_place,
          {.meaning = "where main path and branch meet: in L0C, or in the epilogue (the drain reads both)",
           .source = "assumed"});
    visit("zero_weight_rows", self.zero_weight_rows,
          {.meaning = "zero the weights at the table's channels before the 4-bit weight scales are taken",
           .source = "assumed"});
  }
};

// What becomes of one activation under a scheme with an outlier branch, where someone has decided (a calibrated table)
// instead of leaving it to the scheme's positions.
enum class Treatment : std::uint8_t {
  osc,       // the branch
  fallback,  // the fallback's formats
};

// Other formats for some positions, without a branch.
struct FallbackParams {
  std::vector<Position> positions;
  numerics::FormatId activation = numerics::FormatId::mxfp8;
  numerics::FormatId weight = numerics::FormatId::mxfp8;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("positions", self.positions, {.required = true, .meaning = "positions that use these formats"});
    visit("activation", self.activation, {.meaning = "format of their activations"});
    visit("weight", self.weight, {.meaning = "format of their weights"});
  }
};

std::vector<Position> kept_by_default();  // router and lm_head

struct SchemeParams {
  std::string description;
  numerics::FormatId activation{};
  numerics::FormatId weight{};
  numerics::ScaleRule scale_rule = numerics::ScaleRule::floor;
  std::optional<numerics::ElementRounding> rounding;
  numerics::Nvfp4Scale nvfp4_scale = numerics::Nvfp4Scale::exact;
  numerics::Overflow overflow = numerics::Overflow::infinity;
  std::optional<OutlierParams> outliers;
  std::optional<FallbackParams> fallback;
  std::vector<Position> keep_16bit = kept_by_default();
  numerics::FormatId kept_format = numerics::FormatId::bf16;
  numerics::FormatId attention = numerics::FormatId::bf16;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("description", self.description, {.meaning = "one line for people"});
    visit("activation", self.activation, {.required = true, .meaning = "format of activations"});
    visit("weight", self.weight, {.required = true, .meaning = "format of weights"});
    visit("scale_rule", self.scale_rule,
          {.meaning = "how an MX block's shared exponent follows from its maximum", .source = "OCP MX v1.0: floor"});
    visit("rounding", self.rounding,
          {.meaning =
               "rounding of elements; absent: the format's own, half_away of HiFloat4 and nearest_even of the others",
           .source = "OCP MX v1.0; HiFloat4's published quantisers"});
    visit(
        "nvfp4_scale", self.nvfp4_scale,
        {.meaning = "E4M3 scale of an NVFP4 block: of the real number amax S / 6, or as TransformerEngine's FP32 steps",
         .source = "NVIDIA NVFP4; TransformerEngine main and 2.x"});
    visit("overflow", self.overflow,
          {.meaning = "what numbers beyond the largest of BF16 or FP16 become", .source = "IEEE 754: infinity"});
    visit("outliers", self.outliers, {.meaning = "outlier branch; absent: none"});
    visit("fallback", self.fallback, {.meaning = "other formats for some positions; absent: none"});
    visit("keep_16bit", self.keep_16bit,
          {.meaning = "positions that stay in 16 bit", .source = "arXiv 2604.12782 quantises none of these"});
    visit("kept_format", self.kept_format, {.meaning = "16-bit format of those positions"});
    visit("attention", self.attention,
          {.meaning = "format of attention's Q, K, V and probabilities: 16 or 8 bit",
           .source = "arXiv 2604.12782 leaves attention in 16 bit"});
  }
  void check(std::vector<std::string>& problems) const;
};

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::Treatment> {
  static constexpr std::pair<std::string_view, oscsim::Treatment> kValues[] = {
      {"osc", oscsim::Treatment::osc}, {"fallback", oscsim::Treatment::fallback}};
};
template <>
struct oscsim::EnumNames<oscsim::JoinPlace> {
  static constexpr std::pair<std::string_view, oscsim::JoinPlace> kValues[] = {
      {"l0c", oscsim::JoinPlace::l0c}, {"epilogue", oscsim::JoinPlace::epilogue}};
};
