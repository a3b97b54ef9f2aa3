// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/channel_table.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "models/base/error.h"
#include "models/base/quantity.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::MatrixView;

constexpr std::int64_t kLargestTableGroup = std::numeric_limits<std::int16_t>::max();  // channels are int16
constexpr std::int64_t kMostChannels = std::int64_t{1} << 32;                          // counters of 8 bytes
constexpr std::int64_t kLanes = 8;     // partial sums of one row: part of the definition of the mean
constexpr std::int64_t kStripe = 512;  // channels that one task counts

// Sum of magnitudes of one row in double: lane l takes the elements l, l + 8, ...; then the lanes in order.
double row_magnitude(MatrixView x, std::int64_t row, std::vector<float>& buffer) {
  buffer.resize(static_cast<std::size_t>(round_up(x.cols(), kLanes)), 0.0F);
  x.read(row, 0, std::span(buffer).first(static_cast<std::size_t>(x.cols())));
  std::array<double, kLanes> lanes{};
  for (std::size_t i = 0; i < buffer.size(); i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += std::fabs(buffer[i + lane]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <class Code>
Code magnitude_at(const std::byte* source, std::int64_t index) {
  Code code;
  std::memcpy(&code, source + index * static_cast<std::int64_t>(sizeof code), sizeof code);
  return static_cast<Code>(code & std::numeric_limits<std::make_signed_t<Code>>::max());
}

// The largest magnitude code among `count` elements; codes without sign order like the values.
template <class Code>
Code largest_magnitude(const std::byte* source, std::int64_t count) {
  Code largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, magnitude_at<Code>(source, i));
  return largest;
}

// The largest magnitude code that does not exceed `threshold`: group maxima are compared as integers.
template <class Code>
Code threshold_code(Dtype dtype, double threshold) {
  Code low = 0;
  auto high = static_cast<Code>(std::numeric_limits<std::make_signed_t<Code>>::max());
  while (low < high) {
    const auto middle = static_cast<Code>(high - (high - low) / 2);
    const float value = MatrixView(&middle, dtype, 1, 1).at(0, 0);
    if (static_cast<double>(value) <= threshold)
      low = middle;
    else
      high = static_cast<Code>(middle - 1);
  }
  return low;
}

// For groups [first, last): how often each channel holds the maximum of a token that exceeds the threshold.
template <class Code>
void count_maxima(MatrixView x, std::int64_t group, Code limit, std::int64_t first, std::int64_t last,
                  std::vector<std::int64_t>& hits) {
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    const std::byte* source = x.row_data(row);
    for (std::int64_t g = first; g < last; ++g) {
      const std::int64_t begin = g * group;
      const std::int64_t count = std::min(group, x.cols() - begin);
      const std::byte* values = source + begin * static_cast<std::int64_t>(sizeof(Code));
      const Code largest = largest_magnitude<Code>(values, count);
      if (largest <= limit) continue;
      std::int64_t channel = 0;
      while (magnitude_at<Code>(values, channel) != largest) ++channel;
      ++hits[static_cast<std::size_t>(begin + channel)];
    }
  }
}

template <class Code>
void count_maxima(MatrixView x, std::int64_t group, double threshold, std::vector<std::int64_t>& hits) {
  const auto limit = threshold_code<Code>(x.dtype(), threshold);
  const auto grain = static_cast<std::size_t>(std::max<std::int64_t>(1, kStripe / group));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, tiles_of(x.cols(), group), grain),
                    [&](const auto& range) { count_maxima<Code>(x, group, limit, range.begin(), range.end(), hits); });
}

}  // namespace

void MeanMagnitude::add(MatrixView x) {
  std::vector<double> rows(static_cast<std::size_t>(x.rows()));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, x.rows(), 16), [&](const auto& range) {
    std::vector<float> buffer;
    for (std::int64_t row = range.begin(); row < range.end(); ++row)
      rows[static_cast<std::size_t>(row)] = row_magnitude(x, row, buffer);
  });
  for (const double row : rows) sum_ += row;
  elements_ += static_cast<double>(x.rows()) * static_cast<double>(x.cols());
}

