// SPDX-License-Identifier: Apache-2.0
// What a GEMM becomes: every scheme file at every position.
#include "models/schemes/plan.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "sim/config/reader.h"

namespace oscsim {
namespace {

using numerics::FormatId;

constexpr std::int64_t kM = 48, kN = 80, kK = 4100;  // k is not a multiple of a group

std::map<std::string, SchemeParams> scheme_files() {
  std::map<std::string, SchemeParams> schemes;
  for (const auto& entry : std::filesystem::directory_iterator("configs/schemes"))
    schemes.emplace(entry.path().stem().string(), config::read_file_as<SchemeParams>(entry.path()));
  return schemes;
}

const SchemeParams& scheme(const std::string& name) {
  static const auto kSchemes = scheme_files();
  return kSchemes.at(name);
}

bool contains(const std::vector<Position>& positions, Position position) {
  return std::ranges::find(positions, position) != positions.end();
}

FormatId main_format(const std::string& name, Position position) {
  return plan_gemm(scheme(name), position, kM, kN, kK).passes.front().format;
}

TEST(PlanGemm, EveryFileAtEveryPositionFollowsItsFields) {
  const auto schemes = scheme_files();
  EXPECT_GE(schemes.size(), 6U);
  for (const auto& [name, params] : schemes)
    for (const auto& [position_name, position] : EnumNames<Position>::kValues) {
      SCOPED_TRACE(name + " at " + std::string(position_name));
      const GemmPlan plan = plan_gemm(params, position, kM, kN, kK);
      const bool kept = contains(params.keep_16bit, position);
      const bool falls_back = params.fallback && contains(params.fallback->positions, position);
      const bool branches = params.outliers && !kept && !falls_back;
      EXPECT_EQ(plan.m, kM);
      EXPECT_EQ(plan.n, kN);
      ASSERT_EQ(plan.passes.size(), branches ? 2U : 1U);
      const FormatId expected = kept         ? params.kept_format
                                : falls_back ? params.fallback->activation
                                             : params.activation;
      EXPECT_EQ(plan.passes[0], (MatmulPass{expected, kK, false}));
      EXPECT_EQ(plan.activation.format, expected);
      EXPECT_EQ(plan.activation.gather_group, branches ? params.outliers->group : 0);
      EXPECT_EQ(plan.cast.scale_rule, params.scale_rule);
      EXPECT_EQ(plan.cast.rounding, params.rounding);
      if (!branches) continue;
      EXPECT_EQ(plan.passes[1], (MatmulPass{params.outliers->branch, tiles_of(kK, params.outliers->group), true}));
      EXPECT_EQ(plan.activation.branch_format, params.outliers->branch);
    }
}

TEST(PlanGemm, ReadySchemesHaveTheirFormats) {
  EXPECT_EQ(main_format("bf16", Position::attn_in), FormatId::bf16);
  EXPECT_EQ(main_format("w8a8", Position::attn_in), FormatId::fp8);
  EXPECT_EQ(main_format("w8a8_int8", Position::attn_in), FormatId::int8);
  EXPECT_EQ(main_format("w8a8_mxfp8", Position::attn_in), FormatId::mxfp8);
  EXPECT_EQ(main_format("w4a4", Position::attn_in), FormatId::mxfp4);
  EXPECT_EQ(main_format("osc", Position::attn_in), FormatId::mxfp4);
}

TEST(PlanGemm, RouterAndOutputEmbeddingStayIn16Bit) {
  for (const auto& [name, params] : scheme_files())
    for (const Position position : {Position::router, Position::lm_head}) {
      const GemmPlan plan = plan_gemm(params, position, kM, kN, kK);
      EXPECT_EQ(plan.passes.size(), 1U) << name;
      EXPECT_EQ(plan.passes[0].bits(), 16) << name;
      EXPECT_FALSE(plan.activation.any()) << name;
    }
}

TEST(PlanGemm, OscGathersOneChannelOfEachGroup) {
  for (const Position position : {Position::attn_in, Position::o_in, Position::ffn_in, Position::other}) {
    const GemmPlan plan = plan_gemm(scheme("osc"), position, 16, 4096, 4096);
    ASSERT_EQ(plan.passes.size(), 2U);
    EXPECT_EQ(plan.passes[1], (MatmulPass{FormatId::bf16, 4096 / 32, true}));
    EXPECT_EQ(plan.alpha, 5);
    EXPECT_EQ(plan.join, numerics::Join::add);
    EXPECT_TRUE(plan.activation.any());
  }
}

TEST(PlanGemm, OscFallsBackToMxfp8ForDownProj) {
  const GemmPlan plan = plan_gemm(scheme("osc"), Position::down_in, 16, 4096, 12288);
  ASSERT_EQ(plan.passes.size(), 1U);
  EXPECT_EQ(plan.passes[0], (MatmulPass{FormatId::mxfp8, 12288, false}));
  EXPECT_EQ(plan.activation.gather_group, 0);
  EXPECT_TRUE(plan.activation.quantises());
}

TEST(PlanGemm, DecisionReplacesThePositionsOfASchemeWithABranch) {
  const auto formats = [](const char* name, Position position, Treatment decided) {
    const GemmPlan plan = plan_gemm(scheme(name), position, kM, kN, kK, decided);
    return std::pair(plan.passes.front().format, plan.activation.gather_group > 0);
  };
  EXPECT_EQ(formats("osc", Position::down_in, Treatment::osc), std::pair(FormatId::mxfp4, true));
  EXPECT_EQ(formats("osc", Position::attn_in, Treatment::fallback), std::pair(FormatId::mxfp8, false));
  EXPECT_EQ(formats("osc", Position::lm_head, Treatment::osc), std::pair(FormatId::bf16, false));  // kept
  EXPECT_EQ(formats("w4a4", Position::down_in, Treatment::fallback), std::pair(FormatId::mxfp4, false));
  SchemeParams params = scheme("osc");
  params.fallback.reset();
  EXPECT_THROW(plan_gemm(params, Position::attn_in, kM, kN, kK, Treatment::fallback), DefectError);
}

TEST(PlanGemm, TailGroupHasAColumnOfItsOwn) {
  SchemeParams params = scheme("osc");
  for (const std::int64_t group : {16, 32, 64}) {
    params.outliers->group = group;
    EXPECT_EQ(plan_gemm(params, Position::attn_in, 1, 1, group * 3).passes[1].k, 3);
    EXPECT_EQ(plan_gemm(params, Position::attn_in, 1, 1, group * 3 + 1).passes[1].k, 4);
    EXPECT_EQ(plan_gemm(params, Position::attn_in, 1, 1, 1).passes[1].k, 1);
  }
}

TEST(PlanGemm, SwitchesOfTheBranchReachThePlan) {
  SchemeParams params = scheme("osc");
  *params.outliers = {.group = 64,
                      .alpha = 3,
                      .branch = FormatId::fp16,
                      .join = numerics::Join::chain,
                      .join_place = JoinPlace::l0c,
                      .zero_weight_rows = true};
  params.scale_rule = numerics::ScaleRule::even;
  params.rounding = numerics::ElementRounding::half_away;
  params.nvfp4_scale = numerics::Nvfp4Scale::te_2x;
  params.overflow = numerics::Overflow::saturate;
  const GemmPlan plan = plan_gemm(params, Position::o_in, 1, 1, 64);
  EXPECT_EQ(plan.passes[1].format, FormatId::fp16);
  EXPECT_EQ(plan.join, numerics::Join::chain);
  EXPECT_EQ(plan.alpha, 3);
  EXPECT_TRUE(plan.zero_weight_rows);
  EXPECT_EQ(plan.cast.scale_rule, numerics::ScaleRule::even);
  EXPECT_EQ(plan.cast.rounding, numerics::ElementRounding::half_away);
  EXPECT_EQ(plan.cast.nvfp4_scale, numerics::Nvfp4Scale::te_2x);
  EXPECT_EQ(plan.cast.overflow, numerics::Overflow::saturate);
}

TEST(PlanGemm, SixteenBitActivationsNeedNoWork) {
  EXPECT_FALSE(plan_gemm(scheme("bf16"), Position::attn_in, kM, kN, kK).activation.any());
  EXPECT_TRUE(plan_gemm(scheme("w8a8"), Position::attn_in, kM, kN, kK).activation.quantises());
}

TEST(PlanGemm, EmptyShapesAreDefects) {
  EXPECT_THROW(plan_gemm(scheme("osc"), Position::attn_in, 0, 1, 1), DefectError);
  EXPECT_THROW(plan_gemm(scheme("osc"), Position::attn_in, 1, -1, 1), DefectError);
  EXPECT_THROW(plan_gemm(scheme("osc"), Position::attn_in, 1, 1, 0), DefectError);
}

}  // namespace
}  // namespace oscsim
