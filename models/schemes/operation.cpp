// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/operation.h"

#include <algorithm>

namespace oscsim {
namespace {

constexpr std::int64_t kElement = 2;  // bytes: activations are 16 bit

// Data movement follows from the definitions of the operations; instruction counts are ours.
constexpr RowOperation kRowOperations[] = {
    {OperationKind::rms_norm, {1}, {1}, {2}, {3}, "FP32 multiply-accumulate; FP32 scale, 16-bit weight", "assumed"},
    {OperationKind::rope, {1}, {1}, {0}, {3}, "multiply by cos, multiply the rotated half by sin, add", "assumed"},
    {OperationKind::silu_multiply, {2}, {1}, {0}, {7}, "FP32 exponential, add, divide; 16-bit multiply", "assumed"},
    {OperationKind::residual, {2}, {1}, {0}, {1}, "add", "assumed"},
    {OperationKind::softmax, {1}, {1}, {1}, {8}, "maximum; FP32 subtract, exponential, sum, divide", "assumed"},
    {OperationKind::moe_route, {1}, {0}, {1}, {8, 4}, "softmax; FP32 maximum and mask for each choice", "assumed"},
    {OperationKind::moe_permute, {1}, {0, 1}, {0}, {0, 1}, "copy for each choice", "assumed"},
    {OperationKind::moe_combine, {0, 1}, {1}, {0}, {0, 2}, "FP32 multiply-accumulate for each choice", "assumed"},
};

}  // namespace

Macs attention_macs(const AttentionSizes& sizes) {
  // The sum over the queries of the keys that each sees: a ramp, then `window` each.
  const std::int64_t before = sizes.end_key(0) - 1;
  const std::int64_t ramp =
      sizes.window == 0 ? sizes.queries : std::clamp<std::int64_t>(sizes.window - before, 0, sizes.queries);
  const std::int64_t last = ramp == 0 ? 0 : sizes.end_key(ramp - 1);
  const std::int64_t pairs = (before + 1 + last) * ramp / 2 + (sizes.queries - ramp) * sizes.window;
  return Macs(2 * sizes.sequences * sizes.heads * sizes.head_dim * pairs);
}

AttentionPlan plan_attention(const SchemeParams& scheme, const AttentionSizes& sizes) {
  return {sizes, scheme.attention};
}

std::span<const RowOperation> row_operations() {
  return kRowOperations;
}

const RowOperation& row_operation(OperationKind kind) {
  const auto found = std::ranges::find(kRowOperations, kind, &RowOperation::kind);
  ensure(found != std::end(kRowOperations), "{} is no operation over rows", name_of(kind));
  return *found;
}

RowPlan plan_rows(OperationKind kind, const RowSizes& sizes) {
  const RowOperation& operation = row_operation(kind);
  const Bytes row(sizes.width * kElement);
  RowPlan plan;
  plan.rows = sizes.rows;
  plan.input = row * operation.inputs.of(sizes);
  plan.output = row * operation.outputs.of(sizes);
  plan.data = row;
  plan.reduce = operation.reduce.of(sizes);
  plan.apply = operation.apply.of(sizes);
  if (kind == OperationKind::rope) plan.input += Bytes(2 * sizes.head_dim * kElement);  // cos and sin of the position
  constexpr std::int64_t kChoice = kElement + 4;  // a 16-bit weight and a 32-bit index
  if (kind == OperationKind::moe_route) plan.output += Bytes(sizes.experts_per_token * kChoice);
  if (kind == OperationKind::moe_combine) plan.input += Bytes(sizes.experts_per_token * kChoice);
  if (kind == OperationKind::moe_permute) plan.input += Bytes(sizes.experts_per_token * kChoice);
  return plan;
}

}  // namespace oscsim
