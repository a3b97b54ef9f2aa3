// SPDX-License-Identifier: Apache-2.0
// A sweep as one Slurm array job and a merge job behind it. Each task is `oscsim sweep ... --shard i/n`, which can run
// twice, be killed and be queued again: it goes on where its rows end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/sweep/folder.h"

namespace oscsim::sweep {

inline constexpr std::int64_t kMostTasks = 1000;  // of one array

struct SlurmJob {
  std::string program;  // path of oscsim
  std::string file;     // sweep file
  std::filesystem::path folder;
  std::int64_t shards = 1;
  std::vector<std::int64_t> left;  // shards with work to do
  std::int64_t jobs = 1;           // workers, and CPUs, of a task
  std::int64_t minutes = 60;       // time limit of a task
  bool retry_failed = false;
  std::string limits;                // --time-limit and --cycle-limit of its points, as the command line has them
  std::vector<std::string> options;  // more of sbatch, such as --partition=main
};

// InputError for names that a batch script cannot hold: control characters, which would begin lines of their own; in
// the folder's name also '"' and '\', which #SBATCH --output gives another meaning ('%' it takes doubled).
void require_scriptable(const SlurmJob& job);

// Scripts as sbatch takes them; InputError as above.
std::string array_script(const SlurmJob& job);
std::string merge_script(const SlurmJob& job);

// "1-3,5"
std::string ranges_text(const std::vector<std::int64_t>& numbers);

struct Submitted {
  std::string array_job, merge_job;
  std::int64_t shards = 1;
};

// Writes the scripts into the folder and submits them. InputError with what sbatch says.
Submitted submit(const SlurmJob& job);
std::optional<Submitted> submitted(const Folder& folder);

// Shards' states as squeue knows them ("RUNNING"); empty without squeue and for jobs that have ended.
std::map<std::int64_t, std::string> queue_states(const Submitted& job);

}  // namespace oscsim::sweep
