// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/generate.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

Reader csv_reader() {
  return {
      .name = "csv",
      .read = [](std::string_view input) { to_yaml(read_csv(kFile, std::string(input))); },
      .seeds =
          [] {
            return std::vector<Seed>{
                {"gemms", "Layer,M,N,K,\nqkv,4,8,16,\nout,4,16,8,\n"},
                {"bare", "a,1,2,3\r\nb,4,5,6\r\n"},
                {"nameless", "1,2,3\n4,5,6\n"},
                {"quoted", "Layer,M,N,K\n\"a, \"\"b\"\"\",1,2,3\n\"c\nd\",1,2,3\n"},
                {"fifth", "Layer,M,N,K,Sparsity\na,1,2,3,1:1\n"},
                {"convolutions",
                 "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
                 "Conv1, 224, 224, 7, 7, 3, 64, 2,\nFC, 1, 1, 1, 1, 512, 1000, 1,\n"},
                {"large_filter", "Conv1,5,5,7,7,3,64,1,\n"},
                {"other_heading", "Layer,M,K,N\na,1,2,3\n"},
                {"twice", "a,1,2,3\na,1,2,3\n"},
                {"brace", "a{,1,2,3\n"},
                {"open_quote", "\"a,1,2,3\n"},
                {"latin1", "caf\xE9,1,2,3\n"},
                {"overflow", "a,4294967296,4294967296,1\n"},
                {"empty", ""}};
          },
      .longest = 1024,
      .words = {"Layer", "M,N,K", "\"\"", "\r\n", "Num Filter", "Strides", "IFMAP Height", "\xEF\xBB\xBF"}};
}

}  // namespace oscsim::fuzz
