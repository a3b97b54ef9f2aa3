// SPDX-License-Identifier: Apache-2.0
// A regular expression over names of GEMMs and operations (--only), in RE2's syntax: what a search takes grows with the
// name's length times the pattern's, whatever the two are. Bytes are characters.
#pragma once

#include <re2/re2.h>

#include <string>

namespace oscsim {

class NamePattern {
 public:
  static constexpr std::size_t kLongest = 4096;  // bytes of a pattern; assumed

  // InputError for what is no regular expression, with the character where it goes wrong.
  explicit NamePattern(const std::string& pattern);

  // Whether the name contains a match.
  bool is_in(const std::string& name) const { return RE2::PartialMatch(name, expression_); }

 private:
  RE2 expression_;
};

}  // namespace oscsim
