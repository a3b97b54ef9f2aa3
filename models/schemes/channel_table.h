// SPDX-License-Identifier: Apache-2.0
// The suppression table of OSC (arXiv 2604.12782, offline stage): the outlier channel of each group of K channels.
#pragma once

#include <cstdint>
#include <vector>

#include "models/numerics/matrix.h"

namespace oscsim {

// Local channel index 0..group-1 of each group, or -1: no outlier, the group's branch column stays zero.
struct ChannelTable {
  std::int64_t group = 0;
  std::vector<std::int16_t> channels;  // [ceil(k / group)]

  friend bool operator==(const ChannelTable&, const ChannelTable&) = default;
};

struct Calibration {
  ChannelTable table;
  double threshold = 0;         // alpha * mean(abs(x)) over all of x
  std::vector<double> density;  // per group: share of the tokens above the threshold whose maximum sits in the table's
                                // channel; NaN for a group that no token exceeds
  double mean_density = 0;      // over the groups that have one; 0 when none has
};

// The paper's rule: for each group, the most frequent argmax of abs(x) among the tokens whose group maximum exceeds
// alpha * mean(abs(x)); ties (in the argmax and in the mode) take the lowest index. x is [tokens, k], finite.
// A group at the tail may be shorter. Parallel; the result does not depend on the number of threads.
Calibration calibrate(numerics::MatrixView x, std::int64_t group, double alpha);

}  // namespace oscsim
