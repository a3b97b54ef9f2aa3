// SPDX-License-Identifier: Apache-2.0
// The fast cast: rows in parallel, each by the row cast compiled for the best instruction set of this CPU.
#include "models/numerics/quantise.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "models/numerics/cast_row.h"
#include "models/numerics/cast_targets.h"

namespace oscsim::numerics {
namespace {

template <int kLanes, FormatId kFormat>
[[gnu::always_inline]] inline void cast_rows(const CastJob& job, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    if (job.rounding == ElementRounding::nearest_even)
      cast::cast_row<kLanes, kFormat, ElementRounding::nearest_even>(job, row);
    else
      cast::cast_row<kLanes, kFormat, ElementRounding::half_away>(job, row);
  }
}

template <FormatId kFormat>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void cast_rows_avx512(const CastJob& job, std::int64_t first,
                                                                            std::int64_t last) {
  cast_rows<16, kFormat>(job, first, last);
}

template <FormatId kFormat>
[[gnu::target("avx2")]] void cast_rows_avx2(const CastJob& job, std::int64_t first, std::int64_t last) {
  cast_rows<8, kFormat>(job, first, last);
}

template <FormatId kFormat>
void cast_rows_portable(const CastJob& job, std::int64_t first, std::int64_t last) {
  cast_rows<4, kFormat>(job, first, last);
}

constexpr std::size_t kFormatCount = std::size(EnumNames<FormatId>::kValues);

// One function for each format and instruction set: GCC optimises one that holds all formats badly.
template <std::size_t... kIds>
std::vector<CastTarget> detect_targets(std::index_sequence<kIds...>) {
  std::vector<CastTarget> targets;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    targets.push_back({"avx512", {cast_rows_avx512<static_cast<FormatId>(kIds)>...}});
  if (__builtin_cpu_supports("avx2")) targets.push_back({"avx2", {cast_rows_avx2<static_cast<FormatId>(kIds)>...}});
  targets.push_back({"portable", {cast_rows_portable<static_cast<FormatId>(kIds)>...}});
  return targets;
}

}  // namespace

std::span<const CastTarget> cast_targets() {
  static const std::vector<CastTarget> kTargets = detect_targets(std::make_index_sequence<kFormatCount>());
  return kTargets;
}

QuantisedMatrix quantise_with(const CastTarget& target, FormatId id, MatrixView matrix, const CastOptions& options) {
  constexpr std::int64_t kTaskElements = 1 << 15;
  QuantisedMatrix out = empty_quantised(id, matrix.rows(), matrix.cols());
  float tensor_amax = 0;
  if (format(id).outer_scale == OuterScale::tensor) {
    tensor_amax = options.tensor_amax ? *options.tensor_amax : amax(matrix);
    out.outer_scale[0] = tensor_scale(format(id), tensor_amax);
    if (std::isnan(out.outer_scale[0])) return out;
  }
  const CastJob job{matrix, options, rounding_of(format(id), options), tensor_amax, &out};
  const CastRows cast_rows = target.cast_rows[static_cast<std::size_t>(id)];
  const std::int64_t grain = tiles_of(kTaskElements, std::max<std::int64_t>(1, matrix.cols()));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, matrix.rows(), static_cast<std::size_t>(grain)),
                    [&](const tbb::blocked_range<std::int64_t>& rows) { cast_rows(job, rows.begin(), rows.end()); });
  return out;
}

QuantisedMatrix quantise(FormatId id, MatrixView matrix, const CastOptions& options) {
  return quantise_with(cast_targets().front(), id, matrix, options);
}

}  // namespace oscsim::numerics
