// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/plan.h"

#include <algorithm>

namespace oscsim {
namespace {

bool contains(const std::vector<Position>& positions, Position position) {
  return std::ranges::find(positions, position) != positions.end();
}

bool falls_back_at(const SchemeParams& scheme, Position position, std::optional<Treatment> decided) {
  if (!scheme.outliers || !decided) return scheme.fallback && contains(scheme.fallback->positions, position);
  ensure(*decided == Treatment::osc || scheme.fallback, "a fallback decided for a scheme without one");
  return *decided == Treatment::fallback;
}

}  // namespace

GemmPlan plan_gemm(const SchemeParams& scheme, Position position, std::int64_t m, std::int64_t n, std::int64_t k,
                   std::optional<Treatment> decided) {
  ensure(m > 0 && n > 0 && k > 0, "plan_gemm: {} x {} x {}", m, n, k);
  GemmPlan plan;
  plan.m = m;
  plan.n = n;
  plan.cast = {.scale_rule = scheme.scale_rule,
               .rounding = scheme.rounding,
               .nvfp4_scale = scheme.nvfp4_scale,
               .overflow = scheme.overflow};

  const bool kept = contains(scheme.keep_16bit, position);
  const bool falls_back = !kept && falls_back_at(scheme, position, decided);
  plan.activation.format = kept ? scheme.kept_format : falls_back ? scheme.fallback->activation : scheme.activation;
  plan.passes.push_back({plan.activation.format, k, false});

  if (scheme.outliers && !kept && !falls_back) {
    const OutlierParams& outliers = *scheme.outliers;
    plan.activation.gather_group = outliers.group;
    plan.activation.branch_format = outliers.branch;
    plan.passes.push_back({outliers.branch, tiles_of(k, outliers.group), true});
    plan.join = outliers.join;
    plan.join_place = outliers.join_place;
    plan.alpha = outliers.alpha;
    plan.zero_weight_rows = outliers.zero_weight_rows;
  }
  return plan;
}

}  // namespace oscsim
