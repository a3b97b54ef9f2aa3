// SPDX-License-Identifier: Apache-2.0
// How attention is cut: query rows that share a head of keys and values are stacked token by token, as they lie in
// memory, and cut into blocks of rows; a block takes the keys that one of its rows sees, in whole tiles at both ends.
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
  std::int64_t first_key = 0, end_key = 0;  // of those that one of its rows sees

  std::int64_t keys() const { return end_key - first_key; }
  // Tiles, or stages, of `size` keys that hold them; they begin at multiples of it.
  std::int64_t pieces(std::int64_t size) const { return tiles_of(end_key, size) - first_key / size; }
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
  AttentionJob job{.pair = pair, .row = index * rows};
  job.rows = std::min(rows, stacked_rows(sizes) - job.row);
  job.first_key = sizes.first_key(job.row / sizes.group());
  job.end_key = sizes.end_key((job.row + job.rows - 1) / sizes.group());
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
