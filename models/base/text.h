// SPDX-License-Identifier: Apache-2.0
// Text of others in messages: valid UTF-8, short, and without what would steer a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace oscsim {

// Bytes of the UTF-8 character at the start of `text`, or 0 when there is no valid one (RFC 3629).
std::size_t utf8_length(std::string_view text);

// Index of the first byte that is not UTF-8; npos when all are.
std::size_t first_invalid_utf8(std::string_view text);

// What a message repeats of a name, a number or a value: 60 letters, and how long it is when it is longer:
// "aaa… (1,048,576 bytes)". Control characters become blanks, bytes that are not UTF-8 U+FFFD.
std::string excerpt(std::string_view text);

// A whole message as a terminal gets it. What stands in quotes and is longer than a path can well be becomes its
// excerpt, and so does such a word; control characters become '?', bytes that are not UTF-8 U+FFFD.
std::string printable(std::string_view message);

}  // namespace oscsim
