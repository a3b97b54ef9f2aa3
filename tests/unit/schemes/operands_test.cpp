// SPDX-License-Identifier: Apache-2.0
// Operands of the passes: what is gathered, what is zeroed, and in which order with the cast.
#include "models/schemes/operands.h"

#include <gmock/gmock.h>

#include <cmath>

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::FormatId;
using numerics::Matrix;
using numerics::QuantisedMatrix;

constexpr std::int64_t kGroup = 32;

SchemeParams osc(FormatId branch = FormatId::bf16) {
  SchemeParams scheme;
  scheme.activation = scheme.weight = FormatId::mxfp4;
  scheme.outliers.emplace().branch = branch;
  return scheme;
}

GemmPlan plan_of(const SchemeParams& scheme, std::int64_t k) {
  return plan_gemm(scheme, Position::attn_in, 2, 2, k);
}

// Small values exact in BF16, FP16 and FP32, different in neighbouring places: never zero, at most 2 in magnitude.
float small_value(std::int64_t row, std::int64_t col) {
  const auto step = static_cast<float>(1 + (row * 7 + col * 5) % 16);
  return (col % 2 == 0 ? 0.125F : -0.125F) * step;
}

Matrix small_matrix(std::int64_t rows, std::int64_t cols) {
  Matrix matrix(Dtype::fp32, rows, cols);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < cols; ++col)
      matrix.row_f32(row)[static_cast<std::size_t>(col)] = small_value(row, col);
  return matrix;
}

TEST(PrepareActivation, GathersTheTablesColumnsAtFullValue) {
  Matrix x = small_matrix(3, 96);
  x.row_f32(1)[32 + 9] = 1000;  // far above what a 4-bit block of the others could hold
  const ChannelTable table{kGroup, {3, 9, 31}};
  const PreparedOperand operand = prepare_activation(plan_of(osc(), 96), x.view(), &table);
  ASSERT_TRUE(operand.branch);
  EXPECT_EQ(operand.branch->format, FormatId::bf16);
  EXPECT_EQ(operand.branch->rows, 3);
  EXPECT_EQ(operand.branch->k, 3);
  for (std::int64_t row = 0; row < 3; ++row) {
    EXPECT_EQ(operand.branch->value(row, 0), x.view().at(row, 3));
    EXPECT_EQ(operand.branch->value(row, 1), x.view().at(row, 32 + 9));
    EXPECT_EQ(operand.branch->value(row, 2), x.view().at(row, 64 + 31));
  }
  EXPECT_EQ(operand.branch->value(1, 1), 1000.0F);
}

TEST(PrepareActivation, ZeroesTheGatheredChannelsAndNothingElse) {
  const Matrix x = small_matrix(2, 96);
  const ChannelTable table{kGroup, {3, -1, 31}};
  const PreparedOperand operand = prepare_activation(plan_of(osc(), 96), x.view(), &table);
  for (std::int64_t row = 0; row < 2; ++row) {
    EXPECT_EQ(operand.main.value(row, 3), 0);
    EXPECT_EQ(operand.main.value(row, 64 + 31), 0);
  }
  Matrix zeroed = small_matrix(2, 96);
  for (std::int64_t row = 0; row < 2; ++row) zeroed.row_f32(row)[3] = zeroed.row_f32(row)[64 + 31] = 0;
  const QuantisedMatrix expected = numerics::reference::quantise(FormatId::mxfp4, zeroed.view(), {});
  EXPECT_EQ(operand.main.codes, expected.codes);
  EXPECT_EQ(operand.main.block_scale, expected.block_scale);
}

TEST(PrepareActivation, ZeroingComesBeforeTheBlockMaximum) {
  Matrix x = small_matrix(1, kGroup);
  const ChannelTable none{kGroup, {-1}};
  const PreparedOperand calm = prepare_activation(plan_of(osc(), kGroup), x.view(), &none);
  x.row_f32(0)[9] = 3e4F;
  const ChannelTable table{kGroup, {9}};
  const PreparedOperand separated = prepare_activation(plan_of(osc(), kGroup), x.view(), &table);
  const PreparedOperand swamped = prepare_activation(plan_of(osc(), kGroup), x.view(), &none);
  EXPECT_EQ(separated.main.block_scale, calm.main.block_scale);
  EXPECT_GT(swamped.main.block_scale[0], calm.main.block_scale[0]);
  // Beside the outlier every other value of the block would vanish.
  EXPECT_EQ(swamped.main.value(0, 10), 0);
  EXPECT_NE(separated.main.value(0, 10), 0);
}

