// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/workload/sha256.h"
#include "sim/workload/trace_document.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

std::string error_reading(const std::string& content) {
  const ScratchFile file(".yaml", content);
  return error_of([&] { read_trace(file.path()); }, file.path());
}

// The error of a trace with the given entries.
std::string entries_error(const std::string& entries) {
  return error_reading("schema: 1\ngemms:\n" + entries);
}

std::vector<std::string> names_in(const Trace& trace) {
  std::vector<std::string> names;
  for (const Gemm& gemm : trace.gemms) names.push_back(gemm.name);
  return names;
}

Trace trace_of(const std::string& content) {
  return read_trace(ScratchFile(".yaml", content).path());
}

TEST(TraceFile, DefaultsFollowTheName) {
  const std::string content =
      "schema: 1\nmodel: tiny\nphase: decode\ngemms:\n  - {name: a, position: o_in, m: 2, n: 3, k: 4}\n";
  const Trace trace = trace_of(content);
  EXPECT_EQ(trace.model, "tiny");
  EXPECT_EQ(trace.phase, "decode");
  EXPECT_EQ(trace.sha256, sha256(content));
  ASSERT_EQ(trace.gemms.size(), 1U);
  const Gemm& gemm = trace.gemms[0];
  EXPECT_EQ(gemm.weight, "a.weight");
  EXPECT_EQ(gemm.input, "a.input");
  EXPECT_EQ(gemm.input_rows, 2);
  EXPECT_EQ(gemm.layer, -1);
  EXPECT_EQ(gemm.position, Position::o_in);
}

TEST(TraceFile, NeighboursWithTheSameLayersAreExpandedLayerByLayer) {
  const Trace trace = trace_of(R"(
schema: 1
gemms:
  - {name: "{layer}.a", layers: 0-1, position: other, m: 1, n: 1, k: 1}
  - {name: "{layer}.{expert}.b", layers: 0-1, experts: 0-2, position: other, m: [1, 0, 2], n: 1, k: 1}
  - {name: "{layer}.{expert}.c", layers: 0-1, experts: 0-2, position: other, m: [1, 0, 2], n: 1, k: 1}
  - {name: "{layer}.a", layers: 5, position: other, m: 1, n: 1, k: 1}
  - {name: head, position: lm_head, m: 1, n: 1, k: 1}
)");
  EXPECT_THAT(names_in(trace), testing::ElementsAre("0.a", "0.0.b", "0.0.c", "0.2.b", "0.2.c",  //
                                                    "1.a", "1.0.b", "1.0.c", "1.2.b", "1.2.c", "5.a", "head"));
  EXPECT_EQ(trace.gemms[3].m, 2);
  EXPECT_EQ(trace.gemms[3].layer, 0);
  EXPECT_EQ(trace.gemms[10].layer, 5);
}

TEST(TraceFile, SyntheticStatisticsAreReadAndWritten) {
  TraceDocument document;
  document.synthetic.magnitude = 33;
  document.gemms.emplace_back().name = "true";
  document.gemms[0].m.values = {1};
  document.gemms[0].n = document.gemms[0].k = 7;
  const ScratchFile file(".yaml");
  write_trace(file.path(), document);
  const TraceDocument again = read_trace_document(file.path());
  EXPECT_EQ(again.synthetic.magnitude, 33);
  EXPECT_EQ(again.gemms[0].name, "true");
  EXPECT_EQ(again.gemms[0].n, 7);
  EXPECT_EQ(to_yaml(again), file.read());
}

TEST(TraceFile, EveryProblemIsReportedAtItsPlace) {
  EXPECT_EQ(error_reading("schema: 2\ngems: []\ngemms:\n  - {name: a, position: ffn, m: 1, n: 0, kk: 3}\n"),
            "FILE:1:9: schema is 2; allowed: 1 to 1\n"
            "FILE:2:1: unknown key 'gems' at the top level\n"
            "  allowed: schema, model, phase, tokens, context, batch, source, synthetic, chain, gemms; did you mean "
            "'gemms'?\n"
            "FILE:4:5: missing key 'k' in gemms[0]\n"
            "  k: reduction dimension\n"
            "FILE:4:25: unknown value 'ffn' for gemms[0].position\n"
            "  allowed: attn_in, o_in, ffn_in, down_in, router, lm_head, other\n"
            "FILE:4:39: gemms[0].n is 0; allowed: at least 1\n"
            "FILE:4:42: unknown key 'kk' in gemms[0]\n"
            "  allowed: op, name, layers, experts, position, m, n, k, weight, input, input_rows; did you mean 'k'?");
}

