// SPDX-License-Identifier: Apache-2.0
// A sweep: its file, read and checked, and its points.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sim/sweep/axis.h"
#include "sim/sweep/condition.h"
#include "sim/sweep/resolver.h"
#include "sim/sweep/sweep_file.h"

namespace oscsim::sweep {

inline constexpr std::int64_t kMostPoints = 1'000'000;

// The value of each axis, by its index.
using Point = std::vector<std::uint32_t>;

struct Sweep {
  std::string file, name, sha256;
  SweepFile head;
  std::vector<Axis> axes;  // the last one varies fastest; a list of points is one axis
  std::vector<Condition> conditions;
  std::shared_ptr<Resolver> resolver;
  std::vector<Point> points;  // in sweep order

  std::vector<Choice> choices(const Point& point) const;
};

// `argument` is a file, or a name in configs/sweeps. InputError with everything that is wrong with it.
Sweep read_sweep(const std::string& argument);

// As read_sweep, of a file's content, but without the points. Files that the base names are not read anew when they
// are in `files`.
Sweep read_sweep(const std::filesystem::path& path, std::string text, RunFiles files = {});

// The grid's points that meet the conditions, or the seeded choice of them, in grid order.
std::vector<Point> points_of(const Sweep& sweep);

}  // namespace oscsim::sweep
