// SPDX-License-Identifier: Apache-2.0
// Expressions of the command line: --only, --gemm, --set.
#include "models/base/error.h"
#include "sim/config/overrides.h"
#include "sim/run/inputs.h"
#include "sim/workload/trace_select.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

void read_only(std::string_view input) {
  static const Trace kTrace = [] {
    Trace trace;
    for (const char* name : {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.experts.12.gate_proj"}) {
      Gemm& gemm = trace.gemms.emplace_back();
      gemm.name = name;
      gemm.layer = 0;
    }
    trace.gemms.emplace_back().name = std::string(2000, 'a');
    return trace;
  }();
  select(kTrace, std::nullopt, std::string(input));
}

void read_settings(std::string_view input) {
  const std::string setting(input);
  config::Problems problems;
  const auto overrides = config::parse_overrides(std::span(&setting, 1), kRunDocuments, problems);
  problems.throw_if_any();
  const config::Node root = config::Node::map(config::whole("--set"), {});
  config::with_overrides(root, "machine", overrides, problems);
  problems.throw_if_any();
}

}  // namespace

Reader only_reader() {
  return {.name = "only",
          .read = read_only,
          .seeds =
              [] {
                return std::vector<Seed>{{"words", "q_proj|gate"},
                                         {"anchors", "^model\\.layers\\.[0-9]+\\..*proj$"},
                                         {"counts", "(e[xp]{1,3}erts)+?\\d{2}"},
                                         {"nested_stars", "(.*)*x$"},
                                         {"groups", std::string(300, '(') + std::string(300, ')')},
                                         {"large_count", "a{1000}{1000}"},
                                         {"back_reference", "(a)\\1"},
                                         {"ahead", "a(?=b)"},
                                         {"open", "(["},
                                         {"latin1", "caf\xE9"},
                                         {"nothing", "zzz"}};
              },
          .origin = "--only",
          .longest = 512,
          .words = {"(.*)*", "[^a-z]", "\\d", "\\b", "{2,}", "(?:", "(?i)", "|", "$", "[[:alpha:]]"}};
}

Reader gemm_reader() {
  return {.name = "gemm",
          .read = [](std::string_view input) { parse_gemm(std::string(input)); },
          .seeds =
              [] {
                return std::vector<Seed>{{"three", "8,16,64"},        {"position", "8, 16, 64, attn_in"},
                                         {"unknown", "8,16,64,attn"}, {"two", "8,16"},
                                         {"zero", "0,16,64"},         {"overflow", "9223372036854775807,2,2"},
                                         {"text", "a,b,c"},           {"latin1", "8,16,64,\xE9"}};
              },
          .origin = "--gemm",
          .longest = 128,
          .words = {"down_in", "lm_head", "9223372036854775808"}};
}

Reader settings_reader() {
  return {.name = "settings",
          .read = read_settings,
          .seeds =
              [] {
                return std::vector<Seed>{{"number", "machine.core.gather.lanes=32"},
                                         {"map", "machine.core={a: [1, 2], b: {c: d}}"},
                                         {"null", "scheme.outliers=null"},
                                         {"quoted", "machine.description='a, b: c'"},
                                         {"no_value", "machine.cores="},
                                         {"no_path", "=1"},
                                         {"no_equals", "machine.cores"},
                                         {"other", "machin.cores=1"},
                                         {"empty_key", "machine..cores=1"},
                                         {"tag", "machine.cores=!!int 1"},
                                         {"anchor", "machine.a=[&a 1, *a]"},
                                         {"two_lines", "machine.cores=1\n2"},
                                         {"latin1", "machine.description=caf\xE9"}};
              },
          .origin = "--set",
          .longest = 256,
          .words = {"machine.", "=", "[", "{", ": ", "&a ", "*a", "!!str ", "~"}};
}

}  // namespace oscsim::fuzz
