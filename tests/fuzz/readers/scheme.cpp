// SPDX-License-Identifier: Apache-2.0
#include "sim/run/inputs.h"
#include "tests/fuzz/readers/yaml.h"

namespace oscsim::fuzz {

Reader scheme_reader() {
  return {.name = "scheme",
          .read = read_yaml<SchemeConfig>,
          .seeds = [] { return yaml_seeds(files_of("configs/schemes", ".yaml")); },
          .words = {"mxfp4", "nvfp4", "int4", "outliers", "fallback", "mapping", "positions", "null", "[]"}};
}

}  // namespace oscsim::fuzz
