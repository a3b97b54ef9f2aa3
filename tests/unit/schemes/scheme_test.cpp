// SPDX-License-Identifier: Apache-2.0
// Cross-checks of a scheme: every problem is found, with its exact text.
#include "models/schemes/scheme.h"

#include <gmock/gmock.h>

namespace oscsim {
namespace {

using numerics::FormatId;
using testing::ElementsAre;
using testing::IsEmpty;

SchemeParams scheme_of(FormatId format) {
  SchemeParams scheme;
  scheme.activation = scheme.weight = format;
  return scheme;
}

std::vector<std::string> problems_of(const SchemeParams& scheme) {
  std::vector<std::string> problems;
  scheme.check(problems);
  return problems;
}

TEST(SchemeCheck, EveryFormatOnBothSidesIsAccepted) {
  for (const numerics::FormatInfo& format : numerics::formats())
    EXPECT_THAT(problems_of(scheme_of(format.id)), IsEmpty());
}

TEST(SchemeCheck, ActivationAndWeightShareOneFormat) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.weight = FormatId::int8;
  EXPECT_THAT(problems_of(scheme), ElementsAre("activation is mxfp4 and weight is int8: the matrix units multiply two "
                                               "operands of one format"));
}

TEST(SchemeCheck, FallbackSharesOneFormatToo) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.fallback =
      FallbackParams{.positions = {Position::down_in}, .activation = FormatId::mxfp8, .weight = FormatId::fp8};
  EXPECT_THAT(problems_of(scheme), ElementsAre("fallback: activation is mxfp8 and weight is fp8: the matrix units "
                                               "multiply two operands of one format"));
}

TEST(SchemeCheck, KeptFormatIs16Bit) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.kept_format = FormatId::mxfp8;
  EXPECT_THAT(problems_of(scheme), ElementsAre("kept_format is mxfp8; allowed: bf16, fp16"));
}

TEST(SchemeCheck, BranchIs16Bit) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.outliers.emplace().branch = FormatId::int8;
  EXPECT_THAT(problems_of(scheme), ElementsAre("outliers.branch is int8; allowed: bf16, fp16"));
}

TEST(SchemeCheck, SixteenBitMainPathHasNoBranch) {
  SchemeParams scheme = scheme_of(FormatId::bf16);
  scheme.outliers.emplace();
  EXPECT_THAT(problems_of(scheme), ElementsAre("outliers: a 16-bit main path has no need of an outlier branch"));
}

TEST(SchemeCheck, ChainNeedsBlockScalesAndTheAccumulatorBuffer) {
  SchemeParams scheme = scheme_of(FormatId::fp8);
  scheme.outliers.emplace().join = numerics::Join::chain;
  EXPECT_THAT(problems_of(scheme), ElementsAre("outliers.join is chain, but fp8 applies FP32 scales after the main "
                                               "accumulation; use add"));
  scheme = scheme_of(FormatId::mxfp4);
  scheme.outliers.emplace().join = numerics::Join::chain;
  EXPECT_THAT(problems_of(scheme), IsEmpty());
  scheme.outliers->join_place = JoinPlace::epilogue;
  EXPECT_THAT(problems_of(scheme), ElementsAre("outliers.join is chain: the branch accumulates in L0C, so join_place "
                                               "cannot be epilogue"));
}

TEST(SchemeCheck, PositionIsTreatedInOneWay) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.fallback = FallbackParams{.positions = {Position::down_in, Position::lm_head}};
  EXPECT_THAT(problems_of(scheme), ElementsAre("position lm_head is both in fallback.positions and in keep_16bit"));
}

TEST(SchemeCheck, ProblemsAreCollected) {
  SchemeParams scheme = scheme_of(FormatId::mxfp4);
  scheme.weight = FormatId::bf16;
  scheme.kept_format = FormatId::int8;
  scheme.outliers.emplace().branch = FormatId::mxfp8;
  EXPECT_EQ(problems_of(scheme).size(), 3U);
}

}  // namespace
}  // namespace oscsim
