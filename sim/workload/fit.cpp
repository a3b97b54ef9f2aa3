// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "models/base/error.h"
#include "models/schemes/channel_table.h"
#include "sim/workload/activation_files.h"

namespace oscsim {
namespace {

using numerics::MatrixView;

// A group in which a smaller share of the tokens has an outlier has none in the generator's sense: of normal values
// alone, the largest of 64 exceeds the threshold of alpha = 5 (4 standard deviations) in 0.4 % of the tokens.
constexpr double kRareOutliers = 0.01;  // assumed

// Variance of the logarithm of 1 + kTokenJitter * u, u uniform in [-1, 1], to second order.
constexpr double kJitterVariance = kTokenJitter * kTokenJitter / 3;

// Logarithms of the outliers of one group.
struct Logarithms {
  double count = 0, sum = 0, squares = 0;
  double mean() const { return sum / count; }
  double deviations() const { return std::max(0.0, squares - sum * sum / count); }  // sum of their squares
};

// What the rows of one tensor show, beside the counts of calibration.
class Magnitudes {
 public:
  Magnitudes(std::int64_t k, std::int64_t group, double threshold)
      : group_(group), threshold_(threshold), groups_(static_cast<std::size_t>((k + group - 1) / group)) {}

  void add(MatrixView rows) {
    std::vector<float> row(static_cast<std::size_t>(rows.cols()));
    for (std::int64_t i = 0; i < rows.rows(); ++i) {
      rows.read(i, 0, row);
      for (std::size_t each = 0; each < groups_.size(); ++each) add(std::span<const float>(row), each);
    }
  }
  const std::vector<Logarithms>& groups() const { return groups_; }
  double body_squares() const { return squares_; }
  double body_count() const { return count_; }

 private:
  void add(std::span<const float> row, std::size_t each) {
    const std::size_t begin = each * static_cast<std::size_t>(group_);
    const auto values = row.subspan(begin, std::min(static_cast<std::size_t>(group_), row.size() - begin));
    double largest = 0;
    for (const float value : values) {
      const double magnitude = std::fabs(value);
      largest = std::max(largest, magnitude);
      if (magnitude > threshold_) continue;
      squares_ += magnitude * magnitude;
      count_ += 1;
    }
    if (!(largest > threshold_)) return;
    const double logarithm = std::log(largest);
    groups_[each].count += 1;
    groups_[each].sum += logarithm;
    groups_[each].squares += logarithm * logarithm;
  }

  std::int64_t group_;
  double threshold_;
  std::vector<Logarithms> groups_;
  double squares_ = 0, count_ = 0;
};

// Sums that make the statistics of one tensor or the mean of several.
struct Fitted {
  double groups = 0, with_outliers = 0;
  double density = 0, misses = 0;                      // sums over the groups with outliers
  double logarithm = 0, spread = 0, token_spread = 0;  // the same: log(magnitude / std), and variances
  double variance = 0, tensors = 0;

