// SPDX-License-Identifier: Apache-2.0
// The two kinds of failure, split by whose fault it is, and the name suggestions that error messages carry.
#pragma once

#include <fmt/format.h>

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim {

// The user's input is wrong. Caught once, in sim/cli: the message is printed as it is and the exit status is 2.
// The message names the file and line where there is one, what was found and what is allowed.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A defect of ours: an invariant does not hold. Exit status 3. The message carries values, time and module path.
class DefectError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

template <class... Args>
[[noreturn]] void input_error(fmt::format_string<Args...> text, Args&&... args) {
  throw InputError(fmt::format(text, std::forward<Args>(args)...));
}

// Throws DefectError with the formatted text unless `condition` holds.
template <class... Args>
constexpr void ensure(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) [[unlikely]]
    throw DefectError(fmt::format(text, std::forward<Args>(args)...));
}

// The candidate with the smallest edit distance to `name`; empty when none is close.
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

// "; did you mean 'x'?" or an empty string.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

// "a, b, c" in the given order.
std::string joined(std::span<const std::string> names);

}  // namespace oscsim
