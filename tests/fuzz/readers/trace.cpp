// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/trace.h"

#include <algorithm>

#include "sim/workload/trace_document.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

namespace {

// "0-99999": right, a million GEMMs, and a second. More digits do not fit.
bool names_many_layers(std::string_view input) {
  constexpr std::size_t kFew = 3, kMost = 7;
  for (std::size_t at = 0; (at = input.find('-', at)) != std::string_view::npos; ++at) {
    const std::string_view rest = input.substr(at + 1);
    const std::size_t digits = std::min(rest.find_first_not_of(" 0123456789"), rest.size());
    if (digits > kFew && digits <= kMost) return true;
  }
  return false;
}

}  // namespace

Reader trace_reader() {
  return {.name = "trace",
          .read =
              [](std::string_view input) {
                if (!names_many_layers(input)) read_trace(kFile, std::string(input));
              },
          .seeds =
              [] {
                const auto gemm = [](const std::string& name, const std::string& keys) {
                  return "schema: 1\ngemms:\n  - {name: " + name + ", position: ffn_in, n: 8, k: 16, " + keys + "}\n";
                };
                std::vector<Seed> good = files_of("traces", ".yaml");
                // One of many layers is enough for what it is made of, and a thousandth of the time.
                for (Seed& seed : good)
                  for (const char* range : {"0-35", "0-47", "0-127"})
                    for (std::size_t at = 0; (at = seed.input.find(range, at)) != std::string::npos;)
                      seed.input.replace(at, std::string_view(range).size(), "0-1");
                good.push_back({"experts", gemm("\"a.{expert}\"", "experts: \"0-2\", m: [3, 0, 1]")});
                good.push_back({"too_many", gemm("\"{layer}\"", "layers: \"0-9999999999\", m: 1")});
                good.push_back({"overflow", gemm("a", "m: 9223372036854775807")});
                good.push_back({"placeholder", gemm("\"a.{other}\"", "m: 1")});
                good.push_back({"window",
                                "schema: 1\ngemms:\n  - {op: attention, name: a, sequences: 2, heads: 4, kv_heads: 2, "
                                "head_dim: 16, queries: 3, keys: 5, window: 4}\n"});
                return yaml_seeds(std::move(good));
              },
          .words = {"layers", "experts", "{layer}", "{expert}", "\"0-3\"", "op", "attention", "causal", "input_rows"}};
}

}  // namespace oscsim::fuzz
