// SPDX-License-Identifier: Apache-2.0
// What a decoder layer of Qwen3 computes between its GEMMs, in FP32, plainly: every element is rounded once, sums are
// in double and in ascending order. Parallel; the bits depend on no thread. After transformers' Qwen3Attention,
// Qwen3MLP and Qwen3RMSNorm (modeling_qwen3.py). All matrices are FP32 and row-major.
#pragma once

#include <cstdint>
#include <span>

#include "models/numerics/matrix.h"

namespace oscsim::numerics {

// Each stretch of weight.size() elements of each row: x / sqrt(mean(x^2) + epsilon) * weight. The row is a whole number
// of stretches: one for a layer's norms, heads for those of Q and K.
Matrix rms_norm(const Matrix& x, std::span<const float> weight, double epsilon);

// Rotary embedding, in place: element i of the first half of a head and i of the second turn by the angle
// position * theta^(-2 i / head_dim). `positions`: of each row.
void rotate(Matrix& x, std::span<const std::int64_t> positions, std::int64_t head_dim, double theta);

// Causal attention of sequences that stand one behind the other in the rows; `lengths` sums to the rows. q [rows,
// heads * head_dim]; k, v [rows, kv_heads * head_dim], each of which heads / kv_heads heads share.
Matrix causal_attention(const Matrix& q, const Matrix& k, const Matrix& v, std::span<const std::int64_t> lengths,
                        std::int64_t head_dim);

// gate / (1 + exp(-gate)) * up
Matrix silu_multiply(const Matrix& gate, const Matrix& up);

// x += y
void add_to(Matrix& x, const Matrix& y);

}  // namespace oscsim::numerics
