// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/name_pattern.h"

#include <vector>

#include "models/base/error.h"
#include "sim/config/node.h"

namespace oscsim {
namespace {

RE2::Options options() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);  // names need not be UTF-8
  options.set_log_errors(false);
  return options;
}

// The first ')' that closes nothing, else the last '(' that is not closed. RE2 names the whole pattern for both.
std::size_t odd_parenthesis(const std::string& pattern) {
  std::vector<std::size_t> open;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\')
      ++i;
    else if (in_class)
      in_class = pattern[i] != ']';
    else if (pattern[i] == '[')
      in_class = true;
    else if (pattern[i] == '(')
      open.push_back(i);
    else if (pattern[i] == ')' && open.empty())
      return i;
    else if (pattern[i] == ')')
      open.pop_back();
  }
  return open.empty() ? 0 : open.back();
}

// From 0.
std::size_t place_of_fault(const RE2& expression) {
  const std::string& pattern = expression.pattern();
  switch (expression.error_code()) {
    case RE2::ErrorMissingParen:
    case RE2::ErrorUnexpectedParen:
      return odd_parenthesis(pattern);
    case RE2::ErrorTrailingBackslash:
      return pattern.size() - 1;
    default:
      break;
  }
  const std::size_t found = pattern.find(expression.error_arg());
  return found == std::string::npos ? 0 : found;
}

}  // namespace

NamePattern::NamePattern(const std::string& pattern)
    : expression_(pattern.size() > kLongest ? std::string() : pattern, options()) {
  const std::string shown = config::excerpt(pattern);
  if (pattern.size() > kLongest)
    input_error("--only '{}': {} characters; allowed: up to {}", shown, pattern.size(), kLongest);
  if (expression_.ok()) return;
  const std::string& message = expression_.error();
  const bool is_perl = expression_.error_code() == RE2::ErrorBadPerlOp;
  input_error("--only '{}': not a regular expression: {} at character {}{}", shown,
              message.substr(0, message.find(':')), place_of_fault(expression_) + 1,
              is_perl ? "; RE2 has no lookahead, no lookbehind and no (?<name>...)" : "");
}

}  // namespace oscsim
