// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "models/base/error.h"
#include "sim/config/json_output.h"
#include "sim/sweep/sweep_file.h"

namespace oscsim::sweep {

enum class Scale : std::uint8_t { linear, log2, log10 };

}  // namespace oscsim::sweep

template <>
struct oscsim::EnumNames<oscsim::sweep::Scale> {
  using Scale = oscsim::sweep::Scale;
  static constexpr std::pair<std::string_view, Scale> kValues[] = {
      {"linear", Scale::linear}, {"log2", Scale::log2}, {"log10", Scale::log10}};
};

namespace oscsim::sweep {
namespace {

using config::Node;
using config::Problems;

constexpr std::int64_t kMostValues = 100'000;                     // of one axis
constexpr double kLargestWhole = static_cast<double>(1LL << 53);  // above, a double skips whole numbers

struct RangeParams {
  Unread from, to, step;
  Scale scale = Scale::linear;
  std::optional<std::int64_t> count;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("from", self.from, {.required = true, .meaning = "first value"});
    visit("to", self.to, {.required = true, .meaning = "last value"});
    visit("scale", self.scale, {.meaning = "linear, log2 or log10"});
    visit("count", self.count,
          {.min = 2, .max = static_cast<double>(kMostValues), .meaning = "values, both ends included"});
    visit("step", self.step, {.meaning = "distance of two values; linear only"});
  }
};

// Holds the span and the ratio of any two doubles.
using Real = long double;
static_assert(std::numeric_limits<Real>::max_exponent > 2 * std::numeric_limits<double>::max_exponent);

// A range's values in base units; the last bits of a power are rounded away.
class Range {
 public:
  Range(const Parameter& parameter, const Node& node, Problems& problems)
      : parameter_(parameter), node_(node), problems_(problems) {}

  std::vector<Node> values() {
    const std::size_t before = problems_.size();
    params_ = config::read<RangeParams>(node_, problems_, parameter_.path);
    if (problems_.size() > before) return {};
    from_ = number("from", params_.from.node);
    to_ = number("to", params_.to.node);
    const bool has_step = params_.step.node.kind() != Node::Kind::null;
    if (has_step) step_ = number("step", params_.step.node);
    if (problems_.size() == before) check(has_step);
    if (problems_.size() > before) return {};
    std::vector<Node> values;
    for (std::int64_t i = 0; i < count_; ++i)
      values.push_back(Node::scalar(node_.place(), text_of(parameter_, at(i)), false));
    return values;
  }

 private:
  double number(std::string_view key, const Node& node) {
    const std::string name = fmt::format("{}.{}", parameter_.path, key);
    if (node.kind() != Node::Kind::scalar) {
      problems_.add(node.place(), fmt::format("{} must be a value, found {}", name, node.description()));
      return 0;
    }
    const auto parsed = number_of(parameter_, node.text());
    if (!parsed.value) problems_.add(node.place(), fmt::format("{}: {}", name, parsed.problem));
    if (parsed.value && parameter_.is_whole && std::abs(*parsed.value) >= kLargestWhole)
      problems_.add(node.place(),
                    fmt::format("{}: 2^53 or more, where a range is not exact: give a list of values", name));
    return parsed.value.value_or(0);
  }

  void wrong(std::string message) {
    problems_.add(node_.place(), fmt::format("{}: {}", parameter_.path, std::move(message)));
  }

  void check(bool has_step) {
    const bool linear = params_.scale == Scale::linear;
    if (!(from_ < to_)) return wrong("from must be less than to");
    if (!linear && from_ <= 0) return wrong(fmt::format("a {} scale must begin above 0", name_of(params_.scale)));
    if (has_step && !linear) return wrong("step is for the linear scale; give count");
    if (has_step && params_.count) return wrong("step and count are given; one is enough");
    if (linear && !has_step && !params_.count) return wrong("a linear range needs count or step");
    if (has_step && step_ <= 0) return wrong("step must be above 0");
    if (params_.count) {
      count_ = *params_.count;
    } else {
      const double base = params_.scale == Scale::log2 ? 2 : 10;
      const Real steps = linear ? (to_ - from_) / step_ : std::log(to_ / from_) / std::log(Real(base));
      if (!(steps <= kMostValues)) return wrong(fmt::format("more than {} values", kMostValues));
      count_ = static_cast<std::int64_t>(std::floor(steps + 1e-9L)) + 1;
      if (!linear) ratio_ = base;
    }
    const auto intervals = static_cast<Real>(count_ - 1);
    if (!linear && ratio_ == 0) ratio_ = std::pow(to_ / from_, 1 / intervals);
    if (linear && !has_step) step_ = (to_ - from_) / intervals;
  }

  double at(std::int64_t i) const {
    const auto position = static_cast<Real>(i);
    if (i == 0) return static_cast<double>(from_);
    if (params_.count && i == count_ - 1) return static_cast<double>(to_);
    const auto value = static_cast<double>(ratio_ == 0 ? from_ + step_ * position : from_ * std::pow(ratio_, position));
    constexpr int kDigits = 12;
    constexpr double kNeedsMore = 1e11;  // whole numbers from here on keep all their digits
    if (parameter_.is_whole && std::abs(value) >= kNeedsMore) return value;
    return std::strtod(fmt::format("{:.{}g}", value, kDigits).c_str(), nullptr);  // std::stod refuses subnormal numbers
  }

