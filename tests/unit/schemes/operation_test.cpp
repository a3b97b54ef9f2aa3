// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/operation.h"

#include <gmock/gmock.h>

namespace oscsim {
namespace {

// Both products of every pair of query and key that is needed, one by one.
std::int64_t counted_macs(const AttentionSizes& sizes) {
  std::int64_t macs = 0;
  for (std::int64_t query = 0; query < sizes.queries; ++query)
    for (std::int64_t key = 0; key < sizes.keys; ++key) {
      const std::int64_t own = sizes.keys - sizes.queries + query;
      const bool in_window = sizes.window == 0 || key > own - sizes.window;
      if (!sizes.causal || (key <= own && in_window)) macs += 2 * sizes.head_dim;
    }
  return macs * sizes.sequences * sizes.heads;
}

TEST(Attention, MacsAreThoseOfThePairsThatAreSeen) {
  for (const bool causal : {true, false})
    for (const auto& [queries, keys] : {std::pair(1, 1), {1, 77}, {5, 5}, {64, 64}, {7, 100}}) {
      const AttentionSizes sizes{3, 8, 2, 16, queries, keys, causal};
      EXPECT_EQ(attention_macs(sizes).count(), counted_macs(sizes)) << queries << " " << keys << " " << causal;
    }
}

TEST(FaultA13, MacsAreThoseOfThePairsInTheWindow) {
  for (const std::int64_t window : {1, 3, 7, 64, 99, 100, 500})
    for (const auto& [queries, keys] : {std::pair(1, 1), {1, 77}, {5, 5}, {64, 64}, {7, 100}}) {
      const AttentionSizes sizes{3, 8, 2, 16, queries, keys, true, window};
      EXPECT_EQ(attention_macs(sizes).count(), counted_macs(sizes)) << queries << " " << keys << " " << window;
    }
}

TEST(Attention, TakesTheFormatOfTheScheme) {
  SchemeParams scheme;
  EXPECT_EQ(plan_attention(scheme, {}).format, numerics::FormatId::bf16) << "the paper leaves attention in 16 bit";
  scheme.attention = numerics::FormatId::mxfp8;
  EXPECT_EQ(plan_attention(scheme, {}).format, numerics::FormatId::mxfp8);
}

TEST(Attention, FormatsOfFourBitAreRefused) {
  for (const numerics::FormatInfo& format : numerics::formats()) {
    SchemeParams scheme;
    scheme.activation = scheme.weight = numerics::FormatId::mxfp8;
    scheme.attention = format.id;
    std::vector<std::string> problems;
    scheme.check(problems);
    if (format.element_bits >= 8)
      EXPECT_THAT(problems, testing::IsEmpty()) << format.name;
    else
      EXPECT_THAT(problems,
                  testing::ElementsAre(fmt::format("attention is {} of {} bits; allowed: formats of 16 and 8 bits",
                                                   format.name, format.element_bits)));
  }
}

TEST(RowOperations, EveryKindButGemmAndAttentionHasALineWithASource) {
  std::size_t lines = 0;
  for (const auto& [name, kind] : EnumNames<OperationKind>::kValues) {
    if (kind == OperationKind::gemm || kind == OperationKind::attention) continue;
    ++lines;
    const RowOperation& operation = row_operation(kind);
    EXPECT_EQ(operation.kind, kind);
    EXPECT_FALSE(operation.passes.empty()) << name;
    EXPECT_FALSE(operation.source.empty()) << name;
  }
  EXPECT_EQ(row_operations().size(), lines);
}

// Bytes of one row in and out, in 16 bit; weights of choices in 16 bit and indices in 32.
TEST(RowOperations, MoveWhatTheirDefinitionsNeed) {
  const RowSizes sizes{.rows = 5, .width = 100, .experts_per_token = 8, .head_dim = 20};
  const auto moved = [&](OperationKind kind) {
    const RowPlan plan = plan_rows(kind, sizes);
    EXPECT_EQ(plan.rows, 5);
    EXPECT_EQ(plan.data, Bytes(200));
    EXPECT_GT(plan.reduce + plan.apply, 0);
    return std::pair(plan.input.count(), plan.output.count());
  };
  const std::int64_t row = 200, choices = 8 * (2 + 4), cos_and_sin = 2 * 20 * 2;
  EXPECT_EQ(moved(OperationKind::rms_norm), std::pair(row, row));
  EXPECT_EQ(moved(OperationKind::rope), std::pair(row + cos_and_sin, row));
  EXPECT_EQ(moved(OperationKind::silu_multiply), std::pair(2 * row, row));
  EXPECT_EQ(moved(OperationKind::residual), std::pair(2 * row, row));
  EXPECT_EQ(moved(OperationKind::softmax), std::pair(row, row));
  EXPECT_EQ(moved(OperationKind::moe_route), std::pair(row, choices));
  EXPECT_EQ(moved(OperationKind::moe_permute), std::pair(row + choices, 8 * row));
  EXPECT_EQ(moved(OperationKind::moe_combine), std::pair(8 * row + choices, row));
}

TEST(RowOperations, PassesGrowWithTheChoices) {
  const RowSizes one{.rows = 1, .width = 64, .experts_per_token = 1},
      eight{.rows = 1, .width = 64, .experts_per_token = 8};
  for (const OperationKind kind : {OperationKind::moe_route, OperationKind::moe_permute, OperationKind::moe_combine}) {
    const RowCount& apply = row_operation(kind).apply;
    EXPECT_EQ(plan_rows(kind, eight).apply - plan_rows(kind, one).apply, 7 * apply.per_choice) << name_of(kind);
    EXPECT_GT(apply.per_choice, 0) << name_of(kind);
  }
}

}  // namespace
}  // namespace oscsim
