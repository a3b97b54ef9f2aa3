// SPDX-License-Identifier: Apache-2.0
#include "sim/config/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "models/base/error.h"

namespace oscsim::config {

std::string_view Place::whole_text() const {
  return origin ? std::string_view(*origin) : "(no file)";
}

std::string Place::text() const {
  return line == 0 ? std::string(whole_text()) : fmt::format("{}:{}:{}", whole_text(), line, column);
}

Place whole(std::string origin) {
  return {.origin = std::make_shared<const std::string>(std::move(origin))};
}

void Problems::add(const Place& place, std::string message) {
  std::size_t rank = found_.size();
  for (const Problem& earlier : found_) {
    if (earlier.place.whole_text() == place.whole_text()) {
      rank = earlier.origin_rank;
      break;
    }
  }
  found_.push_back({place, std::move(message), rank});
}

void Problems::merge(const Problems& others) {
  for (const Problem& problem : others.found_) add(problem.place, problem.message);
}

Problems Problems::of_origin(std::string_view origin) const {
  Problems problems;
  for (const Problem& problem : found_)
    if (problem.place.whole_text() == origin) problems.add(problem.place, problem.message);
  return problems;
}

std::string Problems::text() const {
  std::vector<Problem> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::tuple(a.origin_rank, a.place.line, a.place.column) <
           std::tuple(b.origin_rank, b.place.line, b.place.column);
  });
  std::string all;
  for (std::size_t i = 0; i < std::min(sorted.size(), kShown); ++i)
    all += fmt::format("{}{}: {}", i == 0 ? "" : "\n", sorted[i].place.text(), sorted[i].message);
  if (sorted.size() > kShown) all += fmt::format("\nand {} more", sorted.size() - kShown);
  return all;
}

void Problems::throw_if_any() const {
  if (!found_.empty()) throw InputError(text());
}

}  // namespace oscsim::config
