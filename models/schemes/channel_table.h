// SPDX-License-Identifier: Apache-2.0
// The suppression table of OSC (arXiv 2604.12782, offline stage): the outlier channel of each group of K channels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/numerics/matrix.h"

namespace oscsim {

// Local channel index 0..group-1 of each group, or -1: no outlier, the group's branch column stays zero.
struct ChannelTable {
  std::int64_t group = 0;
  std::vector<std::int16_t> channels;  // [ceil(k / group)]

  friend bool operator==(const ChannelTable&, const ChannelTable&) = default;
};

// Mean magnitude of an activation whose rows arrive in chunks; the same bits whatever the chunks.
class MeanMagnitude {
 public:
  void add(numerics::MatrixView rows);
  double value() const;  // 0 when there was nothing

 private:
  double sum_ = 0;
  double elements_ = 0;
};

// How often each channel holds the largest magnitude of its group, over the tokens at which that exceeds a threshold;
// of an activation [tokens, k] whose rows arrive in chunks. A tie takes the lowest channel. A group at the tail may be
// shorter. Memory: one counter for each channel. Parallel; the result depends on neither threads nor chunks.
class OutlierCounts {
 public:
  // InputError for a group or a k out of range.
  OutlierCounts(std::int64_t k, std::int64_t group, double threshold);
  void add(numerics::MatrixView rows);  // finite

  std::int64_t group() const { return group_; }
  double threshold() const { return threshold_; }
  std::int64_t tokens() const { return tokens_; }
  std::int64_t groups() const;
  // Of the tokens above the threshold in a group, those whose maximum each channel holds.
  std::span<const std::int64_t> hits(std::int64_t group) const;
  std::int64_t above(std::int64_t group) const;  // their sum

 private:
  std::int64_t group_;
  double threshold_;
  std::int64_t tokens_ = 0;
  std::vector<std::int64_t> hits_;  // [k]
};

struct Calibration {
  ChannelTable table;
  double threshold = 0;             // alpha * mean(abs(x)) over all of x
  std::vector<std::int64_t> above;  // per group: tokens above the threshold
  std::vector<std::int64_t> hits;   // per group: of these, those whose maximum sits in the table's channel
  std::vector<double> density;      // per group: hits / above; NaN for a group that no token exceeds
  double mean_density = 0;          // over the groups that have one; 0 when none has
};

// The paper's rule on what was counted: the most frequent channel of each group, the lowest of several; -1 for a group
// that no token exceeds.
Calibration calibration_of(const OutlierCounts& counts);

// alpha, as a factor of thresholds; InputError unless finite and >= 0.
double checked_alpha(double alpha);

// The whole rule at once: for each group, the most frequent argmax of abs(x) among the tokens whose group maximum
// exceeds alpha * mean(abs(x)); ties (in the argmax and in the mode) take the lowest index. x is [tokens, k], finite.
Calibration calibrate(numerics::MatrixView x, std::int64_t group, double alpha);

// How well a table does on other tokens: the share of the counted ones whose maximum sits in the table's channel, mean
// over the groups that have any. A group with -1 protects nothing: its share is 0. Nothing when no group has any.
std::optional<double> hit_rate(const ChannelTable& table, const OutlierCounts& counts);

}  // namespace oscsim
