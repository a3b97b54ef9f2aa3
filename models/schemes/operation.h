// SPDX-License-Identifier: Apache-2.0
// What stands between the GEMMs of a layer: attention's products, and operations over rows on the vector unit. Sizes,
// and what they become: bytes in and out, and passes over 16-bit data. Time only; no values.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "models/numerics/format.h"
#include "models/schemes/scheme.h"

namespace oscsim {

enum class OperationKind : std::uint8_t {
  gemm,           // a linear layer: plan.h
  attention,      // softmax(Q K^T) V
  rms_norm,       // x / rms(x) * weight, over the whole row
  rope,           // rotary position embedding of Q and K
  silu_multiply,  // silu(gate) * up
  residual,       // x + y
  softmax,        // over the whole row
  moe_route,      // softmax over the experts, then the best ones
  moe_permute,    // a copy of each row for each of its experts
  moe_combine,    // weighted sum of the experts' rows
};

// Attention of `sequences` sequences: `queries` new tokens of each against `keys` tokens, the last of which are the
// new ones. heads / kv_heads query heads share a head of keys and values. Causal: query i sees all keys up to its own,
// with a window only the last `window` of them, its own included (as Hugging Face's masks have it).
struct AttentionSizes {
  std::int64_t sequences = 1;
  std::int64_t heads = 1, kv_heads = 1, head_dim = 1;
  std::int64_t queries = 1, keys = 1;
  bool causal = true;
  std::int64_t window = 0;  // 0: none

  std::int64_t group() const { return heads / kv_heads; }
  // The keys that the query at `index` of its sequence sees: from first_key() to before end_key().
  std::int64_t end_key(std::int64_t index) const { return causal ? keys - queries + index + 1 : keys; }
  std::int64_t first_key(std::int64_t index) const {
    return window == 0 || end_key(index) <= window ? 0 : end_key(index) - window;
  }
  friend bool operator==(const AttentionSizes&, const AttentionSizes&) = default;
};

// Multiply-accumulates of both products over the pairs of query and key that are needed.
Macs attention_macs(const AttentionSizes& sizes);

struct AttentionPlan {
  AttentionSizes sizes;
  numerics::FormatId format{};  // of Q, K, V and of the probabilities
};
AttentionPlan plan_attention(const SchemeParams& scheme, const AttentionSizes& sizes);

// [rows, width] of an operation over rows, 16 bit.
struct RowSizes {
  std::int64_t rows = 1, width = 1;
  std::int64_t experts_per_token = 0;  // of moe_*
  std::int64_t head_dim = 0;           // of rope
  friend bool operator==(const RowSizes&, const RowSizes&) = default;
};

// A count per row: `each`, and `per_choice` more for each expert that a token chooses.
struct RowCount {
  std::int64_t each = 0, per_choice = 0;
  constexpr std::int64_t of(const RowSizes& sizes) const { return each + per_choice * sizes.experts_per_token; }
};

// One line for each kind but gemm and attention. Inputs and outputs are rows of `width` 16-bit elements. A pass is one
// vector instruction over them; in FP32 it takes twice the bytes and counts two. Reducing passes need the whole row
// before the applying ones begin.
struct RowOperation {
  OperationKind kind{};
  RowCount inputs, outputs;
  RowCount reduce, apply;
  std::string_view passes;  // what they do
  std::string_view source;  // of the passes
};
std::span<const RowOperation> row_operations();
const RowOperation& row_operation(OperationKind kind);

// What an operation over rows becomes.
struct RowPlan {
  std::int64_t rows = 0;
  Bytes input{0}, output{0};           // of one row, what is small beside it included
  Bytes data{0};                       // of one row that a pass goes over
  std::int64_t reduce = 0, apply = 0;  // passes
};
RowPlan plan_rows(OperationKind kind, const RowSizes& sizes);

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::OperationKind> {
  using Kind = oscsim::OperationKind;
  static constexpr std::pair<std::string_view, Kind> kValues[] = {{"gemm", Kind::gemm},
                                                                  {"attention", Kind::attention},
                                                                  {"rms_norm", Kind::rms_norm},
                                                                  {"rope", Kind::rope},
                                                                  {"silu_multiply", Kind::silu_multiply},
                                                                  {"residual", Kind::residual},
                                                                  {"softmax", Kind::softmax},
                                                                  {"moe_route", Kind::moe_route},
                                                                  {"moe_permute", Kind::moe_permute},
                                                                  {"moe_combine", Kind::moe_combine}};
};
