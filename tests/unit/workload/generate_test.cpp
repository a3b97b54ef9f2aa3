// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

// Elements of all different weights.
std::int64_t parameters(const ModelShape& shape) {
  TraceOptions options;
  options.lm_head = true;
  std::int64_t count = 0;
  for (const Gemm& gemm : expand(generate(shape, options), "test").gemms) count += gemm.n * gemm.k;
  return count;
}

// Published parameter counts (model cards at huggingface.co/Qwen), in units of 10^9. Norms are not in the trace; the
// embedding is added where it is not the LM head's weight.
TEST(Generate, ModelsHaveTheirPublishedNumberOfParameters) {
  const std::pair<const char*, double> published[] = {
      {"Qwen3-0.6B", 0.6}, {"Qwen3-1.7B", 1.7}, {"Qwen3-4B", 4.0},       {"Qwen3-8B", 8.2},
      {"Qwen3-14B", 14.8}, {"Qwen3-32B", 32.8}, {"Qwen3-30B-A3B", 30.5}, {"Qwen3-235B-A22B", 235}};
  for (const auto& [name, expected] : published) {
    const ModelShape shape = shape_of(name);
    const std::int64_t embedding = shape.tied_embedding ? 0 : shape.vocabulary * shape.hidden;
    EXPECT_NEAR(static_cast<double>(parameters(shape) + embedding) * 1e-9, expected, expected < 100 ? 0.06 : 0.5)
        << name;
  }
}

TEST(Generate, LinearLayersOfQwen8BHaveTheirSizes) {
  const ModelShape shape = shape_of("Qwen3-8B");
  const std::int64_t attention = 4096 * 4096 * 2 + 4096 * 1024 * 2;
  const std::int64_t ffn = 3 * std::int64_t{4096} * 12288;
  EXPECT_EQ(parameters(shape), 36 * (attention + ffn) + std::int64_t{151936} * 4096);
}

TEST(Generate, DecodeHasOneRowForEachSequence) {
  const ModelShape shape = shape_of("Qwen3-8B");
  for (const TraceOptions& options : {TraceOptions{.phase = Phase::decode, .tokens = 16, .context = 99},
                                      TraceOptions{.phase = Phase::decode, .tokens = 1, .context = 99, .batch = 16}}) {
    const TraceDocument document = generate(shape, options);
    EXPECT_EQ(document.tokens, 1);
    EXPECT_EQ(document.batch, 16);
    EXPECT_EQ(document.context, 99);
    for (const TraceEntry& entry : document.gemms) EXPECT_EQ(entry.m.values, std::vector<std::int64_t>{16});
  }
}

TEST(Generate, PrefillHasTheTokensOfAllSequences) {
  const TraceDocument document = generate(shape_of("Qwen3-8B"), {.tokens = 100, .batch = 3, .lm_head = true});
  EXPECT_EQ(document.gemms.front().m.values.front(), 300);
  EXPECT_EQ(document.gemms.back().name, "lm_head");
  EXPECT_EQ(document.gemms.back().m.values.front(), 3) << "the last token of each sequence";
}

// The operations of one layer of a model.
std::vector<Operation> operations_of(const ModelShape& shape, TraceOptions options) {
  options.layers = LayerRange{0, 0};
  options.attention = true;
  return expand(generate(shape, options), "test").operations;
}

Macs attention_work(const std::vector<Operation>& operations) {
  const auto found = std::ranges::find(operations, OperationKind::attention, &Operation::kind);
  return attention_macs(std::get<AttentionSizes>(found->sizes));
}

TEST(Generate, AttentionHasTheWorkOfItsClosedForms) {
  for (const std::string& name : model_names()) {
    const ModelShape shape = shape_of(name);
    const std::int64_t channels = shape.heads * shape.head_dim, t = 300, context = 50, batch = 3;
    const auto prefill = operations_of(shape, {.tokens = t, .context = context, .batch = batch});
    // Scores and values: a triangle of the new tokens with its diagonal, and a rectangle of the cached ones.
    EXPECT_EQ(attention_work(prefill).count(), batch * 2 * channels * (t * (t + 1) / 2 + t * context)) << name;
    const auto decode = operations_of(shape, {.phase = Phase::decode, .tokens = batch, .context = context});
    EXPECT_EQ(attention_work(decode).count(), batch * 2 * channels * (context + 1)) << name;
  }
}

