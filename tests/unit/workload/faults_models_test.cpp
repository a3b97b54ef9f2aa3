// SPDX-License-Identifier: Apache-2.0
// Faults in what is read of models and topologies, each with a variant of its kind.
#include <gmock/gmock.h>

#include "models/base/text.h"
#include "sim/workload/generate.h"
#include "sim/workload/json_text.h"
#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A config.json with these keys behind its type.
ModelShape shape_from(const std::string& type, const std::string& keys) {
  return read_config_json("FILE", "{\"model_type\": \"" + type + "\"" + (keys.empty() ? "" : ", " + keys) + "}");
}

std::string shape_error(const std::string& type, const std::string& keys) {
  return error_of([&] { shape_from(type, keys); });
}

// The attention of each layer.
std::vector<AttentionSizes> attention_of(const ModelShape& shape, TraceOptions options) {
  options.attention = true;
  std::vector<AttentionSizes> all;
  for (const Operation& operation : expand(generate(shape, options), "test").operations)
    if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes)) all.push_back(*sizes);
  return all;
}

std::vector<std::int64_t> keys_of(const ModelShape& shape, const TraceOptions& options) {
  std::vector<std::int64_t> keys;
  for (const AttentionSizes& sizes : attention_of(shape, options)) keys.push_back(sizes.keys);
  return keys;
}

const std::string kWindow = R"("num_hidden_layers": 4, "use_sliding_window": true, "sliding_window": 4096)";
constexpr TraceOptions kDecode{.phase = Phase::decode, .tokens = 1, .context = 131072};

TEST(FaultA13, KeysOfOneDecodedTokenAreCutToTheWindow) {
  const ModelShape dense = shape_from("qwen3", kWindow + R"(, "max_window_layers": 2)");
  EXPECT_THAT(keys_of(dense, kDecode), ElementsAre(131073, 131073, 4096, 4096));
}

TEST(FaultA13, VariantModelsWithExperts) {
  EXPECT_THAT(keys_of(shape_from("qwen3_moe", kWindow), kDecode), ElementsAre(4096, 4096, 4096, 4096));
  EXPECT_THAT(keys_of(shape_from("qwen3_moe", kWindow + R"(, "max_window_layers": 3)"), kDecode),
              ElementsAre(131073, 131073, 131073, 4096));
  EXPECT_THAT(keys_of(shape_from("qwen3_moe", kWindow + R"(, "max_window_layers": 48)"), kDecode),
              ElementsAre(131073, 131073, 131073, 131073));
}

TEST(FaultA13, VariantLayerTypesSayWhichLayers) {
  const std::string types = R"(, "max_window_layers": 0, "layer_types": ["sliding_attention", "full_attention",
                               "full_attention", "sliding_attention"])";
  for (const char* model : {"qwen3", "qwen3_moe"})
    EXPECT_THAT(keys_of(shape_from(model, kWindow + types), kDecode), ElementsAre(4096, 131073, 131073, 4096)) << model;
  EXPECT_EQ(shape_error("qwen3", kWindow + R"(, "layer_types": ["full_attention"])"),
            "FILE: 'layer_types' has 1 entries for 4 layers");
  EXPECT_EQ(shape_error("qwen3", R"("num_hidden_layers": 1, "use_sliding_window": true,
                                    "layer_types": ["chunked_attention"])"),
            "FILE: 'layer_types' has the text 'chunked_attention' for layer 0; allowed: full_attention, "
            "sliding_attention");
}

TEST(FaultA13, VariantTheWindowIsOffWithoutItsSwitchOrItsSize) {
  const std::string layers = R"("num_hidden_layers": 1, "max_window_layers": 0, )";
  for (const char* keys : {R"("sliding_window": 4096)", R"("use_sliding_window": false, "sliding_window": 4096)",
                           R"("use_sliding_window": true, "sliding_window": null)"})
    EXPECT_THAT(keys_of(shape_from("qwen3", layers + keys), kDecode), ElementsAre(131073)) << keys;
  EXPECT_THAT(keys_of(shape_from("qwen3", layers + R"("use_sliding_window": true)"), kDecode), ElementsAre(4096))
      << "the class's default";
}