TEST(PrepareActivation, GroupWithoutOutlierGivesAZeroColumn) {
  const Matrix x = small_matrix(4, 64);
  const ChannelTable table{kGroup, {-1, 0}};
  const PreparedOperand operand = prepare_activation(plan_of(osc(), 64), x.view(), &table);
  const QuantisedMatrix untouched = numerics::reference::quantise(FormatId::mxfp4, x.view(), {});
  for (std::int64_t row = 0; row < 4; ++row) {
    EXPECT_EQ(operand.branch->code(row, 0), 0U);
    EXPECT_FALSE(std::signbit(operand.branch->value(row, 0)));
    EXPECT_EQ(operand.branch->value(row, 1), x.view().at(row, 32));
    for (std::int64_t col = 0; col < kGroup; ++col) EXPECT_EQ(operand.main.code(row, col), untouched.code(row, col));
  }
}

TEST(PrepareActivation, TailGroupIsGatheredToo) {
  const Matrix x = small_matrix(2, 40);
  const ChannelTable table{kGroup, {0, 7}};
  const PreparedOperand operand = prepare_activation(plan_of(osc(), 40), x.view(), &table);
  EXPECT_EQ(operand.branch->k, 2);
  EXPECT_EQ(operand.branch->value(1, 1), x.view().at(1, 39));
  EXPECT_EQ(operand.main.value(1, 39), 0);
}

TEST(PrepareActivation, SourceDtypeDoesNotMatter) {
  const Matrix x = small_matrix(2, 64);
  const ChannelTable table{kGroup, {5, 6}};
  const PreparedOperand expected = prepare_activation(plan_of(osc(FormatId::fp16), 64), x.view(), &table);
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp16}) {
    const FormatId same = dtype == Dtype::bf16 ? FormatId::bf16 : FormatId::fp16;
    const QuantisedMatrix narrow = numerics::reference::quantise(same, x.view(), {});
    Matrix copy(dtype, 2, 64);
    for (std::int64_t row = 0; row < 2; ++row)
      for (std::int64_t col = 0; col < 64; ++col)
        copy.row_u16(row)[static_cast<std::size_t>(col)] = static_cast<std::uint16_t>(narrow.code(row, col));
    const PreparedOperand operand = prepare_activation(plan_of(osc(FormatId::fp16), 64), copy.view(), &table);
    EXPECT_EQ(operand.main.codes, expected.main.codes) << name_of(dtype);
    EXPECT_EQ(operand.branch->codes, expected.branch->codes) << name_of(dtype);
  }
}

TEST(PrepareActivation, WithoutABranchOnlyCasts) {
  SchemeParams scheme = osc();
  scheme.outliers.reset();
  const Matrix x = small_matrix(2, 64);
  const PreparedOperand operand = prepare_activation(plan_of(scheme, 64), x.view(), nullptr);
  EXPECT_FALSE(operand.branch);
  EXPECT_EQ(operand.main.codes, numerics::reference::quantise(FormatId::mxfp4, x.view(), {}).codes);
}

TEST(PrepareActivation, UsesTheSchemesCastOptions) {
  SchemeParams scheme = osc();
  scheme.outliers.reset();
  scheme.scale_rule = numerics::ScaleRule::ceil;
  Matrix x = small_matrix(1, 32);
  x.row_f32(0)[0] = 7;
  const PreparedOperand operand = prepare_activation(plan_of(scheme, 32), x.view(), nullptr);
  EXPECT_EQ(operand.main.value(0, 0), 8);  // floor would saturate at 6
}

