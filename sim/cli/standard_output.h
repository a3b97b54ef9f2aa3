// SPDX-License-Identifier: Apache-2.0
// Standard output that may be a pipe whose reader has gone, or closed.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace oscsim {

// A reader that goes away does not kill the program, and a stream that the caller closed is /dev/null, so that no file
// we open takes its number.
void prepare_standard_streams();

// Everything or, when the reader has gone, as much as it took. InputError when it cannot be written for another reason.
void print(std::string_view text);

// A line on standard error about what was done otherwise than the caller may think.
void print_note(std::string_view text);

// Of the terminal that a standard stream writes to; none when it is not one.
std::optional<std::size_t> terminal_columns(int stream);

}  // namespace oscsim