TEST(Generate, EveryRowOfTheLayerIsNormalisedRotatedAndAdded) {
  for (const std::string& name : model_names()) {
    const ModelShape shape = shape_of(name);
    const auto operations = operations_of(shape, {.tokens = 10, .batch = 2});
    std::map<std::string, std::int64_t> elements;
    for (const Operation& operation : operations)
      if (const auto* sizes = std::get_if<RowSizes>(&operation.sizes))
        elements[operation.name.substr(std::string("model.layers.0.").size())] = sizes->rows * sizes->width;
    const std::int64_t rows = 20;
    std::map<std::string, std::int64_t> expected{{"input_layernorm", rows * shape.hidden},
                                                 {"self_attn.q_norm", rows * shape.q_dim()},
                                                 {"self_attn.k_norm", rows * shape.kv_dim()},
                                                 {"self_attn.rope", rows * (shape.q_dim() + shape.kv_dim())},
                                                 {"self_attn.residual", rows * shape.hidden},
                                                 {"post_attention_layernorm", rows * shape.hidden},
                                                 {"mlp.act_fn", rows * shape.ffn},
                                                 {"mlp.residual", rows * shape.hidden}};
    if (shape.experts > 0) {
      expected["mlp.act_fn"] = rows * shape.experts_per_token * shape.expert_ffn;
      expected["mlp.route"] = rows * shape.experts;
      expected["mlp.permute"] = expected["mlp.combine"] = rows * shape.hidden;
    }
    EXPECT_EQ(elements, expected) << name;
  }
}

TEST(Generate, OperationsLeaveTheGemmsAsTheyAre) {
  for (const std::string& name : model_names()) {
    TraceOptions options{.tokens = 64, .lm_head = true};
    const Trace linear = expand(generate(shape_of(name), options), "test");
    options.attention = true;
    const Trace full = expand(generate(shape_of(name), options), "test");
    EXPECT_TRUE(linear.operations.empty());
    ASSERT_EQ(full.gemms.size(), linear.gemms.size()) << name;
    std::set<std::string> names;
    for (const Trace* trace : {&linear, &full})
      for (const Gemm& gemm : trace->gemms) names.insert(fmt::format("{} {} {} {}", gemm.name, gemm.m, gemm.n, gemm.k));
    EXPECT_EQ(names.size(), linear.gemms.size()) << name;
    EXPECT_EQ(full.operations.back().name, "model.norm");
  }
}

TEST(Generate, InputsAreSharedAsInTheModel) {
  const Trace trace = expand(generate(shape_of("Qwen3-30B-A3B"), {.layers = LayerRange{7, 7}}), "test");
  std::set<std::string> inputs;
  for (const Gemm& gemm : trace.gemms) inputs.insert(gemm.input);
  EXPECT_EQ(inputs.size(), 3U + 128) << "attn_in, o_in, ffn_in and one down_in for each expert";
  const auto find = [&](const std::string& name) {
    return *std::ranges::find(trace.gemms, "model.layers.7." + name, &Gemm::name);
  };
  const Gemm router = find("mlp.gate");
  EXPECT_EQ(router.position, Position::router);
  EXPECT_EQ(router.n, 128);
  EXPECT_EQ(router.input, "model.layers.7.ffn_in");
  const Gemm up = find("mlp.experts.127.up_proj");
  EXPECT_EQ(up.input, "model.layers.7.ffn_in");
  EXPECT_EQ(up.input_rows, 2048);
  EXPECT_EQ(up.m, 128);
  const Gemm down = find("mlp.experts.5.down_proj");
  EXPECT_EQ(down.input, "model.layers.7.mlp.experts.5.down_in");
  EXPECT_EQ(down.input_rows, 128);
  EXPECT_EQ(down.weight, "model.layers.7.mlp.experts.5.down_proj.weight");
}