TEST(PrepareActivation, UsesTheGivenCastForBothOperands) {
  const Matrix x = small_matrix(2, 64);
  const ChannelTable table{kGroup, {1, 2}};
  std::vector<FormatId> cast;
  const auto recording = [&](FormatId format, numerics::MatrixView matrix, const numerics::CastOptions& options) {
    cast.push_back(format);
    return numerics::reference::quantise(format, matrix, options);
  };
  const PreparedOperand operand = prepare_activation(plan_of(osc(), 64), x.view(), &table, recording);
  EXPECT_THAT(cast, testing::UnorderedElementsAre(FormatId::mxfp4, FormatId::bf16));
  EXPECT_EQ(operand.main.codes, prepare_activation(plan_of(osc(), 64), x.view(), &table).main.codes);
}

TEST(PrepareWeight, BranchHoldsTheOriginalValuesAndTheMainPathIsComplete) {
  const Matrix w = small_matrix(5, 64);
  const ChannelTable table{kGroup, {4, -1}};
  const PreparedOperand operand = prepare_weight(plan_of(osc(), 64), w.view(), &table);
  EXPECT_EQ(operand.main.codes, numerics::reference::quantise(FormatId::mxfp4, w.view(), {}).codes);
  for (std::int64_t row = 0; row < 5; ++row) {
    EXPECT_EQ(operand.branch->value(row, 0), w.view().at(row, 4));
    EXPECT_EQ(operand.branch->value(row, 1), 0);
    EXPECT_NE(operand.main.value(row, 6), 0);
  }
}

TEST(PrepareWeight, ZeroWeightRowsTakesThemOutOfTheBlockMaximum) {
  SchemeParams scheme = osc();
  Matrix w = small_matrix(1, kGroup);
  w.row_f32(0)[4] = 64;
  const ChannelTable table{kGroup, {4}};
  const PreparedOperand complete = prepare_weight(plan_of(scheme, kGroup), w.view(), &table);
  scheme.outliers->zero_weight_rows = true;
  const PreparedOperand zeroed = prepare_weight(plan_of(scheme, kGroup), w.view(), &table);
  EXPECT_EQ(complete.main.value(0, 4), 64);
  EXPECT_EQ(zeroed.main.value(0, 4), 0);
  EXPECT_LT(zeroed.main.block_scale[0], complete.main.block_scale[0]);
  EXPECT_EQ(zeroed.branch->value(0, 0), 64);
}

TEST(OperandsOf, PointsAtMainAndBranch) {
  const Matrix x = small_matrix(2, 64), w = small_matrix(2, 64);
  const ChannelTable table{kGroup, {1, 2}};
  const GemmPlan plan = plan_of(osc(), 64);
  const PreparedOperand activation = prepare_activation(plan, x.view(), &table);
  const PreparedOperand weight = prepare_weight(plan, w.view(), &table);
  const numerics::GemmOperands operands = operands_of(plan, activation, weight);
  EXPECT_EQ(operands.a, &activation.main);
  EXPECT_EQ(operands.b, &weight.main);
  EXPECT_EQ(operands.branch_a, &*activation.branch);
  EXPECT_EQ(operands.branch_b, &*weight.branch);
  EXPECT_EQ(operands.join, plan.join);
  EXPECT_NO_THROW(numerics::check_operands(operands));
}

TEST(ChannelTable, MissingOrForeignTableIsADefect) {
  const Matrix x = small_matrix(1, 64);
  const GemmPlan plan = plan_of(osc(), 64);
  const auto prepare = [&](const ChannelTable& table) { prepare_activation(plan, x.view(), &table); };
  EXPECT_THROW(prepare_activation(plan, x.view(), nullptr), DefectError);
  EXPECT_THROW(prepare({16, {1, 1, 1, 1}}), DefectError);
  EXPECT_THROW(prepare({kGroup, {1}}), DefectError);
  EXPECT_THROW(prepare({kGroup, {1, 32}}), DefectError);
  EXPECT_NO_THROW(prepare({kGroup, {1, 31}}));
}

TEST(ChannelTable, ChannelBehindTheTailIsADefect) {
  const Matrix x = small_matrix(1, 40);
  const ChannelTable table{kGroup, {0, 8}};
  EXPECT_THROW(prepare_activation(plan_of(osc(), 40), x.view(), &table), DefectError);
}

}  // namespace
}  // namespace oscsim