double MeanMagnitude::value() const {
  return elements_ == 0 ? 0 : sum_ / elements_;
}

OutlierCounts::OutlierCounts(std::int64_t k, std::int64_t group, double threshold)
    : group_(group), threshold_(threshold) {
  if (group < 1 || group > kLargestTableGroup)
    input_error("group of {} channels; allowed: 1 to {}", group, kLargestTableGroup);
  if (k < 0 || k > kMostChannels) input_error("{} channels; allowed: at most {}", k, kMostChannels);
  hits_.resize(static_cast<std::size_t>(k));
}

void OutlierCounts::add(MatrixView rows) {
  ensure(rows.cols() == std::ssize(hits_), "rows of {} channels for counters of {}", rows.cols(), hits_.size());
  tokens_ += rows.rows();
  if (rows.dtype() == Dtype::fp32)
    count_maxima<std::uint32_t>(rows, group_, threshold_, hits_);
  else
    count_maxima<std::uint16_t>(rows, group_, threshold_, hits_);
}

std::int64_t OutlierCounts::groups() const {
  return tiles_of(std::ssize(hits_), group_);
}

std::span<const std::int64_t> OutlierCounts::hits(std::int64_t group) const {
  const std::int64_t begin = group * group_;
  return std::span(hits_).subspan(static_cast<std::size_t>(begin),
                                  static_cast<std::size_t>(std::min(group_, std::ssize(hits_) - begin)));
}

std::int64_t OutlierCounts::above(std::int64_t group) const {
  std::int64_t sum = 0;
  for (const std::int64_t count : hits(group)) sum += count;
  return sum;
}

Calibration calibration_of(const OutlierCounts& counts) {
  Calibration result;
  result.table.group = counts.group();
  result.threshold = counts.threshold();
  std::int64_t groups_with_outliers = 0;
  for (std::int64_t group = 0; group < counts.groups(); ++group) {
    const std::span<const std::int64_t> hits = counts.hits(group);
    const auto mode = std::ranges::max_element(hits);
    const std::int64_t above = counts.above(group);
    result.table.channels.push_back(static_cast<std::int16_t>(above == 0 ? -1 : mode - hits.begin()));
    result.above.push_back(above);
    result.hits.push_back(*mode);
    result.density.push_back(above == 0 ? std::numeric_limits<double>::quiet_NaN()
                                        : static_cast<double>(*mode) / static_cast<double>(above));
    if (above == 0) continue;
    result.mean_density += result.density.back();
    ++groups_with_outliers;
  }
  if (groups_with_outliers > 0) result.mean_density /= static_cast<double>(groups_with_outliers);
  return result;
}

double checked_alpha(double alpha) {
  if (!(alpha >= 0) || !std::isfinite(alpha)) input_error("alpha = {}; allowed: any finite number >= 0", alpha);
  return alpha;
}

Calibration calibrate(MatrixView x, std::int64_t group, double alpha) {
  MeanMagnitude mean;
  mean.add(x);
  OutlierCounts counts(x.cols(), group, checked_alpha(alpha) * mean.value());
  counts.add(x);
  return calibration_of(counts);
}

std::optional<double> hit_rate(const ChannelTable& table, const OutlierCounts& counts) {
  ensure(table.group == counts.group() && std::ssize(table.channels) == counts.groups(),
         "a table of {} groups of {} for counts of {} groups of {}", table.channels.size(), table.group,
         counts.groups(), counts.group());
  double sum = 0;
  std::int64_t groups = 0;
  for (std::int64_t group = 0; group < counts.groups(); ++group) {
    const std::int64_t above = counts.above(group);
    if (above == 0) continue;
    ++groups;
    const std::int16_t channel = table.channels[static_cast<std::size_t>(group)];
    if (channel < 0) continue;
    sum += static_cast<double>(counts.hits(group)[static_cast<std::size_t>(channel)]) / static_cast<double>(above);
  }
  if (groups == 0) return std::nullopt;
  return sum / static_cast<double>(groups);
}

}  // namespace oscsim