TEST(TraceFile, OperationsStandBetweenTheGemmsInTheirOrder) {
  const Trace trace = trace_of(R"(
schema: 1
gemms:
  - {op: rms_norm, name: "{layer}.norm", layers: 0-1, rows: 6, width: 8}
  - {op: gemm, name: "{layer}.a", layers: 0-1, position: other, m: 1, n: 1, k: 1}
  - {op: attention, name: "{layer}.attention", layers: 0-1, sequences: 3, heads: 4, kv_heads: 2, head_dim: 16,
     queries: 2, keys: 5}
  - {op: moe_route, name: route, rows: 6, width: 8, experts_per_token: 2}
)");
  EXPECT_THAT(names_in(trace), testing::ElementsAre("0.a", "1.a"));
  std::vector<std::pair<std::size_t, std::string>> order;
  for (const Gemm& gemm : trace.gemms) order.emplace_back(gemm.order, gemm.name);
  for (const Operation& operation : trace.operations) order.emplace_back(operation.order, operation.name);
  std::ranges::sort(order);
  using testing::Pair;
  EXPECT_THAT(order, testing::ElementsAre(Pair(0, "0.norm"), Pair(1, "0.a"), Pair(2, "0.attention"),  //
                                          Pair(3, "1.norm"), Pair(4, "1.a"), Pair(5, "1.attention"), Pair(6, "route")));
  EXPECT_EQ(trace.operations[0].kind, OperationKind::rms_norm);
  EXPECT_EQ(std::get<RowSizes>(trace.operations[0].sizes), (RowSizes{.rows = 6, .width = 8}));
  EXPECT_EQ(trace.operations[3].layer, 1);
  EXPECT_EQ(std::get<AttentionSizes>(trace.operations[3].sizes), (AttentionSizes{3, 4, 2, 16, 2, 5, true}));
  EXPECT_EQ(std::get<RowSizes>(trace.operations[4].sizes).experts_per_token, 2);
}

TEST(TraceFile, OperationsAreReadStrictly) {
  EXPECT_EQ(entries_error("  - {op: rms_nrom, name: a, rows: 1, width: 1}"),
            "FILE:3:10: unknown value 'rms_nrom' for gemms[0].op\n"
            "  allowed: gemm, attention, rms_norm, rope, silu_multiply, residual, softmax, moe_route, moe_permute, "
            "moe_combine; did you mean 'rms_norm'?");
  EXPECT_EQ(entries_error("  - {op: rms_norm, name: a, rows: 0, witdh: 1}"),
            "FILE:3:5: missing key 'width' in gemms[0]\n"
            "  width: elements of a row\n"
            "FILE:3:35: gemms[0].rows is 0; allowed: 1 to 1073741824\n"
            "FILE:3:38: unknown key 'witdh' in gemms[0]\n"
            "  allowed: op, name, layers, rows, width; did you mean 'width'?");
  EXPECT_EQ(entries_error("  - {op: residual, name: a, rows: 1, width: 1, m: 3}"),
            "FILE:3:48: unknown key 'm' in gemms[0]\n"
            "  allowed: op, name, layers, rows, width");
  EXPECT_EQ(entries_error("  - {op: moe_combine, name: a, rows: 1, width: 1}"),
            "FILE:3:5: missing key 'experts_per_token' in gemms[0]\n"
            "  experts_per_token: experts of each token");
  EXPECT_EQ(entries_error("  - {op: rope, name: \"{layer}\", rows: 1, width: 1, head_dim: 1}"),
            "FILE:3:5: gemms[0]: placeholder '{layer}' in '{layer}', but the entry has no layers");
}

TEST(TraceFile, OperationsThatCannotBeAreRefused) {
  const auto attention = [](const std::string& sizes) {
    return entries_error("  - {op: attention, name: a, sequences: 1, head_dim: 128, " + sizes + "}");
  };
  EXPECT_EQ(attention("heads: 6, kv_heads: 4, queries: 1, keys: 1"),
            "FILE:3:5: gemms[0]: 6 heads do not share 4 kv_heads evenly");
  EXPECT_EQ(attention("heads: 4, kv_heads: 4, queries: 3, keys: 2"),
            "FILE:3:5: gemms[0]: 2 keys for 3 queries: keys include those of the new tokens");
  EXPECT_EQ(attention("heads: 4, kv_heads: 4, queries: 3, keys: 2, causal: false"), "");
  EXPECT_EQ(attention("heads: 1073741824, kv_heads: 1, queries: 1073741824, keys: 1073741824"),
            "FILE:3:5: gemms[0]: the queries' size overflows: 1152921504606846976 x 128 does not fit in 63 bits");
  EXPECT_EQ(entries_error("  - {op: moe_route, name: a, rows: 1, width: 4, experts_per_token: 5}"),
            "FILE:3:5: gemms[0]: experts_per_token is 5, but width (the number of experts) is 4");
  EXPECT_EQ(entries_error("  - {op: residual, name: a, rows: 1, width: 1}\n  - {op: residual, name: a, rows: 1, width: "
                          "1}"),
            "FILE:4:5: gemms[1]: a second operation has the name 'a'");
}

