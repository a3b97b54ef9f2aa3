// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/trace_select.h"

#include <gtest/gtest.h>

#include "sim/workload/generate.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

std::string gemm_error(const std::string& text) {
  return error_of([&] { parse_gemm(text); });
}

TEST(ParseGemm, ReadsSizesAndPosition) {
  const Gemm gemm = parse_gemm("16, 512,2048,down_in");
  EXPECT_EQ(gemm.name, "gemm_16x512x2048");
  EXPECT_EQ(gemm.weight, "gemm_16x512x2048.weight");
  EXPECT_EQ(gemm.m, 16);
  EXPECT_EQ(gemm.n, 512);
  EXPECT_EQ(gemm.k, 2048);
  EXPECT_EQ(gemm.input_rows, 16);
  EXPECT_EQ(gemm.position, Position::down_in);
  EXPECT_EQ(parse_gemm("1,1,1").position, Position::other);
}

TEST(ParseGemm, RefusesWhatIsNoGemm) {
  EXPECT_EQ(gemm_error("1,2"), "--gemm '1,2': 2 values; expected M,N,K or M,N,K,position");
  EXPECT_EQ(gemm_error("1,2,3,other,5"), "--gemm '1,2,3,other,5': 5 values; expected M,N,K or M,N,K,position");
  EXPECT_EQ(gemm_error("0,2,3"), "--gemm '0,2,3': m = 0; allowed: at least 1");
  EXPECT_EQ(gemm_error("1,-2,3"), "--gemm '1,-2,3': n = -2; allowed: at least 1");
  EXPECT_EQ(gemm_error("1,2,x").find("--gemm '1,2,x': K must be an integer: "), 0U) << gemm_error("1,2,x");
  EXPECT_EQ(gemm_error("1,2,").find("--gemm '1,2,': K must be an integer: "), 0U) << gemm_error("1,2,");
  EXPECT_EQ(gemm_error("99999999999999999999,2,3").find("--gemm '99999999999999999999,2,3': M must be an integer: "),
            0U);
  EXPECT_EQ(
      gemm_error("1,2,3,ffn"),
      "--gemm '1,2,3,ffn': unknown position 'ffn'; allowed: attn_in, o_in, ffn_in, down_in, router, lm_head, other");
  EXPECT_EQ(
      gemm_error("1,2,3,atn_in"),
      "--gemm '1,2,3,atn_in': unknown position 'atn_in'; allowed: attn_in, o_in, ffn_in, down_in, router, lm_head, "
      "other; did you mean 'attn_in'?");
}

TEST(ParseGemm, RefusesSizesWhoseProductOverflows) {
  EXPECT_EQ(
      gemm_error("4294967296,4294967296,1"),
      "--gemm '4294967296,4294967296,1': m x n = 4294967296 x 4294967296 overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(
      gemm_error("2147483648,1,2147483648"),
      "--gemm '2147483648,1,2147483648': m x k = 2147483648 x 2147483648 overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(
      gemm_error("1,2147483648,2147483648"),
      "--gemm '1,2147483648,2147483648': n x k = 2147483648 x 2147483648 overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(
      gemm_error("4194304,4194304,4194304"),
      "--gemm '4194304,4194304,4194304': m x n x k = 4194304 x 4194304 x 4194304 overflows: does not fit in 63 bits");
}

TEST(ParseGemms, EqualOnesGetNamesOfTheirOwn) {
  const std::vector<std::string> texts = {"1,2,3", "1,2,3,o_in", "4,5,6"};
  const Trace trace = parse_gemms(texts);
  ASSERT_EQ(trace.gemms.size(), 3U);
  EXPECT_EQ(trace.gemms[1].name, "gemm_1x2x3_2");
  EXPECT_EQ(trace.gemms[1].input, "gemm_1x2x3_2.input");
  EXPECT_EQ(trace.gemms[2].name, "gemm_4x5x6");
}

TEST(ParseLayerRange, ReadsNumbersAndRanges) {
  EXPECT_EQ(parse_layer_range("4").first, 4);
  EXPECT_EQ(parse_layer_range("4").last, 4);
  EXPECT_EQ(parse_layer_range("0-35").last, 35);
  EXPECT_EQ(error_of([] { parse_layer_range("3-1"); }), "range '3-1' runs backwards; write 1-3");
  for (const char* text : {"", "a", "-1", "1-", "1-2-3", "1.5"})
    EXPECT_EQ(error_of([&] { parse_layer_range(text); }),
              fmt::format("'{}' is no range; expected a number such as 4 or a range such as 0-3", text));
}

TEST(Select, KeepsLayersAndNames) {
  const Trace trace = expand(generate(shape_of("qwen3-8b"), {.lm_head = true}), "test");
  EXPECT_EQ(select(trace, std::nullopt, std::nullopt).gemms.size(), 36U * 7 + 1);
  EXPECT_EQ(select(trace, LayerRange{3, 4}, std::nullopt).gemms.size(), 14U);
  const Trace both = select(trace, LayerRange{3, 4}, "q_proj|gate");
  ASSERT_EQ(both.gemms.size(), 4U);
  EXPECT_EQ(both.gemms[1].name, "model.layers.3.mlp.gate_proj");
  EXPECT_EQ(both.model, "Qwen3-8B");
  EXPECT_EQ(select(trace, std::nullopt, "lm_head").gemms.size(), 1U);
}

TEST(Select, KeepsOperationsLikeGemms) {
  const Trace trace = expand(generate(shape_of("qwen3-8b"), {.attention = true}), "test");
  EXPECT_EQ(trace.operations.size(), 36U * 9);
  EXPECT_EQ(select(trace, LayerRange{3, 4}, std::nullopt).operations.size(), 18U);
  const Trace only = select(trace, LayerRange{5, 5}, "attention$");
  EXPECT_TRUE(only.gemms.empty());
  ASSERT_EQ(only.operations.size(), 1U);
  EXPECT_EQ(only.operations[0].name, "model.layers.5.self_attn.attention");
  EXPECT_EQ(error_of([&] { select(trace, {}, "x$"); }),
            "--only 'x$' selects nothing; the trace has 252 GEMMs and 324 other operations in layers 0-35: "
            "model.layers.0.self_attn.q_proj, model.layers.0.self_attn.k_proj, model.layers.0.self_attn.v_proj, ...");
}

TEST(Select, EmptySelectionSaysWhatThereIs) {
  const Trace trace = expand(generate(shape_of("qwen3-8b"), {}), "test");
  EXPECT_EQ(error_of([&] {
              select(trace, LayerRange{40, 41}, "q_proj");
            }),
            "--layers 40-41 with --only 'q_proj' selects nothing; the trace has 252 GEMMs in layers 0-35: "
            "model.layers.0.self_attn.q_proj, model.layers.0.self_attn.k_proj, model.layers.0.self_attn.v_proj, ...");
  EXPECT_EQ(error_of([&] { select(parse_gemms(std::vector<std::string>{"1,2,3"}), {}, "x$"); }),
            "--only 'x$' selects nothing; the trace has 1 GEMM outside layers: gemm_1x2x3");
  EXPECT_EQ(error_of([&] { select(trace, {}, "q_proj("); }),
            "--only 'q_proj(': not a regular expression: missing ) at character 7");
}

}  // namespace
}  // namespace oscsim
