// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/model_shape.h"

#include <gtest/gtest.h>

#include "tests/unit/workload/scratch_file.h"

namespace oscsim {
namespace {

const std::string kDense = R"({
  "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288,
  "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
  "tie_word_embeddings": false, "rms_norm_eps": 1e-06
})";
const std::string kMoe = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
  "num_hidden_layers": 6, "num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 1000, "num_experts": 128,
  "num_experts_per_tok": 8, "decoder_sparse_step": 2, "mlp_only_layers": [3], "tie_word_embeddings": true
})";

std::string error_of_config(const std::string& content) {
  const ScratchFile file(".json", content);
  return error_of([&] { read_config_json(file.path()); }, file.path());
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(ModelShape, NamesAreFoundInAnyCaseAndWithOwner) {
  EXPECT_EQ(shape_of("Qwen/Qwen3-8B").name, "Qwen3-8B");
  EXPECT_EQ(shape_of("qwen3-30b-a3b").experts, 128);
  EXPECT_EQ(error_of([] { shape_of("qwen3-9b"); }),
            "unknown model 'qwen3-9b'; allowed: Qwen3-0.6B, Qwen3-1.7B, Qwen3-4B, Qwen3-8B, Qwen3-14B, Qwen3-32B, "
            "Qwen3-30B-A3B, Qwen3-235B-A22B, or a config.json; did you mean 'Qwen3-4B'?");
  for (const std::string& name : model_names()) EXPECT_EQ(shape_of(name).name, name);
}

TEST(ConfigJson, GivesTheShapeOfTheTable) {
  const ScratchFile file(".json", kDense);
  const ModelShape read = read_config_json(file.path());
  const ModelShape known = shape_of("Qwen3-8B");
  EXPECT_EQ(read.hidden, known.hidden);
  EXPECT_EQ(read.ffn, known.ffn);
  EXPECT_EQ(read.layers, known.layers);
  EXPECT_EQ(read.q_dim(), known.q_dim());
  EXPECT_EQ(read.kv_dim(), known.kv_dim());
  EXPECT_EQ(read.vocabulary, known.vocabulary);
  EXPECT_EQ(read.experts, 0);
}

TEST(ConfigJson, MixesDenseAndExpertLayers) {
  const ScratchFile file(".json", kMoe);
  const ModelShape read = read_config_json(file.path());
  EXPECT_EQ(read.head_dim, 64) << "hidden / heads when it is not given";
  EXPECT_TRUE(read.tied_embedding);
  std::string pattern;
  for (std::int64_t layer = 0; layer < read.layers; ++layer) pattern += read.has_experts(layer) ? 'E' : 'd';
  EXPECT_EQ(pattern, "dEdddE");
}

TEST(ConfigJson, RefusesWhatIsMissingOrWrong) {
  EXPECT_EQ(error_of_config(replaced(kDense, "4096", "\"4096\"")),
            "FILE: 'hidden_size' must be an integer from 1 to 1073741824, found the text '4096'");
  EXPECT_EQ(error_of_config(replaced(kDense, "4096", "0")),
            "FILE: 'hidden_size' must be an integer from 1 to 1073741824, found the integer 0");
  EXPECT_EQ(error_of_config(replaced(kDense, "false", "0")),
            "FILE: 'tie_word_embeddings' must be true or false, found the integer 0");
  EXPECT_EQ(error_of_config(replaced(kDense, "\"model_type\": \"qwen3\"", "\"model_type\": \"llama\"")),
            "FILE: architecture 'llama' is not supported; allowed: qwen3 (Qwen3ForCausalLM), qwen3_moe "
            "(Qwen3MoeForCausalLM)");
  EXPECT_EQ(error_of_config(replaced(kDense, "\"num_key_value_heads\": 8", "\"num_key_value_heads\": 7")),
            "FILE: num_attention_heads = 32 is no multiple of num_key_value_heads = 7");
  EXPECT_EQ(error_of_config(replaced(kMoe, "[3]", "[\"3\"]")),
            "FILE: 'mlp_only_layers' must be a list of integers, found the text '3'");
  EXPECT_EQ(error_of_config("[]"), "FILE: expected an object, found a list");
  EXPECT_EQ(error_of_config("{}"), "FILE: neither 'model_type' nor 'architectures' is there");
}

TEST(ConfigJson, MalformedTextIsReportedWithLineAndColumn) {
  const std::string error = error_of_config("{\n  \"hidden_size\": 4096,\n  oops\n}");
  EXPECT_EQ(error.find("FILE:3:3: not valid JSON: "), 0U) << error;
  EXPECT_EQ(error_of_config(R"({"a": 1, "a": 2})"), "FILE: duplicate key 'a' in the JSON text");
}

}  // namespace
}  // namespace oscsim