TEST(FaultA13, VariantPrefillSeesABandUnderTheDiagonal) {
  const ModelShape shape = shape_from("qwen3", R"("num_hidden_layers": 1, "max_window_layers": 0,
                                                  "use_sliding_window": true, "sliding_window": 100)");
  const auto prefill = attention_of(shape, {.tokens = 300, .context = 1000});
  ASSERT_EQ(prefill.size(), 1U);
  EXPECT_EQ(prefill[0].keys, 399) << "the 99 before the first new token, and the new ones";
  EXPECT_EQ(prefill[0].window, 100);
  EXPECT_EQ(attention_macs(prefill[0]).count(), 2 * 32 * 128 * 300 * 100) << "100 keys for each query";
  const auto first = attention_of(shape, {.tokens = 300});
  EXPECT_EQ(first[0].keys, 300);
  EXPECT_EQ(attention_macs(first[0]).count(), 2 * 32 * 128 * (100 * 101 / 2 + 200 * 100));
  EXPECT_EQ(attention_of(shape, {.tokens = 80})[0].window, 0) << "shorter than the window";
  const auto exact = attention_of(shape, {.phase = Phase::decode, .tokens = 1, .context = 99});
  EXPECT_EQ(exact[0].keys, 100) << "the token itself is one of the window's keys";
}

TEST(FaultA13, TheWindowStandsInTheTraceAndIsReadBack) {
  const ModelShape shape = shape_from("qwen3", R"("num_hidden_layers": 2, "max_window_layers": 1,
                                                  "use_sliding_window": true, "sliding_window": 100)");
  const std::string yaml = to_yaml(generate(shape, {.tokens = 300, .attention = true}));
  EXPECT_THAT(yaml, HasSubstr("window: 100"));
  std::vector<std::int64_t> windows;
  for (const Operation& operation : read_trace("FILE", yaml).operations)
    if (const auto* sizes = std::get_if<AttentionSizes>(&operation.sizes)) windows.push_back(sizes->window);
  EXPECT_THAT(windows, ElementsAre(0, 100));
}

TEST(FaultA14, MissingKeysHaveTheDefaultsOfTheirClass) {
  EXPECT_EQ(shape_from("qwen3", R"("hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8)").head_dim,
            128);
  EXPECT_EQ(shape_from("qwen3_moe", R"("num_attention_heads": 32)").kv_heads, 4);
}

TEST(FaultA14, VariantEveryKey) {
  const ModelShape dense = shape_from("qwen3", "");
  EXPECT_THAT((std::vector{dense.hidden, dense.ffn, dense.layers, dense.heads, dense.kv_heads, dense.head_dim,
                           dense.vocabulary, dense.window, dense.experts}),
              ElementsAre(4096, 22016, 32, 32, 32, 128, 151936, 0, 0));
  EXPECT_FALSE(dense.tied_embedding);
  const ModelShape moe = shape_from("qwen3_moe", R"("mlp_only_layers": [0])");
  EXPECT_THAT((std::vector{moe.hidden, moe.ffn, moe.layers, moe.heads, moe.kv_heads, moe.head_dim, moe.vocabulary,
                           moe.experts, moe.experts_per_token, moe.expert_ffn, moe.sparse_step}),
              ElementsAre(2048, 6144, 24, 32, 4, 64, 151936, 128, 8, 768, 1));
  EXPECT_EQ(shape_from("qwen3", R"("num_attention_heads": 8, "num_key_value_heads": null)").kv_heads, 8);
  EXPECT_EQ(shape_from("qwen3_moe", R"("head_dim": 128)").head_dim, 128);
}

TEST(FaultC1, NumLocalExpertsOfVersion5) {
  EXPECT_EQ(shape_from("qwen3_moe", R"("num_local_experts": 64)").experts, 64);
}

TEST(FaultC1, VariantBothNames) {
  EXPECT_EQ(shape_from("qwen3_moe", R"("num_experts": 32, "num_local_experts": 64)").experts, 64);
  EXPECT_EQ(shape_error("qwen3_moe", R"("num_local_experts": 4)"),
            "FILE: num_experts_per_tok = 8 of num_local_experts = 4");
}

TEST(FaultC2, NumbersThatPythonWritesAndLayersThatAreNone) {
  EXPECT_EQ(shape_from("qwen3", R"("a": Infinity, "b": [NaN, -Infinity], "hidden_size": 64)").hidden, 64);
  const ModelShape none = shape_from("qwen3_moe", R"("num_experts": 0, "intermediate_size": 96)");
  EXPECT_EQ(none.experts, 0);
  EXPECT_EQ(none.ffn, 96);
  const ModelShape beyond = shape_from("qwen3_moe", R"("num_hidden_layers": 4, "mlp_only_layers": [1, 4, 99])");
  EXPECT_THAT(beyond.dense_layers, ElementsAre(1));
}

