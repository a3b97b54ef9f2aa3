// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/checkpoint.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

Reader checkpoint_index_reader() {
  return {
      .name = "checkpoint_index",
      .read = [](std::string_view input) { read_weight_map(kFile, input); },
      .seeds =
          [] {
            return std::vector<Seed>{
                {"index", R"({"metadata":{"total_size":24},"weight_map":{"a":"model-00001-of-00002.safetensors"}})"},
                {"outside", R"({"weight_map":{"a":"../x.safetensors","b":3}})"},
                {"no_map", R"({"weight_map":[]})"},
                {"empty_map", R"({"weight_map":{}})"},
                {"twice", R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})"},
                {"nul", std::string(R"({"weight_map":{"a":"x.safetensors"}})") + '\0' + "{}"},
                {"deep", R"({"weight_map":)" + std::string(200, '{')}};
          },
      .longest = 1024,
      .words = {"\"weight_map\"", ".safetensors", "\\u0000", "\\ud800", "/", "null"}};
}

}  // namespace oscsim::fuzz
