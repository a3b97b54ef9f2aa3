// SPDX-License-Identifier: Apache-2.0
// What `oscsim describe format` shows: derived from the tables and the arithmetic of models/numerics.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "models/numerics/format.h"

namespace oscsim {

// A table of all formats, the last column broken to fit in `width` characters.
std::string formats_text(std::span<const numerics::FormatInfo> formats, std::size_t width);
std::string format_text(const numerics::FormatInfo& format, std::size_t width);
nlohmann::ordered_json format_json(const numerics::FormatInfo& format);

}  // namespace oscsim
