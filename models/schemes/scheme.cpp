// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/scheme.h"

#include <algorithm>

namespace oscsim {
namespace {

bool is_16bit(numerics::FormatId id) {
  return numerics::format(id).element_bits == 16;
}

void check_pair(numerics::FormatId a, numerics::FormatId b, std::string_view where,
                std::vector<std::string>& problems) {
  if (a != b)
    problems.push_back(
        fmt::format("{}activation is {} and weight is {}: the matrix units multiply two operands of one format", where,
                    name_of(a), name_of(b)));
}

}  // namespace

std::vector<Position> kept_by_default() {
  return {Position::router, Position::lm_head};
}

void SchemeParams::check(std::vector<std::string>& problems) const {
  check_pair(activation, weight, "", problems);
  if (fallback) check_pair(fallback->activation, fallback->weight, "fallback: ", problems);
  if (!is_16bit(kept_format))
    problems.push_back(fmt::format("kept_format is {}; allowed: bf16, fp16", name_of(kept_format)));
  if (const int bits = numerics::format(attention).element_bits; bits != 16 && bits != 8)
    problems.push_back(
        fmt::format("attention is {} of {} bits; allowed: formats of 16 and 8 bits", name_of(attention), bits));
  if (outliers) {
    if (!is_16bit(outliers->branch))
      problems.push_back(fmt::format("outliers.branch is {}; allowed: bf16, fp16", name_of(outliers->branch)));
    if (is_16bit(activation)) problems.push_back("outliers: a 16-bit main path has no need of an outlier branch");
    if (outliers->join == numerics::Join::chain &&
        numerics::format(activation).outer_scale != numerics::OuterScale::none)
      problems.push_back(
          fmt::format("outliers.join is chain, but {} applies FP32 scales after the main accumulation; use add",
                      name_of(activation)));
    if (outliers->join == numerics::Join::chain && outliers->join_place == JoinPlace::epilogue)
      problems.push_back("outliers.join is chain: the branch accumulates in L0C, so join_place cannot be epilogue");
  }
  if (fallback)
    for (const Position position : fallback->positions)
      if (std::ranges::find(keep_16bit, position) != keep_16bit.end())
        problems.push_back(
            fmt::format("position {} is both in fallback.positions and in keep_16bit", name_of(position)));
}

}  // namespace oscsim
