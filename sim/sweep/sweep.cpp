// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/sweep.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "models/base/error.h"
#include "sim/config/document.h"
#include "sim/config/files.h"
#include "sim/workload/counter_random.h"
#include "sim/workload/sha256.h"

namespace oscsim::sweep {

using config::Node;
using config::Problems;

void read_value(const Node& node, Unread& value, const config::ValueContext&) {
  value.node = node;
}

nlohmann::ordered_json value_to_json(const Unread&) {
  return {};
}

void BaseParams::check(std::vector<std::string>& problems) const {
  const int given = (trace ? 1 : 0) + (generate ? 1 : 0) + (gemms.empty() ? 0 : 1);
  if (given != 1)
    problems.push_back(
        fmt::format("{} of trace, generate and gemms; give one of them", given == 0 ? "none" : "several"));
}

namespace {

bool is_given(const Unread& value) {
  return value.node.kind() != Node::Kind::null;
}

// Reads axes, groups and points, whatever there is.
void read_axes(Sweep& sweep, Problems& problems) {
  const SweepFile& head = sweep.head;
  const auto add = [&](std::optional<Axis> axis) {
    if (axis) sweep.axes.push_back(std::move(*axis));
  };
  const Node& axes = head.axes.node;
  if (is_given(head.axes)) {
    if (axes.kind() != Node::Kind::map)
      problems.add(axes.place(),
                   fmt::format("axes must be a map from parameters to their values, found {}", axes.description()));
    for (const Node::Entry& entry : axes.entries()) add(read_axis(entry, problems));
  }
  const Node& linked = head.linked.node;
  if (is_given(head.linked)) {
    if (linked.kind() != Node::Kind::sequence)
      problems.add(linked.place(), fmt::format("linked must be a list of groups, found {}", linked.description()));
    for (const Node& group : linked.items()) add(read_linked(group, problems));
  }
  const Node& points = head.points.node;
  if (!is_given(head.points)) return;
  for (const Unread* other : {&head.axes, &head.linked})
    if (is_given(*other)) problems.add(other->node.place(), "points stand instead of axes and linked: give one");
  if (head.random) problems.add(points.place(), "random chooses from axes: give one of random and points");
  add(read_points(points, problems));
}

// Each parameter varies once, and none lies inside another one.
void refuse_overlaps(const Sweep& sweep, Problems& problems) {
  std::vector<const Parameter*> all;
  for (const Axis& axis : sweep.axes)
    for (const Parameter& parameter : axis.parameters) all.push_back(&parameter);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i]->path == all[j]->path) problems.add(all[i]->place, fmt::format("{} varies twice", all[i]->path));
      for (const auto& [inner, outer] : {std::pair(all[i], all[j]), std::pair(all[j], all[i])})
        if (!outer->keys.empty() && inner->path.starts_with(outer->path + "."))
          problems.add(inner->place, fmt::format("{} lies inside {}, which varies too", inner->path, outer->path));
    }
}

// What is wrong with a parameter whatever its value is reported once.
bool is_known(const Parameter& parameter, Resolver& resolver, Problems& problems) {
  if (!resolver.reaches(parameter, problems)) return false;
  if (!parameter.type.empty()) return true;
  const AxisValue probe{Node::scalar(parameter.place, "0", false), "0", {}};
  const Choice choice{&parameter, &probe};
  const std::size_t before = problems.size();
  resolver.check(std::span(&choice, 1), problems);
  return problems.size() == before;
}

void check_axes(Sweep& sweep, Problems& problems) {
  for (const Axis& axis : sweep.axes) {
    bool all_known = true;
    for (const Parameter& parameter : axis.parameters) all_known &= is_known(parameter, *sweep.resolver, problems);
    if (!all_known) continue;
    for (const std::vector<AxisValue>& values : axis.values) {
      std::vector<Choice> choices;
      for (std::size_t i = 0; i < values.size(); ++i) choices.push_back({&axis.parameters[i], &values[i]});
      sweep.resolver->check(choices, problems);
    }
  }
}

// Its paths, what they are compared with, and the names of that.
void check_condition(const Condition& condition, Sweep& sweep, Problems& problems) {
  const std::size_t before = problems.size();
  std::map<std::string, Parameter> parameters;
  for (const std::string& path : condition.paths()) {
    const auto parameter = parameter_of(path, condition.place(), problems);
    if (parameter && is_known(*parameter, *sweep.resolver, problems)) parameters.emplace(path, *parameter);
  }
  if (problems.size() > before) return;
  condition.check_kinds([&](const std::string& path) { return parameters.at(path).is_number; }, problems);
  if (problems.size() > before) return;
  for (const auto& [path, name] : condition.names()) {
    const AxisValue value{Node::scalar(condition.place(), name, false), name, {}};
    const Choice choice{&parameters.at(path), &value};
    sweep.resolver->check(std::span(&choice, 1), problems);
  }
}

void read_conditions(Sweep& sweep, Problems& problems) {
  const Node& where = sweep.head.where.node;
  if (!is_given(sweep.head.where)) return;
  if (where.kind() != Node::Kind::sequence)
    return problems.add(where.place(),
                        fmt::format("where must be a list of conditions, found {}", where.description()));
  for (const Node& item : where.items()) {
    if (item.kind() != Node::Kind::scalar) {
      problems.add(item.place(), fmt::format("a condition must be a text, found {}", item.description()));
      continue;
    }
    check_condition(sweep.conditions.emplace_back(item.text(), item.place(), problems), sweep, problems);
  }
}