TEST(Generate, MixedModelsKeepTheOrderOfTheirLayers) {
  ModelShape shape = shape_of("Qwen3-30B-A3B");
  shape.layers = 4;
  shape.ffn = 6144;
  shape.dense_layers = {1, 2};
  const Trace trace = expand(generate(shape, {}), "test");
  std::int64_t last = 0;
  for (const Gemm& gemm : trace.gemms) {
    EXPECT_GE(gemm.layer, last);
    last = gemm.layer;
  }
  EXPECT_EQ(trace.gemms.size(), 2U * (4 + 1 + 3 * 128) + 2 * 7);
}

TEST(Generate, RefusesSizesAndLayersOutOfRange) {
  const ModelShape shape = shape_of("Qwen3-8B");
  const auto error = [&](const TraceOptions& options) { return error_of([&] { generate(shape, options); }); };
  EXPECT_EQ(error({.tokens = 0}), "tokens = 0; allowed: 1 to 1073741824");
  EXPECT_EQ(error({.batch = -1}), "batch = -1; allowed: 1 to 1073741824");
  EXPECT_EQ(error({.context = -1}), "context = -1; allowed: 0 to 1073741824");
  EXPECT_EQ(error({.layers = LayerRange{35, 36}}), "layers 35-36; Qwen3-8B has layers 0-35");
  EXPECT_EQ(error({.phase = Phase::decode, .tokens = 16, .batch = 4}),
            "decode with tokens = 16 and batch = 4: one token for each sequence; give the number of sequences once");
  EXPECT_NE(error({.tokens = 1 << 30, .batch = 1 << 30}).find("overflows"), std::string::npos);
}

TEST(ExpertRows, EvenRowsGiveTheRemainderToTheFirst) {
  const ModelShape shape = shape_of("Qwen3-30B-A3B");
  const auto rows = expert_rows(shape, 1, 0, {});
  EXPECT_EQ(sum(rows), 8);
  EXPECT_EQ(rows[7], 1);
  EXPECT_EQ(rows[8], 0);
  const auto even = expert_rows(shape, 2048, 0, {});
  EXPECT_EQ(even.front(), 128);
  EXPECT_EQ(even.back(), 128);
}

TEST(ExpertRows, SkewedRowsAddUpAndFollowZipf) {
  const ModelShape shape = shape_of("Qwen3-30B-A3B");
  for (const double skew : {0.0, 0.5, 1.0, 2.0, 16.0})
    for (const std::int64_t tokens : {1, 2, 17, 2048}) {
      const auto rows = expert_rows(shape, tokens, 3, {.rows = ExpertRows::skewed, .seed = 5, .skew = skew});
      EXPECT_EQ(sum(rows), tokens * 8) << tokens << " tokens, skew " << skew;
      EXPECT_LE(*std::ranges::max_element(rows), tokens);
      EXPECT_GE(*std::ranges::min_element(rows), 0);
    }
  auto rows = expert_rows(shape, 2048, 3, {.rows = ExpertRows::skewed, .seed = 5, .skew = 0.5});
  std::ranges::sort(rows, std::greater{});
  EXPECT_NEAR(static_cast<double>(rows[0]) / static_cast<double>(rows[99]), 10, 0.2) << "(1/1)^0.5 : (1/100)^0.5";
}