  const Parameter& parameter_;
  const Node& node_;
  Problems& problems_;
  RangeParams params_;
  Real from_ = 0, to_ = 0, step_ = 0, ratio_ = 0;  // ratio 0: linear
  std::int64_t count_ = 0;
};

std::vector<Node> values_of(const Parameter& parameter, const Node& node, Problems& problems) {
  if (node.kind() == Node::Kind::map) {
    if (parameter.is_number) return Range(parameter, node, problems).values();
    if (!parameter.type.empty())
      problems.add(node.place(),
                   fmt::format("{} is no number (it is: {}): give a list of values", parameter.path, parameter.type));
    return {};
  }
  if (node.kind() != Node::Kind::sequence || node.items().empty()) {
    problems.add(node.place(),
                 fmt::format("{} must be a list of values such as [a, b], or a range {{from: a, to: b, count: n}}, "
                             "found {}",
                             parameter.path,
                             node.items().empty() && node.kind() == Node::Kind::sequence ? "an empty list"
                                                                                         : node.description()));
    return {};
  }
  return {node.items().begin(), node.items().end()};
}

// The same value, or the same combination, twice.
void refuse_repeated(const Axis& axis, Problems& problems) {
  std::set<std::string> seen;
  for (const std::vector<AxisValue>& values : axis.values) {
    std::string shown, plain;
    for (const AxisValue& value : values) {
      shown += (shown.empty() ? "" : ", ") + value.text;
      plain += config::json_text(value.plain) + "\n";
      // What is no number where one belongs is for the parameter's reader to report.
      if (value.plain.is_null()) plain += value.text;
    }
    if (!seen.insert(plain).second)
      problems.add(values.front().node.place(),
                   fmt::format("{}: {} is there already", axis.parameters.front().path, config::excerpt(shown)));
  }
}

}  // namespace

AxisValue axis_value(const Parameter& parameter, Node node) {
  AxisValue value{std::move(node), {}, {}};
  value.text = value_text(value.node);
  value.plain = plain_value(parameter, value.node);
  return value;
}

std::optional<Axis> read_axis(const Node::Entry& entry, Problems& problems) {
  const auto parameter = parameter_of(entry.key, entry.key_place, problems);
  if (!parameter) return std::nullopt;
  Axis axis{{*parameter}, {}};
  for (Node& node : values_of(*parameter, entry.value, problems))
    axis.values.push_back({axis_value(*parameter, std::move(node))});
  refuse_repeated(axis, problems);
  return axis;
}

std::optional<Axis> read_linked(const Node& group, Problems& problems) {
  if (group.kind() != Node::Kind::map || group.entries().empty()) {
    problems.add(group.place(),
                 fmt::format("a group of linked axes must be a map of axes, found {}", group.description()));
    return std::nullopt;
  }
  Axis axis;
  std::vector<std::vector<Node>> columns;
  bool is_complete = true;
  for (const Node::Entry& entry : group.entries()) {
    const auto parameter = parameter_of(entry.key, entry.key_place, problems);
    if (!parameter) {
      is_complete = false;
      continue;
    }
    const std::size_t before = problems.size();
    columns.push_back(values_of(*parameter, entry.value, problems));
    is_complete &= problems.size() == before;
    axis.parameters.push_back(*parameter);
    if (is_complete && columns.back().size() != columns.front().size()) {
      problems.add(entry.value.place(),
                   fmt::format("{} has {} values, but {}, which it is linked with, has {}", entry.key,
                               columns.back().size(), axis.parameters.front().path, columns.front().size()));
      is_complete = false;
    }
  }
  if (!is_complete) return std::nullopt;
  for (std::size_t i = 0; i < columns.front().size(); ++i) {
    std::vector<AxisValue>& values = axis.values.emplace_back();
    for (std::size_t column = 0; column < columns.size(); ++column)
      values.push_back(axis_value(axis.parameters[column], std::move(columns[column][i])));
  }
  refuse_repeated(axis, problems);
  return axis;
}

std::optional<Axis> read_points(const Node& list, Problems& problems) {
  if (list.kind() != Node::Kind::sequence || list.items().empty()) {
    problems.add(list.place(),
                 fmt::format("points must be a list of maps, found {}",
                             list.items().empty() && list.kind() == Node::Kind::sequence ? "an empty list"
                                                                                         : list.description()));
    return std::nullopt;
  }
  Axis axis;
  const Node& first = list.items().front();
  for (const Node::Entry& entry : first.entries())
    if (const auto parameter = parameter_of(entry.key, entry.key_place, problems))
      axis.parameters.push_back(*parameter);
  for (const Node& point : list.items()) {
    if (point.kind() != Node::Kind::map) {
      problems.add(point.place(), fmt::format("a point must be a map of values, found {}", point.description()));
      continue;
    }
    std::vector<AxisValue> values;
    for (const Parameter& parameter : axis.parameters) {
      const Node* node = point.find(parameter.path);
      if (node != nullptr)
        values.push_back(axis_value(parameter, *node));
      else
        problems.add(point.place(),
                     fmt::format("the point has no {}; every point gives the same parameters", parameter.path));
    }
    for (const Node::Entry& entry : point.entries())
      if (first.find(entry.key) == nullptr)
        problems.add(entry.key_place, fmt::format("'{}' is not in the first point; every point gives the same "
                                                  "parameters",
                                                  config::excerpt(entry.key)));
    if (!values.empty() && values.size() == axis.parameters.size()) axis.values.push_back(std::move(values));
  }
  refuse_repeated(axis, problems);
  return axis;
}

}  // namespace oscsim::sweep
