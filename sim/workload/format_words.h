// SPDX-License-Identifier: Apache-2.0
// How a format's codes and scales lie in memory, in words that are derived from the tables of models/numerics.
#pragma once

#include <string>

#include "models/numerics/element.h"
#include "models/numerics/format.h"

namespace oscsim {

// "448", "2^-127": powers of two as such where digits would hide them.
std::string number_words(double value);

// "sign bit 3, exponent bits 2-1, mantissa bit 0; bias 1"
std::string layout_words(const numerics::FloatLayout& layout);

// Of an element's code, of the metadata of a block, of the FP32 scale.
std::string element_words(const numerics::FormatInfo& info);
std::string block_scale_words(const numerics::FormatInfo& info);
std::string outer_scale_words(const numerics::FormatInfo& info);

// Codes and scales in one line.
std::string storage_words(const numerics::FormatInfo& info);

}  // namespace oscsim
