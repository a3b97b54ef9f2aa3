// SPDX-License-Identifier: Apache-2.0
// Everything that is wrong with the user's files, with its position, collected so that one run reports it all.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim::config {

// Where a value was written.
struct Place {
  std::shared_ptr<const std::string> origin;  // a file as the user named it, or the text of a --set option
  int line = 0;                               // from 1; 0: the origin as a whole
  int column = 0;                             // from 1, in bytes

  std::string_view whole_text() const;  // of the origin alone
  std::string text() const;             // "configs/machines/edge.yaml:14:9"
};

// A place without line: a whole file or a --set option.
Place whole(std::string origin);

class Problems {
 public:
  // `message` may have further lines, indented by two blanks.
  void add(const Place& place, std::string message);

  void merge(const Problems& others);

  // Those at places of one origin.
  Problems of_origin(std::string_view origin) const;

  bool empty() const { return found_.empty(); }
  std::size_t size() const { return found_.size(); }

  // One "place: message" per problem; origins in the order in which they were first reported, then by line and column.
  // After kShown of them the rest is only counted.
  std::string text() const;

  // Throws one InputError that holds all of them.
  void throw_if_any() const;

  static constexpr std::size_t kShown = 50;

 private:
  struct Problem {
    Place place;
    std::string message;
    std::size_t origin_rank;
  };
  std::vector<Problem> found_;
};

}  // namespace oscsim::config
