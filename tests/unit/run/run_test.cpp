// SPDX-License-Identifier: Apache-2.0
// Whole runs: bits agree with the scalar reference for every scheme and kernel, and neither bits nor cycles depend on
// what must not matter.
#include "sim/run/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sim/config/files.h"

namespace oscsim {
namespace {

using testing::HasSubstr;

// Tails in every direction, at a position that falls back and at one that keeps 16 bit.
const std::vector<std::string> kTails{"70,130,1060", "33,65,97,down_in", "1,1,1,o_in", "5,7,33,router",
                                      "17,300,64,ffn_in"};

RunOptions small_run(const std::string& scheme) {
  RunOptions options;
  options.machine = "edge_npu";
  options.scheme = scheme;
  options.gemms = kTails;
  return options;
}

std::vector<std::string> hashes(const RunResult& result) {
  std::vector<std::string> all;
  for (const GemmResult& gemm : result.gemms)
    for (const SideResult* side : {&gemm.scheme, &gemm.baseline}) all.push_back(side->accuracy->output_sha256);
  return all;
}

std::vector<std::int64_t> cycles(const RunResult& result) {
  std::vector<std::int64_t> all;
  for (const GemmResult& gemm : result.gemms)
    for (const SideResult* side : {&gemm.scheme, &gemm.baseline}) all.push_back(side->cycles.count());
  for (const SharedResult& shared : result.shared)
    for (const auto* side : {&shared.scheme, &shared.baseline})
      if (*side) all.push_back((*side)->cycles.count());
  return all;
}

std::string message_of(const RunOptions& options) {
  try {
    run(options);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

class EveryScheme : public testing::TestWithParam<std::string> {};

TEST_P(EveryScheme, VerifiesAgainstTheScalarReferenceWithEveryKernel) {
  for (const numerics::Kernel kernel : numerics::available_kernels()) {
    RunOptions options = small_run(GetParam());
    options.verify = true;
    options.kernel = kernel;
    const RunResult result = run(options);
    EXPECT_TRUE(result.verified()) << name_of(kernel);
    for (const GemmResult& gemm : result.gemms) {
      EXPECT_EQ(gemm.scheme.verification->compared, gemm.gemm.m * gemm.gemm.n);
      EXPECT_EQ(gemm.scheme.verification->first_difference, "");
    }
  }
}

TEST_P(EveryScheme, KernelsGiveTheSameBits) {
  RunOptions options = small_run(GetParam());
  options.kernel = numerics::Kernel::portable;
  const auto portable = hashes(run(options));
  for (const numerics::Kernel kernel : numerics::available_kernels()) {
    options.kernel = kernel;
    EXPECT_EQ(hashes(run(options)), portable) << name_of(kernel);
  }
}

TEST_P(EveryScheme, OneAndTwoThreadsGiveTheSameBitsAndCycles) {
  RunOptions options = small_run(GetParam());
  options.threads = 1;
  const RunResult one = run(options);
  options.threads = 2;
  const RunResult two = run(options);
  EXPECT_EQ(hashes(one), hashes(two));
  EXPECT_EQ(cycles(one), cycles(two));
}

TEST_P(EveryScheme, PinnedTilesChangeCyclesButNoBits) {
  RunOptions options = small_run(GetParam());
  const auto free = hashes(run(options));
  for (const auto& [m, n] : {std::pair{16, 16}, std::pair{32, 64}, std::pair{48, 16}}) {
    options.settings = {fmt::format("mapping.m={}", m), fmt::format("mapping.n={}", n)};
    EXPECT_EQ(hashes(run(options)), free) << m << " x " << n;
  }
}

TEST_P(EveryScheme, TimingOnlyGivesTheCyclesOfTheFullRun) {
  RunOptions options = small_run(GetParam());
  const auto full = cycles(run(options));
  options.timing_only = true;
  const auto timed = cycles(run(options));
  // The table of a timing-only run is the planted one; where a gather's conflicts differ, only shared work may.
  const std::size_t gemm_entries = 2 * kTails.size();
  for (std::size_t i = 0; i < gemm_entries; ++i) EXPECT_EQ(full[i], timed[i]);
}

TEST_P(EveryScheme, CycleStackSumsToTheTotal) {
  RunOptions options = small_run(GetParam());
  options.timing_only = true;
  const RunResult result = run(options);
  const auto check = [](const SideResult& side) {
    Cycles sum{0};
    for (const auto& [part, span] : side.cycle_stack) {
      EXPECT_GE(span.count(), 0) << part;
      sum += span;
    }
    EXPECT_EQ(sum, side.cycles);
  };
  for (const GemmResult& gemm : result.gemms) {
    check(gemm.scheme);
    check(gemm.baseline);
  }
  for (const SharedResult& shared : result.shared)
    for (const auto* side : {&shared.scheme, &shared.baseline})
      if (*side) check(**side);
}

INSTANTIATE_TEST_SUITE_P(Schemes, EveryScheme, testing::ValuesIn(config::available_names("configs/schemes")),
                         [](const auto& tested) { return tested.param; });

TEST(Run, BranchArithmeticSwitchesVerify) {
  for (const char* setting :
       {"scheme.outliers.join=chain", "scheme.outliers.branch=fp16", "scheme.outliers.group=16",
        "scheme.outliers.group=64", "scheme.outliers.zero_weight_rows=true", "scheme.scale_rule=even",
        "scheme.scale_rule=ceil", "scheme.scale_rule=rceil", "scheme.rounding=half_away",
        "scheme.rounding=nearest_even", "scheme.nvfp4_scale=te_main", "scheme.overflow=saturate"}) {
    RunOptions options = small_run("osc");
    options.settings = {setting};
    options.verify = true;
    EXPECT_TRUE(run(options).verified()) << setting;
  }
}

TEST(Run, BitsDoNotDependOnWhereActivationsAreGatheredAndCast) {
  const auto expected = hashes(run(small_run("osc")));
  const auto expected_cycles = cycles(run(small_run("osc")));
  for (const std::vector<std::string>& settings :
       std::vector<std::vector<std::string>>{{"machine.core.gather.mode=on_load"},
                                             {"machine.core.gather.mode=strided_dma"},
                                             {"machine.core.gather.ports=shared"},
                                             {"mapping.quantise=fused"},
                                             {"mapping.quantise=fused", "machine.core.gather.mode=on_load"},
                                             {"mapping.quantise=fused", "machine.core.gather.mode=strided_dma"},
                                             {"mapping.quantise=fused", "machine.core.gather.ports=shared"},
                                             {"mapping.quantise=fused", "machine.core.branch.placement=shared"}}) {
    RunOptions options = small_run("osc");
    options.settings = settings;
    options.verify = true;
    const RunResult result = run(options);
    EXPECT_TRUE(result.verified()) << settings.back();
    EXPECT_EQ(hashes(result), expected) << settings.back();
    EXPECT_NE(cycles(result), expected_cycles) << settings.back();
  }
}

TEST(Run, FusedSideHasNoSharedWork) {
  RunOptions options = small_run("osc");
  options.timing_only = true;
  options.settings = {"scheme.mapping.quantise=fused"};
  for (const SharedResult& shared : run(options).shared) {
    EXPECT_FALSE(shared.scheme);
    EXPECT_TRUE(shared.baseline);
  }
}

TEST(Run, MachinesAccumulatorChangesBitsAndVerifies) {
  RunOptions small = small_run("osc");
  small.gemms = {"17,40,96,attn_in"};
  const RunResult plain = run(small);
  const auto rne = hashes(plain);
  const auto rne_cycles = cycles(plain);
  for (const char* accumulator : {"hopper_fp8", "exact", "fused(13,8,rz)"}) {
    RunOptions options = small;
    options.settings = {fmt::format("machine.core.accumulator={}", accumulator)};
    options.verify = true;
    const RunResult result = run(options);
    EXPECT_TRUE(result.verified()) << accumulator;
    EXPECT_NE(hashes(result), rne) << accumulator;
    EXPECT_EQ(cycles(result), rne_cycles) << accumulator;
  }
}

TEST(Run, UnknownAccumulatorNamesTheNearest) {
  RunOptions options = small_run("osc");
  options.settings = {"machine.core.accumulator=hoper_fp8"};
  EXPECT_THAT(message_of(options),
              testing::AllOf(HasSubstr("core.accumulator: "), HasSubstr("did you mean 'hopper_fp8'?")));
}

TEST(Run, OwnBranchWithoutAPortIntoL0cJoinsInTheEpilogueOnly) {
  RunOptions options = small_run("osc");
  options.timing_only = true;
  options.settings = {"machine.core.branch.l0c_port=false"};
  EXPECT_THAT(message_of(options),
              HasSubstr("core.branch.l0c_port is false, but scheme 'osc' joins its branch in L0C"));
  options.settings.push_back("scheme.outliers.join_place=epilogue");
  EXPECT_EQ(message_of(options), "no error");
  options.settings = {"machine.core.branch.l0c_port=false", "machine.core.branch.placement=shared"};
  EXPECT_EQ(message_of(options), "no error");
}

TEST(Run, SharedWorkCanLeaveTheGatherOut) {
  RunOptions options = small_run("osc");
  options.timing_only = true;
  options.gemms = {"700,130,1060"};
  const auto scheme_cycles = [&](std::vector<std::string> settings) {
    options.settings = std::move(settings);
    const RunResult result = run(options);
    return std::pair(result.shared.front().scheme->cycles, result.gemms.front().scheme.cycles);
  };
  const auto with = scheme_cycles({}), without = scheme_cycles({"machine.model_gather=false"});
  EXPECT_LT(without.first, with.first);
  EXPECT_EQ(without.second, with.second);
}

TEST(Run, OutliersCostW4A4MoreThanOsc) {
  RunOptions options;
  options.machine = "edge_npu";
  options.gemms = {"128,256,1024,attn_in"};
  options.scheme = "osc";
  options.baseline = "w4a4";
  const GemmResult gemm = run(options).gemms.front();
  EXPECT_GT(gemm.scheme.accuracy->sqnr_db, gemm.baseline.accuracy->sqnr_db + 3);
}

TEST(Run, SixteenBitAgainstItselfHasSpeedUpOneAndNoError) {
  RunOptions options = small_run("bf16");
  options.baseline = "bf16";
  const RunResult result = run(options);
  EXPECT_EQ(result.speedup(), 1.0);
  for (const GemmResult& gemm : result.gemms) EXPECT_EQ(gemm.scheme.accuracy->max_abs_error, 0.0);
  EXPECT_TRUE(result.shared.empty());
}

TEST(Run, SharedWorkIsInTheTotalsOnce) {
  RunOptions options;
  options.timing_only = true;
  options.layers = "0";
  const RunResult result = run(options);
  ASSERT_EQ(result.gemms.size(), 7u);
  ASSERT_EQ(result.shared.size(), 4u);  // attn_in for q, k and v; o_in; ffn_in for gate and up; down_in
  Cycles sum{0};
  for (const GemmResult& gemm : result.gemms) sum += gemm.scheme.cycles;
  for (const SharedResult& shared : result.shared) sum += shared.scheme->cycles;
  EXPECT_EQ(result.scheme_total.cycles, sum);
}

TEST(Run, TileThatDoesNotFitNamesTheBuffer) {
  RunOptions options = small_run("osc");
  options.gemms = {"4096,4096,4096"};
  options.timing_only = true;
  options.settings = {"mapping.m=4096", "mapping.n=4096"};
  EXPECT_THAT(message_of(options),
              HasSubstr("no tile of a 4096 x 4096 x 4096 GEMM fits the machine with mapping.m 4096, "
                        "mapping.n 4096: tile of m 4096 n 4096 k"));
  EXPECT_THAT(message_of(options), HasSubstr("core.buffers.l0a of 16384 bytes is too small"));
}

TEST(Run, SettingsReachEveryDocument) {
  RunOptions options = small_run("osc");
  options.timing_only = true;
  options.settings = {"machine.cores=1",      "scheme.outliers.group=64",    "baseline.activation=int8",
                      "baseline.weight=int8", "trace.synthetic.magnitude=7", "mapping.order=n_outer"};
  const RunResult result = run(options);
  EXPECT_EQ(result.provenance["machine"]["cores"], 1);
  EXPECT_EQ(result.provenance["scheme"]["outliers"]["group"], 64);
  EXPECT_EQ(result.provenance["baseline"]["activation"], "int8");
  EXPECT_EQ(result.provenance["synthetic"]["magnitude"], 7.0);
  EXPECT_EQ(result.gemms.front().scheme.tile->order, LoopOrder::n_outer);
}

TEST(Run, UnknownSettingsAreRefusedTogether) {
  RunOptions options = small_run("osc");
  options.settings = {"machine.core.gather.lnaes=32", "trace.gemms=[]", "machine.cores=0"};
  const std::string message = message_of(options);
  EXPECT_THAT(message, HasSubstr("--set machine.core.gather.lnaes=32: unknown key 'lnaes' in core.gather"));
  EXPECT_THAT(message, HasSubstr("did you mean 'lanes'?"));
  EXPECT_THAT(message, HasSubstr("--set machine.cores=0: cores"));
}

TEST(Run, TimingOnlyHasNoOutputsToVerifyOrWrite) {
  RunOptions options = small_run("osc");
  options.timing_only = true;
  options.verify = true;
  EXPECT_EQ(message_of(options), "--verify compares outputs: not with --timing-only");
  options.verify = false;
  options.outputs = "out.safetensors";
  EXPECT_EQ(message_of(options), "--outputs needs outputs: not with --timing-only");
}

// ------ operations between the GEMMs

// Two small layers with all kinds of operations, in a file of their own.
class Layers : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(path_) << R"(schema: 1
gemms:
  - {op: rms_norm, name: "{layer}.norm", layers: 0-1, rows: 12, width: 64}
  - {name: "{layer}.q_proj", layers: 0-1, position: attn_in, m: 12, n: 64, k: 64}
  - {op: rope, name: "{layer}.rope", layers: 0-1, rows: 12, width: 64, head_dim: 16}
  - {op: attention, name: "{layer}.attention", layers: 0-1, sequences: 1, heads: 4, kv_heads: 2, head_dim: 16,
     queries: 12, keys: 20}
  - {name: "{layer}.o_proj", layers: 0-1, position: o_in, m: 12, n: 64, k: 64}
  - {op: residual, name: "{layer}.residual", layers: 0-1, rows: 12, width: 64}
  - {op: silu_multiply, name: "{layer}.silu", layers: 0-1, rows: 12, width: 64}
)";
    options_.machine = "edge_npu";
    options_.trace = path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  const std::string path_ = fmt::format("{}oscsim_layers_{}.yaml", testing::TempDir(), getpid());
  RunOptions options_;
};

TEST_F(Layers, OperationsAreTimedInOrderAndInTheTotals) {
  options_.verify = true;
  const RunResult result = run(options_);
  EXPECT_TRUE(result.verified()) << "of the GEMMs";
  std::vector<std::string> names;
  for (const OperationResult& operation : result.operations) names.push_back(operation.operation.name);
  EXPECT_THAT(names, testing::ElementsAre("0.norm", "0.rope", "0.attention", "0.residual", "0.silu",  //
                                          "1.norm", "1.rope", "1.attention", "1.residual", "1.silu"));
  Cycles operations{0};
  for (const OperationResult& operation : result.operations) {
    EXPECT_EQ(operation.scheme->cycles, operation.baseline->cycles) << operation.operation.name;
    operations += operation.scheme->cycles;
  }
  EXPECT_EQ(result.scheme_operations.cycles, operations);
  options_.gemms_only = true;
  const RunResult gemms = run(options_);
  EXPECT_TRUE(gemms.operations.empty());
  EXPECT_EQ(gemms.left_out, 10);
  EXPECT_EQ(gemms.scheme_total.cycles + operations, result.scheme_total.cycles);
  EXPECT_EQ(hashes(gemms), hashes(result));
  EXPECT_DOUBLE_EQ(gemms.whole_speedup(), result.speedup());
  EXPECT_DOUBLE_EQ(gemms.scheme_gemm_share(), result.scheme_gemm_share());
}

TEST_F(Layers, AttentionFormatOfASchemeChangesAttentionOnly) {
  options_.timing_only = true;
  options_.settings = {"scheme.attention=fp8"};
  const RunResult result = run(options_);
  std::size_t casts = 0;
  for (const OperationResult& operation : result.operations) {
    if (operation.kind == "cast") {
      ++casts;
      EXPECT_TRUE(operation.scheme && !operation.baseline);
      EXPECT_EQ(std::get<RowSizes>(operation.operation.sizes), (RowSizes{.rows = 12, .width = (4 + 2 * 2) * 16}));
    } else if (operation.kind == "attention") {
      EXPECT_EQ(operation.scheme->formats, "fp8");
      EXPECT_EQ(operation.baseline->formats, "bf16");
      EXPECT_LT(operation.scheme->traffic.hbm_read, operation.baseline->traffic.hbm_read);
    } else {
      EXPECT_EQ(operation.scheme->cycles, operation.baseline->cycles) << operation.operation.name;
    }
  }
  EXPECT_EQ(casts, 2U);
}

TEST_F(Layers, WithoutMemoryTheCyclesAreTheSame) {
  options_.timing_only = true;
  const RunResult once = run(options_);
  options_.no_memo = true;
  const RunResult anew = run(options_);
  EXPECT_EQ(cycles(anew), cycles(once));
  EXPECT_EQ(anew.scheme_total.cycles, once.scheme_total.cycles);
  EXPECT_EQ(anew.baseline_total.cycles, once.baseline_total.cycles);
}

TEST_F(Layers, OperationsAloneAreARunButNotWithGemmsOnly) {
  options_.only = "rope|attention";
  options_.timing_only = true;
  EXPECT_EQ(run(options_).operations.size(), 4U);
  options_.gemms_only = true;
  EXPECT_EQ(message_of(options_), "--gemms-only leaves nothing: no GEMM is selected");
}

}  // namespace
}  // namespace oscsim