  void add(const Fitted& other) {
    groups += other.groups;
    with_outliers += other.with_outliers;
    density += other.density;
    misses += other.misses;
    logarithm += other.logarithm;
    spread += other.spread;
    token_spread += other.token_spread;
    variance += other.variance;
    tensors += other.tensors;
  }
};

// Of the groups with at least `least` outliers.
void add_magnitudes(Fitted& fitted, const Magnitudes& magnitudes, double least) {
  double outliers = 0, deviations = 0, with_several = 0, noise = 0, sum = 0, squares = 0;
  for (const Logarithms& group : magnitudes.groups()) {
    if (group.count == 0 || group.count < least) continue;
    deviations += group.deviations();
    outliers += group.count;
    with_several += 1;
    noise += 1 / group.count;
    sum += group.mean();
    squares += group.mean() * group.mean();
  }
  const double within = outliers > with_several ? deviations / (outliers - with_several) : 0;
  // The mean of a group has a variance of its own.
  const double between = with_several > 1 ? (squares - sum * sum / with_several) / (with_several - 1) : 0;
  fitted.spread = with_several * std::max(0.0, between - within * noise / with_several);
  fitted.token_spread = with_several * std::max(0.0, within - kJitterVariance);
  fitted.logarithm = sum - with_several * std::log(fitted.variance) / 2;
}

Fitted fit_tensor(const std::string& name, const TensorPlace& place, const FitOptions& options) {
  if (activation_shape(place).rows == 0) return {};  // an expert without tokens
  MeanMagnitude mean;
  for_activation_rows(name, place, [&](MatrixView rows) { mean.add(rows); });
  const double threshold = checked_alpha(options.alpha) * mean.value();
  const std::int64_t k = activation_shape(place).cols;
  OutlierCounts counts(k, options.group, threshold);
  Magnitudes magnitudes(k, options.group, threshold);
  for_activation_rows(name, place, [&](MatrixView rows) {
    counts.add(rows);
    magnitudes.add(rows);
  });
  const Calibration found = calibration_of(counts);
  Fitted fitted;
  fitted.tensors = 1;
  fitted.groups = static_cast<double>(found.above.size());
  if (magnitudes.body_count() > 0) fitted.variance = magnitudes.body_squares() / magnitudes.body_count();
  const double tokens = static_cast<double>(counts.tokens());
  for (std::size_t group = 0; group < found.above.size(); ++group) {
    const auto above = static_cast<double>(found.above[group]);
    if (above == 0 || above < kRareOutliers * tokens) continue;
    fitted.with_outliers += 1;
    fitted.misses += 1 - above / tokens;
    fitted.density += found.density[group];
  }
  if (fitted.with_outliers > 0 && !(fitted.variance > 0))
    input_error("{}: tensor '{}' is zero but for outliers; magnitudes are counted in standard deviations of the rest",
                place.file->path(), name);
  if (fitted.with_outliers > 0) add_magnitudes(fitted, magnitudes, kRareOutliers * tokens);
  return fitted;
}

PositionStatistics statistics_of(Position position, const std::optional<std::string>& layers, const Fitted& fitted) {
  PositionStatistics entry{.position = position, .layers = layers};
  entry.std = std::sqrt(fitted.variance / fitted.tensors);
  entry.bypass_rate = fitted.groups > 0 ? 1 - fitted.with_outliers / fitted.groups : 1;
  if (fitted.with_outliers == 0) return entry;
  const double groups = fitted.with_outliers;
  entry.density = std::min(1.0, fitted.density / groups);
  entry.magnitude = std::min(1e4, std::exp(fitted.logarithm / groups));
  entry.magnitude_spread = std::min(3.0, std::sqrt(fitted.spread / groups));
  entry.token_spread = std::min(3.0, std::sqrt(fitted.token_spread / groups));
  entry.miss_rate = std::clamp(fitted.misses / groups, 0.0, 1.0);
  return entry;
}

}  // namespace

SyntheticParams fit_synthetic(const FitOptions& options,
                              const std::function<void(std::size_t, std::size_t, const std::string&)>& progress) {
  const Activations activations = activations_in(options.files);
  std::map<Position, std::map<std::int64_t, Fitted>> fitted;
  std::size_t done = 0;
  for (const auto& [name, place] : activations) {
    if (progress) progress(done++, activations.size(), name);
    fitted[*position_of_name(name)][layer_of_name(name)].add(fit_tensor(name, place, options));
  }
  if (progress) progress(activations.size(), activations.size(), "");

  SyntheticParams params{.group = options.group};
  for (double* density :
       {&params.attn_in_density, &params.o_in_density, &params.ffn_in_density, &params.down_in_density})
    *density = std::max(*density, 1 / static_cast<double>(params.group));
  for (const auto& [position, layers] : fitted) {
    for (const auto& [layer, sums] : layers)
      if (layer >= 0 && sums.tensors > 0)
        params.positions.push_back(statistics_of(position, std::to_string(layer), sums));
  }
  for (const auto& [position, layers] : fitted) {
    Fitted all;
    for (const auto& [layer, sums] : layers) all.add(sums);
    if (all.tensors > 0) params.positions.push_back(statistics_of(position, std::nullopt, all));
  }
  return params;
}

}  // namespace oscsim
