// SPDX-License-Identifier: Apache-2.0
// How attention is cut: query rows that share a head of keys and values are stacked token by token, as they lie in
// memory, and cut into blocks of rows; a causal block takes the keys that its last row sees.
#pragma once

#include <algorithm>

#include "models/schemes/plan.h"
#include "sim/mapping/operation_program.h"

namespace oscsim {

// Softmax as a running maximum and sum (flash attention, arXiv 2205.14135). FP32 instructions over a tile of scores:
// maximum, subtract, exponential, sum, cast. Assumed, as the rest of the counts.
inline constexpr std::int64_t kSoftmaxPasses = 5;
inline constexpr std::int64_t kRescalePasses = 2;    // over an output tile for each tile of scores: multiply, add
inline constexpr std::int64_t kNormalisePasses = 1;  // over an output tile at the end of a job: divide
inline constexpr std::int64_t kFp32 = 4;             // bytes

struct AttentionJob {
  std::int64_t pair = 0;  // sequence and head of keys and values
  std::int64_t row = 0, rows = 0;
  std::int64_t keys = 0;  // that it needs
};

inline std::int64_t attention_pairs(const AttentionSizes& sizes) {
  return sizes.sequences * sizes.kv_heads;
}
inline std::int64_t stacked_rows(const AttentionSizes& sizes) {
  return sizes.queries * sizes.group();
}
inline std::int64_t row_blocks(const AttentionSizes& sizes, std::int64_t rows) {
  return tiles_of(stacked_rows(sizes), rows);
}

// Block `index` of the row blocks of a pair.
inline AttentionJob attention_job(const AttentionSizes& sizes, std::int64_t rows, std::int64_t pair,
                                  std::int64_t index) {
  AttentionJob job{.pair = pair, .row = index * rows, .rows = 0, .keys = 0};
  job.rows = std::min(rows, stacked_rows(sizes) - job.row);
  job.keys = sizes.visible((job.row + job.rows - 1) / sizes.group());
  return job;
}

// Bytes that the vector passes over one tile of scores go over. The last tile of a job also normalises its output.
inline Bytes softmax_bytes(std::int64_t rows, std::int64_t keys, std::int64_t head_dim, bool last) {
  const std::int64_t output_passes = kRescalePasses + (last ? kNormalisePasses : 0);
  return Bytes(kFp32 * rows * (keys * kSoftmaxPasses + head_dim * output_passes));
}

inline MatmulPass attention_pass(const AttentionPlan& plan) {
  return {plan.format, plan.sizes.head_dim, false};
}

}  // namespace oscsim
