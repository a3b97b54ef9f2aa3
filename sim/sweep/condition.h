// SPDX-License-Identifier: Apache-2.0
// Conditions on points: "A op B", several joined by "or". A and B are made of parameters, numbers, quantities with
// units, + - * / and parentheses, or one is a parameter and the other one a name, with == or !=. Quantities are in base
// units. A comparison with an absent value is false.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/config/problems.h"

namespace oscsim::sweep {

// Absent, a number in base units, or text (truth values too: "true").
using Value = std::variant<std::monostate, double, std::string>;

class Condition {
 public:
  // What a path stands for.
  using Lookup = std::function<Value(const std::string& path)>;

  static constexpr std::size_t kLongest = 4096;  // bytes; assumed. Evaluation goes as deep as there are terms
  static constexpr int kDeepest = 64;            // parentheses in each other; assumed

  // Faults go to `problems` at `place`; the condition then holds for nothing.
  Condition(const std::string& text, const config::Place& place, config::Problems& problems);
  ~Condition();
  Condition(Condition&&) noexcept;
  Condition& operator=(Condition&&) noexcept;

  bool holds(const Lookup& lookup) const;
  const std::vector<std::string>& paths() const { return paths_; }  // that it asks for
  // Paths and the names that they are compared with.
  const std::vector<std::pair<std::string, std::string>>& names() const { return names_; }
  // Faults of kind: numbers are calculated with and ordered, what is no number is only equal to a name or not.
  void check_kinds(const std::function<bool(const std::string& path)>& is_number, config::Problems& problems) const;
  const config::Place& place() const { return place_; }

  struct Expression;

 private:
  config::Place place_;
  std::string text_;
  std::vector<std::string> paths_;
  std::vector<std::pair<std::string, std::string>> names_;
  std::unique_ptr<Expression> root_;
};

}  // namespace oscsim::sweep
