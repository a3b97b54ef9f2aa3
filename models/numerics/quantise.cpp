// SPDX-License-Identifier: Apache-2.0
// The fast cast: rows in parallel, each by the row cast compiled for the best instruction set of this CPU.
#include "models/numerics/quantise.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <vector>

#include "models/numerics/cast_row.h"
#include "models/numerics/cast_targets.h"

namespace oscsim::numerics {
namespace {

[[gnu::always_inline]] inline void cast_rows(const CastJob& job, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    if (job.options.rounding == ElementRounding::nearest_even)
      cast::cast_row<ElementRounding::nearest_even>(job, row);
    else
      cast::cast_row<ElementRounding::half_away>(job, row);
  }
}

[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void cast_rows_avx512(const CastJob& job, std::int64_t first,
                                                                            std::int64_t last) {
  cast_rows(job, first, last);
}

[[gnu::target("avx2")]] void cast_rows_avx2(const CastJob& job, std::int64_t first, std::int64_t last) {
  cast_rows(job, first, last);
}

void cast_rows_portable(const CastJob& job, std::int64_t first, std::int64_t last) {
  cast_rows(job, first, last);
}

std::vector<CastTarget> detect_targets() {
  std::vector<CastTarget> targets;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    targets.push_back({"avx512", cast_rows_avx512});
  if (__builtin_cpu_supports("avx2")) targets.push_back({"avx2", cast_rows_avx2});
  targets.push_back({"portable", cast_rows_portable});
  return targets;
}

}  // namespace

std::span<const CastTarget> cast_targets() {
  static const std::vector<CastTarget> kTargets = detect_targets();
  return kTargets;
}

QuantisedMatrix quantise_with(const CastTarget& target, FormatId id, MatrixView matrix, const CastOptions& options) {
  constexpr std::int64_t kTaskElements = 1 << 15;
  if (!cast::has_fast_cast(id)) return reference::quantise(id, matrix, options);
  QuantisedMatrix out = empty_quantised(id, matrix.rows(), matrix.cols());
  const CastJob job{matrix, options, &out};
  const std::int64_t grain = tiles_of(kTaskElements, std::max<std::int64_t>(1, matrix.cols()));
  tbb::parallel_for(
      tbb::blocked_range<std::int64_t>(0, matrix.rows(), static_cast<std::size_t>(grain)),
      [&](const tbb::blocked_range<std::int64_t>& rows) { target.cast_rows(job, rows.begin(), rows.end()); });
  return out;
}

QuantisedMatrix quantise(FormatId id, MatrixView matrix, const CastOptions& options) {
  return quantise_with(cast_targets().front(), id, matrix, options);
}

}  // namespace oscsim::numerics
