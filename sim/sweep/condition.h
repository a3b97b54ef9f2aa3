// SPDX-License-Identifier: Apache-2.0
// Conditions on points: "A op B", several joined by "or". A and B are made of parameters, numbers, quantities with
// units, names, + - * / and parentheses. Quantities are in base units. A comparison with an absent value is false.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "sim/config/problems.h"

namespace oscsim::sweep {

// Absent, a number in base units, or text (truth values too: "true").
using Value = std::variant<std::monostate, double, std::string>;

class Condition {
 public:
  // What a path stands for.
  using Lookup = std::function<Value(const std::string& path)>;

  // Faults go to `problems` at `place`; the condition then holds for nothing.
  Condition(const std::string& text, const config::Place& place, config::Problems& problems);
  ~Condition();
  Condition(Condition&&) noexcept;
  Condition& operator=(Condition&&) noexcept;

  bool holds(const Lookup& lookup) const;
  const std::vector<std::string>& paths() const { return paths_; }  // that it asks for
  const config::Place& place() const { return place_; }

  struct Expression;

 private:
  config::Place place_;
  std::vector<std::string> paths_;
  std::unique_ptr<Expression> root_;
};

}  // namespace oscsim::sweep
