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

constexpr std::int64_t kLargestGroup = std::numeric_limits<std::int16_t>::max();  // channels are int16
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

double mean_magnitude(MatrixView x) {
  std::vector<double> rows(static_cast<std::size_t>(x.rows()));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, x.rows(), 16), [&](const auto& range) {
    std::vector<float> buffer;
    for (std::int64_t row = range.begin(); row < range.end(); ++row)
      rows[static_cast<std::size_t>(row)] = row_magnitude(x, row, buffer);
  });
  double sum = 0;
  for (const double row : rows) sum += row;
  const double elements = static_cast<double>(x.rows()) * static_cast<double>(x.cols());
  return elements == 0 ? 0 : sum / elements;
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
std::vector<std::int64_t> count_maxima(MatrixView x, std::int64_t group, double threshold) {
  std::vector<std::int64_t> hits(static_cast<std::size_t>(x.cols()));
  const auto limit = threshold_code<Code>(x.dtype(), threshold);
  const auto grain = static_cast<std::size_t>(std::max<std::int64_t>(1, kStripe / group));
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, tiles_of(x.cols(), group), grain),
                    [&](const auto& range) { count_maxima<Code>(x, group, limit, range.begin(), range.end(), hits); });
  return hits;
}

}  // namespace

Calibration calibrate(MatrixView x, std::int64_t group, double alpha) {
  if (group < 1 || group > kLargestGroup) input_error("group of {} channels; allowed: 1 to {}", group, kLargestGroup);
  if (!(alpha >= 0) || !std::isfinite(alpha)) input_error("alpha = {}; allowed: any finite number >= 0", alpha);
  Calibration result;
  result.table.group = group;
  result.threshold = alpha * mean_magnitude(x);
  const std::vector<std::int64_t> hits = x.dtype() == Dtype::fp32
                                             ? count_maxima<std::uint32_t>(x, group, result.threshold)
                                             : count_maxima<std::uint16_t>(x, group, result.threshold);
  std::int64_t groups_with_outliers = 0;
  for (auto begin = hits.begin(); begin != hits.end();) {
    const auto end = begin + std::min<std::int64_t>(group, hits.end() - begin);
    const auto mode = std::max_element(begin, end);
    std::int64_t total = 0;
    for (auto count = begin; count != end; ++count) total += *count;
    const double density = static_cast<double>(*mode) / static_cast<double>(total);
    result.table.channels.push_back(static_cast<std::int16_t>(total == 0 ? -1 : mode - begin));
    result.density.push_back(total == 0 ? std::numeric_limits<double>::quiet_NaN() : density);
    if (total > 0) {
      result.mean_density += density;
      ++groups_with_outliers;
    }
    begin = end;
  }
  if (groups_with_outliers > 0) result.mean_density /= static_cast<double>(groups_with_outliers);
  return result;
}

}  // namespace oscsim
