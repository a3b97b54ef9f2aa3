// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/channel_table_file.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

Reader channel_table_reader() {
  return {.name = "channel_table",
          .read = [](std::string_view input) { read_channel_tables(kFile, std::string(input)); },
          .seeds =
              [] {
                return yaml_seeds(
                    {{"two_tables",
                      "schema: 1\ngroup: 4\nalpha: 5\nsource: a.safetensors\nfiles:\n"
                      "  - {file: a.safetensors, sha256: 00}\ntables:\n"
                      "  - {input: a, position: down_in, decision: osc, tokens: 9, threshold: 1.5,\n"
                      "     density: 0.5, channels: [3, -1], above: [2, 0], hits: [1, 0]}\n"
                      "  - {input: b, decision: fallback, channels: [0]}\n"},
                     {"beyond_the_group", "schema: 1\ngroup: 4\ntables: [{input: a, channels: [4]}]\n"},
                     {"twice", "schema: 1\ngroup: 4\ntables: [{input: a, channels: [0]}, {input: a, channels: [0]}]\n"},
                     {"more_hits", "schema: 1\ngroup: 4\ntables: [{input: a, channels: [0], above: [1], hits: [2]}]\n"},
                     {"no_table", "schema: 1\ngroup: 4\ntables: []\n"}});
              },
          .words = {"channels", "above", "hits", "[-1, 0, 1]", "32767", "osc", "fallback"}};
}

}  // namespace oscsim::fuzz
