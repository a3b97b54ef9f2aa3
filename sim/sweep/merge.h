// SPDX-License-Identifier: Apache-2.0
// All rows of a folder in one file, in sweep order: the same bytes whatever the order, the shards and the
// interruptions.
#pragma once

#include "sim/sweep/folder.h"

namespace oscsim::sweep {

struct Counts {
  std::size_t points = 0, ok = 0, failed = 0, missing = 0;  // failed: those that died too
};

// Writes results.jsonl and results.csv.
Counts merge(const Folder& folder);

// Without writing; of the points of one shard.
Counts count(const std::vector<PointInfo>& points, const std::map<std::string, Status>& statuses, const Shard& shard);

}  // namespace oscsim::sweep