// The digits of a point's number, the last axis being the last digit.
Point point_at(const Sweep& sweep, std::uint64_t index) {
  Point point(sweep.axes.size());
  for (std::size_t i = sweep.axes.size(); i-- > 0;) {
    const std::uint64_t values = sweep.axes[i].values.size();
    point[i] = static_cast<std::uint32_t>(index % values);
    index /= values;
  }
  return point;
}

class Conditions {
 public:
  explicit Conditions(const Sweep& sweep) : sweep_(sweep) {
    Problems none;
    for (const Condition& condition : sweep.conditions)
      for (const std::string& path : condition.paths()) {
        std::optional<Parameter> parameter = parameter_of(path, condition.place(), none);
        ensure(parameter.has_value(), "a condition's path {} was not checked", path);
        parameters_.emplace(path, std::move(*parameter));
      }
  }

  bool hold(const Point& point) const {
    const std::vector<Choice> choices = sweep_.choices(point);
    const auto lookup = [&](const std::string& path) -> Value {
      for (const Choice& choice : choices)
        if (choice.parameter->path == path) return value_of(*choice.value);
      return sweep_.resolver->base_value(parameters_.at(path), choices);
    };
    return std::ranges::all_of(sweep_.conditions, [&](const Condition& c) { return c.holds(lookup); });
  }

 private:
  static Value value_of(const AxisValue& value) {
    if (value.plain.is_number()) return value.plain.get<double>();
    if (value.plain.is_null()) return {};
    return value.text;
  }

  const Sweep& sweep_;
  std::map<std::string, Parameter> parameters_;
};

std::vector<Point> drawn_points(const Sweep& sweep, const Conditions& conditions, std::uint64_t total) {
  const RandomParams& random = *sweep.head.random;
  const std::uint64_t key = random_key(static_cast<std::uint64_t>(random.seed), "sweep points");
  const auto count = static_cast<std::size_t>(random.count);
  const std::uint64_t most_draws = 1000 * static_cast<std::uint64_t>(count) + 10'000;
  std::set<std::uint64_t> seen, chosen;
  for (std::uint64_t draw = 0; draw < most_draws && chosen.size() < count && seen.size() < total; ++draw) {
    const std::uint64_t index = random_bits(key, draw) % total;
    if (seen.insert(index).second && conditions.hold(point_at(sweep, index))) chosen.insert(index);
  }
  if (chosen.size() < count)
    input_error("{}: random.count is {}, but only {} different points that meet the conditions were found among {}",
                sweep.file, count, chosen.size(), total);
  std::vector<Point> points;
  for (const std::uint64_t index : chosen) points.push_back(point_at(sweep, index));
  return points;
}

}  // namespace

std::vector<Choice> Sweep::choices(const Point& point) const {
  std::vector<Choice> all;
  for (std::size_t i = 0; i < axes.size(); ++i)
    for (std::size_t j = 0; j < axes[i].parameters.size(); ++j)
      all.push_back({&axes[i].parameters[j], &axes[i].values[point[i]][j]});
  return all;
}

std::vector<Point> points_of(const Sweep& sweep) {
  constexpr std::uint64_t kLargestGrid = std::uint64_t{1} << 53;
  std::uint64_t total = 1;
  for (const Axis& axis : sweep.axes) {
    const std::uint64_t values = axis.values.size();
    if (total > kLargestGrid / values) input_error("{}: the grid has more than 2^53 points", sweep.file);
    total *= values;
  }
  const Conditions conditions(sweep);
  if (sweep.head.random) return drawn_points(sweep, conditions, total);
  if (total > static_cast<std::uint64_t>(kMostPoints))
    input_error("{}: the grid has {} points; allowed: {}; random: {{count: N}} takes some of them", sweep.file, total,
                kMostPoints);
  std::vector<Point> points;
  for (std::uint64_t index = 0; index < total; ++index)
    if (Point point = point_at(sweep, index); conditions.hold(point)) points.push_back(std::move(point));
  if (points.empty()) input_error("{}: no point of {} meets the conditions", sweep.file, total);
  return points;
}

Sweep read_sweep(const std::string& argument) {
  const std::filesystem::path path = config::locate("configs/sweeps", argument);
  Sweep sweep = read_sweep(path, config::read_file(path, config::kLargestFile));
  sweep.points = points_of(sweep);
  return sweep;
}

Sweep read_sweep(const std::filesystem::path& path, std::string text, RunFiles files) {
  Sweep sweep;
  sweep.file = path.string();
  sweep.name = path.stem().string();
  sweep.sha256 = oscsim::sha256(text);
  Problems problems;
  const Node root = config::load_text(std::move(text), sweep.file, problems);
  sweep.head = config::read<SweepFile>(root, problems);
  const Node* base = root.find("base");
  const config::Place place = base != nullptr ? base->place() : root.place();
  sweep.resolver = std::make_shared<Resolver>(sweep.head.base, path.parent_path(), std::move(files));
  if (base != nullptr) sweep.resolver->check_base(place, problems);
  read_axes(sweep, problems);
  if (sweep.axes.empty() && problems.empty()) problems.add(root.place(), "nothing varies: give axes, linked or points");
  refuse_overlaps(sweep, problems);
  check_axes(sweep, problems);
  read_conditions(sweep, problems);
  problems.throw_if_any();
  return sweep;
}

}  // namespace oscsim::sweep
