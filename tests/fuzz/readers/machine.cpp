// SPDX-License-Identifier: Apache-2.0
#include "models/units/machine.h"

#include "tests/fuzz/readers/yaml.h"

namespace oscsim::fuzz {

Reader machine_reader() {
  return {.name = "machine",
          .read = read_yaml<units::MachineParams>,
          .seeds = [] { return yaml_seeds(files_of("configs/machines", ".yaml")); },
          .words = {"cores", "null", "64KiB", "1.65GHz", "5TB/s", "92cycles", "16B/cycle", "own", "true"}};
}

}  // namespace oscsim::fuzz
