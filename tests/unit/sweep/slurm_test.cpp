// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/slurm.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "models/base/error.h"

namespace oscsim::sweep {
namespace {

TEST(Slurm, ArraysNameTheShardsThatAreLeft) {
  EXPECT_EQ(ranges_text({1, 2, 3, 5, 8, 9}), "1-3,5,8-9");
  EXPECT_EQ(ranges_text({4}), "4");
}

TEST(Slurm, ScriptsHoldWhatSlurmIsToDo) {
  SlurmJob job;
  job.program = "/opt/it's/oscsim";
  job.file = "/home/me/sweep.yaml";
  job.folder = "/data/100%";
  job.shards = 8;
  job.left = {2, 3};
  job.jobs = 4;
  job.minutes = 30;
  EXPECT_EQ(array_script(job),
            "#!/usr/bin/env bash\n"
            "#SBATCH --job-name=oscsim-sweep\n"
            "#SBATCH --output=\"/data/100%%/slurm/%A_%a.log\"\n"
            "#SBATCH --ntasks=1\n"
            "#SBATCH --requeue\n"
            "#SBATCH --open-mode=append\n"
            "#SBATCH --array=2-3\n"
            "#SBATCH --cpus-per-task=4\n"
            "#SBATCH --time=30\n"
            "#SBATCH --signal=B:TERM@60\n"
            "exec '/opt/it'\\''s/oscsim' sweep '/home/me/sweep.yaml' -o '/data/100%' --jobs 4 "
            "--shard \"$SLURM_ARRAY_TASK_ID/8\"\n");
  EXPECT_NE(merge_script(job).find("exec '/opt/it'\\''s/oscsim' sweep merge '/data/100%'\n"), std::string::npos);
}

TEST(Slurm, AnArrayTaskKnowsItsShard) {
  setenv("SLURM_ARRAY_TASK_ID", "12", 1);
  setenv("SLURM_ARRAY_TASK_COUNT", "5", 1);
  setenv("SLURM_ARRAY_TASK_MIN", "10", 1);
  const auto shard = shard_from_environment();
  for (const char* name : {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"}) unsetenv(name);
  ASSERT_TRUE(shard.has_value());
  EXPECT_EQ(shard->name(), "3_of_5");
  EXPECT_FALSE(shard_from_environment().has_value());
}

}  // namespace
}  // namespace oscsim::sweep