TEST(ExpertRows, SkewedRowsDependOnSeedAndLayer) {
  const ModelShape shape = shape_of("Qwen3-30B-A3B");
  const auto rows = [&](std::uint64_t seed, std::int64_t layer) {
    return expert_rows(shape, 2048, layer, {.rows = ExpertRows::skewed, .seed = seed});
  };
  EXPECT_EQ(rows(1, 0), rows(1, 0));
  EXPECT_NE(rows(1, 0), rows(2, 0));
  EXPECT_NE(rows(1, 0), rows(1, 1));
  const Trace trace = expand(generate(shape, {.rows = ExpertRows::skewed, .layers = LayerRange{4, 5}}), "test");
  const auto expected = rows(1, 5);
  const auto up = std::ranges::find(trace.gemms, "model.layers.5.mlp.experts.17.up_proj", &Gemm::name);
  ASSERT_TRUE(up != trace.gemms.end());
  EXPECT_EQ(up->m, expected[17]);
}

// The files in traces/ are what the generator writes. To renew one: oscsim trace MODEL --phase ... -o traces/....yaml
TEST(Traces, FilesEqualWhatTheGeneratorWrites) {
  for (const auto& [model, stem] : {std::pair("Qwen3-8B", "qwen3_8b"), {"Qwen3-30B-A3B", "qwen3_30b_a3b"}})
    for (const Phase phase : {Phase::prefill, Phase::decode})
      for (const bool is_full : {false, true}) {
        const std::string path = fmt::format("traces/{}_{}{}.yaml", stem, name_of(phase), is_full ? "_full" : "");
        const bool is_decode = phase == Phase::decode;
        const TraceDocument document = generate(
            shape_of(model),
            {.phase = phase, .tokens = is_decode ? 16 : 2048, .context = is_decode ? 2048 : 0, .attention = is_full});
        std::ifstream file(path);
        EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), to_yaml(document)) << path;
        EXPECT_EQ(read_trace(path).gemms.size(), expand(document, path).gemms.size());
        EXPECT_EQ(read_trace(path).operations.empty(), !is_full);
      }
}

std::string csv_error(const std::string& content) {
  const ScratchFile file(".csv", content);
  return error_of([&] { read_csv(file.path()); }, file.path());
}

TEST(Csv, HeadingTrailingCommasAndEmptyLinesAreFine) {
  const ScratchFile file(".csv", "Layer, M, N, K,\r\n\r\nconv1, 1, 2, 3,\r\nfc,4,5,6");
  const Trace trace = expand(read_csv(file.path()), "test");
  ASSERT_EQ(trace.gemms.size(), 2U);
  EXPECT_EQ(trace.gemms[0].name, "conv1");
  EXPECT_EQ(trace.gemms[0].k, 3);
  EXPECT_EQ(trace.gemms[1].n, 5);
  const ScratchFile bare(".csv", "fc,4,5,6\n");
  EXPECT_EQ(read_csv(bare.path()).gemms.size(), 1U);
}

TEST(Csv, MistakesAreReportedWithTheirLine) {
  EXPECT_EQ(csv_error("Layer,M,K\na,1,2\n"), "FILE:1: no column 'n'; the columns are Layer,M,N,K");
  EXPECT_EQ(csv_error("a,1,2,3\nb,1,2\n"), "FILE:2: 3 columns, expected 4: Layer,M,N,K");
  EXPECT_EQ(csv_error("a,1,2,3\n,1,2,3\n"), "FILE:2: the name is empty");
  EXPECT_EQ(csv_error("a,1,2,3\na,1,2,3\n"), "FILE:2: a second layer has the name 'a'; the first is in line 1");
  EXPECT_EQ(csv_error("a,1,0,3\n"), "FILE:1: n = 0; allowed: at least 1");
  EXPECT_EQ(csv_error("a,1,2,x\n").find("FILE:1: K must be an integer: "), 0U);
  EXPECT_EQ(csv_error("a{,1,2,3\n"), "FILE:1: 'a{' has a brace; names of layers have none");
  EXPECT_EQ(csv_error("a,4294967296,4294967296,1\n"),
            "FILE:1: m x n = 4294967296 x 4294967296 overflows: its bytes do not fit in 63 bits");
  EXPECT_EQ(csv_error("Layer,M,N,K\n"),
            "FILE: no GEMMs; expected lines Layer,M,N,K or M,N,K, or convolutions of SCALE-Sim");
}

}  // namespace
}  // namespace oscsim
