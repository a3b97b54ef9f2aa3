// SPDX-License-Identifier: Apache-2.0
// Readers of files that are one parameter structure.
#pragma once

#include "sim/config/document.h"
#include "sim/config/reader.h"
#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {

template <ParameterStruct P>
void read_yaml(std::string_view input) {
  config::Problems problems;
  const config::Node document = config::load_text(std::string(input), kFile, problems);
  config::read<P>(document, problems);
  problems.throw_if_any();
}

}  // namespace oscsim::fuzz
