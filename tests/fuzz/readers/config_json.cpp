// SPDX-License-Identifier: Apache-2.0
// A config.json, and the traces that its shape gives.
#include "models/base/error.h"
#include "sim/workload/generate.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

constexpr std::string_view kDense =
    R"({"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3","hidden_size":64,"intermediate_size":96,)"
    R"("num_hidden_layers":3,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"vocab_size":99,)"
    R"("use_sliding_window":true,"sliding_window":8,"max_window_layers":1,"tie_word_embeddings":false})";
constexpr std::string_view kMoe =
    R"({"model_type":"qwen3_moe","hidden_size":64,"moe_intermediate_size":8,"num_hidden_layers":4,)"
    R"("num_attention_heads":4,"num_local_experts":6,"num_experts_per_tok":2,"decoder_sparse_step":2,)"
    R"("mlp_only_layers":[1,9],"router_jitter":NaN,"theta":Infinity})";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

std::vector<Seed> config_json_seeds() {
  const std::string dense(kDense), moe(kMoe);
  return {{"dense", dense},
          {"moe", moe},
          {"layer_types", replaced(dense, R"("max_window_layers":1)",
                                   R"("layer_types":["full_attention","sliding_attention","full_attention"])")},
          {"no_experts", replaced(moe, R"("num_local_experts":6)", R"("num_experts":0)")},
          {"million_experts", replaced(moe, ":6,", ":1073741824,")},
          {"million_layers", replaced(dense, R"("num_hidden_layers":3)", R"("num_hidden_layers":1073741824)")},
          {"zero", replaced(dense, ":64,", ":0,")},
          {"text", replaced(dense, ":64,", ":\"64\",")},
          {"fraction", replaced(dense, ":64,", ":64.5,")},
          {"heads", replaced(dense, R"("num_key_value_heads":2)", R"("num_key_value_heads":3)")},
          {"duplicate", replaced(dense, "{", R"({"vocab_size":1,)")},
          {"deep", "{\"a\":" + std::string(100, '[')},
          {"latin1", replaced(dense, "qwen3", "qwen\xE9")},
          {"other", R"({"model_type":"llama"})"},
          {"list", "[]"},
          {"nul", dense + '\0' + "{}"}};
}

void read_and_generate(std::string_view input) {
  const ModelShape shape = read_config_json(kFile, input);
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    TraceOptions options{.phase = phase, .tokens = 5, .context = 11, .lm_head = true, .attention = true};
    options.rows = phase == Phase::decode ? ExpertRows::skewed : ExpertRows::even;
    // A trace of a million GEMMs is right, and takes a second: of many layers two, and more experts than fit.
    constexpr std::int64_t kFew = 100, kTooMany = 10'000'000;
    if (shape.experts > kFew && shape.experts < kTooMany) return;
    if (shape.layers > kFew && shape.layers < kTooMany) options.layers = LayerRange{0, 1};
    try {
      generate(shape, options);
    } catch (const InputError& error) {
      input_error("{}: {}", kFile, error.what());  // sizes that overflow: the command line names the model
    }
  }
}

}  // namespace

Reader config_json_reader() {
  return {.name = "config_json",
          .read = read_and_generate,
          .seeds = config_json_seeds,
          .longest = 1024,
          .words = {"\"num_experts\"", "\"num_local_experts\"", "\"layer_types\"", "\"sliding_attention\"",
                    "\"full_attention\"", "\"use_sliding_window\"", "\"sliding_window\"", "\"max_window_layers\"",
                    "\"mlp_only_layers\"", "\"decoder_sparse_step\"", "\"head_dim\"", "null", "true", "NaN", "Infinity",
                    "1073741824", "[0]"}};
}

}  // namespace oscsim::fuzz
