// SPDX-License-Identifier: Apache-2.0
#include "sim/report/version.h"

#include <gmock/gmock.h>

namespace oscsim {
namespace {

TEST(Version, HasThreeNumbers) {
  EXPECT_THAT(version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

TEST(Version, GitHashIsTwelveOrMoreDigitsOrUnknown) {
  const std::string hash = git_hash();
  EXPECT_TRUE(hash == "unknown" || testing::Value(hash, testing::MatchesRegex("[0-9a-f]{12,40}(-dirty)?"))) << hash;
}

}  // namespace
}  // namespace oscsim
