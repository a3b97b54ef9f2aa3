// SPDX-License-Identifier: Apache-2.0
// Runs the points of a shard in workers, each point whose row is not there yet.
#pragma once

#include <functional>
#include <optional>

#include "sim/sweep/folder.h"

namespace oscsim::sweep {

// Of one point; 0: none. A point that reaches one is a failed row, which retry_failed runs again.
struct PointLimits {
  double seconds = 0;       // of wall time, from where a worker takes it
  std::int64_t cycles = 0;  // RunOptions::cycle_limit
};

struct SweepOptions {
  std::size_t jobs = 0;  // workers; 0: as many as processors
  Shard shard;
  std::optional<std::size_t> limit;  // points to run at most
  bool retry_failed = false;
  bool no_memo = false;  // every point is simulated anew; the rows are the same
  PointLimits limits;
};

// Counts of the shard's points.
struct SweepProgress {
  std::size_t total = 0;    // to run
  std::size_t earlier = 0;  // done by earlier runs
  std::size_t done = 0, failed = 0;
  std::vector<std::size_t> running;  // points that workers are at
};

enum class SweepEnd { done, interrupted };

// Keys of all points. InputError when two points are the same.
std::vector<std::string> keys_of(const Sweep& sweep);

// Writes the folder's files. `progress` is called several times a second.
SweepEnd run_sweep(const Sweep& sweep, const Folder& folder, const SweepOptions& options,
                   const std::function<void(const SweepProgress&)>& progress);

// The row of one point, in this process. Its wall time is not limited here.
std::string evaluate(const Sweep& sweep, std::size_t point, const std::string& key, SideMemo* memo,
                     std::int64_t cycle_limit = 0);

// Wall time of one point, at most its limit.
double seconds_of(const Sweep& sweep, std::size_t point, const std::string& key, const PointLimits& limits);

}  // namespace oscsim::sweep
