// SPDX-License-Identifier: Apache-2.0
#include "models/cost/cost_table.h"
#include "tests/fuzz/readers/yaml.h"

namespace oscsim::fuzz {

Reader costs_reader() {
  return {.name = "costs",
          .read = read_yaml<cost::CostTable>,
          .seeds = [] { return yaml_seeds(files_of("configs/costs", ".yaml")); },
          .longest = 8192,
          .words = {"value", "class", "source", "assumed", "0.1pJ", "36um2", "50mW/mm2", "64KiB"}};
}

}  // namespace oscsim::fuzz