TEST(FaultC2, VariantOnlyAsValuesAndOnlyWhereNotRead) {
  EXPECT_EQ(shape_from("qwen3", R"("a": "Infinity, NaN: \" NaN", "hidden_size": 64)").hidden, 64);
  EXPECT_EQ(shape_error("qwen3", R"("hidden_size": NaN)"),
            "FILE: 'hidden_size' must be an integer from 1 to 1073741824, found the text 'NaN'");
  EXPECT_THAT(shape_error("qwen3", R"(NaN: 1)"), HasSubstr("FILE:1:"));
  EXPECT_THAT(shape_from("qwen3_moe", R"("num_hidden_layers": 4, "mlp_only_layers": [3, -1, 3, 0])").dense_layers,
              ElementsAre(0, 3));
  const ModelShape none = shape_from("qwen3_moe", R"("num_local_experts": 0, "num_experts_per_tok": 0)");
  EXPECT_EQ(expand(generate(none, {.layers = LayerRange{0, 0}}), "test").gemms.size(), 7U);
}

std::vector<std::string> gemms_of_csv(const std::string& text) {
  std::vector<std::string> gemms;
  for (const Gemm& gemm : expand(read_csv("FILE", text), "test").gemms)
    gemms.push_back(fmt::format("{} {}x{}x{}", gemm.name, gemm.m, gemm.n, gemm.k));
  return gemms;
}

std::string csv_fault(const std::string& text) {
  return error_of([&] { read_csv("FILE", text); });
}

TEST(FaultC7, QuotedNamesAFifthColumnAndRowsWithoutNames) {
  EXPECT_THAT(gemms_of_csv("Layer,M,N,K\r\n\"a, \"\"b\"\"\",1,2,3\r\n"), ElementsAre("a, \"b\" 1x2x3"));
  EXPECT_THAT(gemms_of_csv("Layer,M,N,K,Sparsity\na,1,2,3,1:1,\n"), ElementsAre("a 1x2x3"));
  EXPECT_THAT(gemms_of_csv("4,5,6\n4,5,6\n"), ElementsAre("gemm_4x5x6 4x5x6", "gemm_4x5x6_2 4x5x6"));
}

TEST(FaultC7, ConvolutionsAreTheGemmsOfTheirIm2col) {
  EXPECT_THAT(gemms_of_csv("Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
                           "Strides,\nConv1, 227, 227, 11, 11, 3, 96, 4,\nFC6, 1, 1, 1, 1, 9216, 4096, 1,\n"),
              ElementsAre("Conv1 3025x96x363", "FC6 1x4096x9216"));
}

TEST(FaultC7, VariantHeadingsOrdersAndPlaces) {
  EXPECT_THAT(gemms_of_csv("M,N,K\n1,2,3\n"), ElementsAre("gemm_1x2x3 1x2x3"));
  EXPECT_THAT(gemms_of_csv("Layer,M,K,N\na,1,2,3\n"), ElementsAre("a 1x3x2")) << "by the names of the heading";
  EXPECT_THAT(gemms_of_csv("c1,224,224,7,7,3,64,2\n"), ElementsAre("c1 12100x64x147"))
      << "110 x 110: the last window reaches over the edge";
  EXPECT_THAT(gemms_of_csv("layer,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,stride_w\n"
                           "c,8,9,2,3,4,5,2,3\n"),
              ElementsAre("c 12x5x24"));
  EXPECT_EQ(read_csv("FILE", "a,1,2,3,7\n").source, "FILE, without column 5");
  EXPECT_EQ(read_csv("FILE", "Layer,M,N,K,Sparsity\na,1,2,3,1:1\n").source, "FILE, without 'Sparsity'");
  EXPECT_EQ(csv_fault("a,1,2,3\n\"b\nc,1,2,3\n"), "FILE:2: a quoted field is never closed");
  EXPECT_EQ(csv_fault("\"a\"b,1,2,3\n"), "FILE:1: text behind a quoted field: 'b,1,2,3'");
  EXPECT_EQ(csv_fault("\"a\nb\",1,2,3\nc,1,x,3\n"), "FILE:3: N must be an integer: 'x' is not a number");
  EXPECT_EQ(csv_fault("c1,5,5,7,5,3,64,1\n"),
            "FILE:1: filterheight = 7 of ifmapheight = 5: the filter is larger than the input");
  EXPECT_EQ(csv_fault("c1,5,5,1,1,3,64,0\n"), "FILE:1: strides = 0; allowed: at least 1");
}

TEST(FaultC8, AByteThatIsNotUtf8IsReportedWithItsPlace) {
  EXPECT_EQ(csv_fault("Layer,M,N,K\ncaf\xE9,1,2,3\n"), "FILE:2:4: not UTF-8 text: byte 0xE9");
}

TEST(FaultC8, VariantInOtherKindsOfText) {
  EXPECT_EQ(error_of([] { read_trace("FILE", "schema: 1\nmodel: caf\xE9\ngemms: []\n"); }),
            "FILE:2:11: not UTF-8 text: byte 0xE9");
  EXPECT_THAT(shape_error("qwen3", "\"a\": \"caf\xE9\""), HasSubstr("FILE:1:"));
  EXPECT_EQ(csv_fault(std::string("a,1,2,3\nb\0,1,2,3\n", 17)), "FILE:2:2: not a text file: control character 0x00");
  EXPECT_EQ(csv_fault("\xFF\xFE"
                      "a"),
            "FILE:1:1: not UTF-8 text: byte 0xFF")
      << "UTF-16, as spreadsheets write it";
}

TEST(FaultD5, CountsAreRefusedBeforeListsAreMade) {
  const ModelShape shape = shape_from("qwen3_moe", R"("num_local_experts": 1073741824)");
  EXPECT_EQ(error_of([&] { generate(shape, {}); }),
            "FILE has 1073741824 experts in each of 24 layers: more than 1000000 GEMMs in one trace");
}

TEST(FaultD5, VariantLayersAndSkewedRows) {
  const ModelShape layers = shape_from("qwen3", R"("num_hidden_layers": 1073741824)");
  EXPECT_EQ(error_of([&] { generate(layers, {}); }),
            "FILE has 1073741824 layers: more than 1000000 GEMMs in one trace");
  EXPECT_EQ(generate(layers, {.layers = LayerRange{5, 5}}).gemms.size(), 7U) << "few of them";
  const ModelShape experts = shape_from("qwen3_moe", R"("num_local_experts": 20000, "num_hidden_layers": 100)");
  EXPECT_EQ(error_of([&] { generate(experts, {.rows = ExpertRows::skewed}); }),
            "FILE has 20000 experts in each of 100 layers: more than 1000000 GEMMs in one trace");
  const std::string trace =
      "schema: 1\ngemms:\n  - {name: \"{layer}{x}\", layers: \"0-999999\", position: other, m: 1, n: 1, k: 1}\n";
  EXPECT_EQ(error_of([&] { read_trace("FILE", trace); }),
            "FILE:3:5: gemms[0]: unknown placeholder '{x}' in '{layer}{x}'; allowed: {layer}, {expert}");
}

TEST(FaultD15, LongTextsAreCutWithTheirLength) {
  const std::string a60(60, 'a');
  EXPECT_EQ(excerpt(std::string(1 << 20, 'a')), a60 + "… (1,048,576 bytes)");
  EXPECT_EQ(
      shape_error("qwen3", "\"hidden_size\": \"" + std::string(100'000, 'a') + "\""),
      "FILE: 'hidden_size' must be an integer from 1 to 1073741824, found the text '" + a60 + "… (100,000 bytes)'");
  EXPECT_EQ(printable("FILE: tensor '" + std::string(1 << 20, 'a') + "' is wrong"),
            "FILE: tensor '" + a60 + "… (1,048,576 bytes)' is wrong");
}

TEST(FaultD15, VariantLettersStayWholeAndBytesValid) {
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ä";
  EXPECT_EQ(excerpt(umlauts), umlauts.substr(0, 120) + "… (200 bytes)");
  EXPECT_EQ(excerpt("caf\xE9\x1B[31m"), "caf\xEF\xBF\xBD [31m");
  EXPECT_EQ(printable("a \x1B[31m\n b \xC2\x9B"), "a ?[31m\n b ?");
  EXPECT_THAT(printable("not valid JSON: last read: '" + std::string(100'000, '7') + "'; expected ':'"),
              HasSubstr("… (100,000 bytes)'; expected ':'"));
  EXPECT_LT(printable("FILE: '" + std::string(50'000, ' ') + std::string(50'000, 'x')).size(), 10'000U);
  EXPECT_EQ(csv_fault("a,1,2," + std::string(100'000, '9') + "\n"),
            "FILE:1: K must be an integer: '" + std::string(60, '9') + "… (100,000 bytes)' does not fit in 63 bits");
}

}  // namespace
}  // namespace oscsim