TEST(TraceFile, RefusesSizesThatAreZeroNegativeOrOverflow) {
  EXPECT_EQ(entries_error("  - {name: a, position: other, m: 0, n: 1, k: 1}"),
            "FILE:3:5: gemms[0]: m is 0; allowed: at least 1");
  EXPECT_EQ(entries_error("  - {name: a, position: other, m: -1, n: 1, k: 1}"),
            "FILE:3:5: gemms[0]: m is -1; allowed: at least 1");
  EXPECT_EQ(entries_error("  - {name: a, position: other, m: 1, n: -1, k: 1}"),
            "FILE:3:41: gemms[0].n is -1; allowed: at least 1");
  EXPECT_EQ(entries_error("  - {name: a, position: other, m: 1, n: 2147483648, k: 2147483648}"),
            "FILE:3:5: gemms[0]: 'a': n x k = 2147483648 x 2147483648 overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(entries_error("  - {name: a, position: other, m: 4, n: 1, k: 1, input_rows: 3}"),
            "FILE:3:5: gemms[0]: 'a' reads m = 4 rows of an input with input_rows = 3");
}

TEST(TraceFile, RefusesRangesAndPlaceholdersThatAreWrong) {
  const auto entry = [](const std::string& name, const std::string& rest) {
    return entries_error("  - {name: \"" + name + "\", position: other, n: 1, k: 1, " + rest + "}");
  };
  EXPECT_EQ(entry("a", "m: 1, layers: 0-3"), "FILE:3:5: gemms[0]: layers are given, but the name 'a' has no {layer}");
  EXPECT_EQ(entry("a", "m: 1, experts: 0-3"),
            "FILE:3:5: gemms[0]: experts are given, but the name 'a' has no {expert}");
  EXPECT_EQ(entry("{layer}", "m: 1"),
            "FILE:3:5: gemms[0]: placeholder '{layer}' in '{layer}', but the entry has no layers");
  EXPECT_EQ(entry("{layer}", "m: 1, layers: 3-0"), "FILE:3:5: gemms[0]: layers: range '3-0' runs backwards; write 0-3");
  EXPECT_EQ(entry("{layer}", "m: 1, layers: x"),
            "FILE:3:5: gemms[0]: layers: 'x' is no range; expected a number such as 4 or a range such as 0-3");
  EXPECT_EQ(entry("{lair}", "m: 1"),
            "FILE:3:5: gemms[0]: unknown placeholder '{lair}' in '{lair}'; allowed: {layer}, {expert}");
  EXPECT_EQ(entry("a{", "m: 1"), "FILE:3:5: gemms[0]: 'a{' has a '{' without '}'");
  EXPECT_EQ(entry("a}", "m: 1"), "FILE:3:5: gemms[0]: 'a}' has a '}' without '{'");
  EXPECT_EQ(entry("", "m: 1"), "FILE:3:5: gemms[0]: the name is empty");
  EXPECT_EQ(entry("a", "m: [1, 2]"), "FILE:3:5: gemms[0]: m is a list, but the entry has no experts");
  EXPECT_EQ(entry("{expert}", "experts: 0-2, m: [1, 2]"),
            "FILE:3:5: gemms[0]: m lists 2 values; expected one for each of the 3 experts");
  EXPECT_EQ(entry("{expert}", "experts: 0-1, m: [1, -2]"),
            "FILE:3:5: gemms[0]: m is -2; allowed: at least 0 in a list");
  EXPECT_EQ(entry("{layer}", "m: 1, layers: 0-9223372036854775807"),
            "FILE:3:5: gemms[0]: more than 1000000 GEMMs in one trace");
  EXPECT_EQ(entry("{layer}{expert}", "m: 1, layers: 0-99999, experts: 0-99"),
            "FILE:3:5: gemms[0]: more than 1000000 GEMMs in one trace");
}

TEST(TraceFile, RefusesDuplicateNamesAndContradictingShapes) {
  const std::string first = "  - {name: a, position: other, m: 1, n: 1, k: 1, input: x}\n";
  EXPECT_EQ(entries_error(first + first), "FILE:4:5: gemms[1]: a second GEMM has the name 'a'");
  EXPECT_EQ(entries_error(first + "  - {name: b, position: other, m: 1, n: 1, k: 2, input: x}\n"),
            "FILE:4:5: gemms[1]: input 'x' is [1, 2] here and [1, 1] in an earlier GEMM");
  EXPECT_EQ(entries_error(first + "  - {name: b, position: other, m: 1, n: 2, k: 1, weight: a.weight}\n"),
            "FILE:4:5: gemms[1]: weight 'a.weight' is [2, 1] here and [1, 1] in an earlier GEMM");
}

TEST(TraceFile, RefusesATraceWithoutGemms) {
  EXPECT_EQ(error_reading("schema: 1\ngemms: []\n"), "FILE:2:8: the trace has no GEMMs");
  EXPECT_EQ(entries_error("  - {name: \"{expert}\", experts: 0-1, position: other, m: [0, 0], n: 1, k: 1}"),
            "FILE:3:3: the trace has no GEMMs");
}

}  // namespace
}  // namespace oscsim
