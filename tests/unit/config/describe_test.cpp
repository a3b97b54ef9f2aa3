// SPDX-License-Identifier: Apache-2.0
// The rows of `oscsim describe` come from the same declaration as the reader.
#include "sim/config/describe.h"

#include "tests/unit/config/sample.h"

namespace oscsim::config {
namespace {

std::vector<std::string> lines_of(const std::vector<DescribeRow>& rows) {
  std::vector<std::string> lines;
  for (const DescribeRow& row : rows)
    lines.push_back(fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", row.path, row.type, row.choices, row.range,
                                row.default_value, row.required, row.meaning, row.source));
  return lines;
}

TEST(Describe, OneRowPerFieldWithSectionsInPlace) {
  const std::string sizes = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
  EXPECT_THAT(
      lines_of(describe<CoreParams>()),
      testing::ElementsAre(
          "gather|section||||false|the gather engine|",
          "gather.lanes|integer||1 to 4096|16|false|elements moved per cycle|",
          "gather.bank_width|size|" + sizes + "|1B to 1KiB|32B|false|bytes that one bank delivers per cycle|assumed",
          "second_gather|optional section|||none|false|another one|",
          "second_gather.lanes|integer||1 to 4096|16|false|elements moved per cycle|",
          "second_gather.bank_width|size|" + sizes +
              "|1B to 1KiB|32B|false|bytes that one bank delivers per cycle|assumed",
          "join|choice|same_accumulator, epilogue||epilogue|false|where main path and branch meet|",
          "startup|number of clock cycles|cycles, cycle|at least 0cycles|92cycles|false|of the tensor unit|"));
}

TEST(Describe, RequiredFieldsHaveNoDefaultAndListsShowTheirElements) {
  const std::vector<std::string> lines = lines_of(describe<MachineParams>());
  EXPECT_THAT(lines, testing::Contains("name|text||||true|shown in reports|"));
  EXPECT_THAT(lines, testing::Contains("shards|optional integer||at least 1|none|false|parts|"));
  EXPECT_THAT(lines, testing::Contains("tile|list of integer||at least 1|[128,256,64]|false|m, n, k|"));
  EXPECT_THAT(lines, testing::Contains("spares[].lanes|integer||1 to 4096|16|false|elements moved per cycle|"));
  EXPECT_THAT(lines, testing::Contains("shared|truth value|true, false||false|false|whether it is shared|"));
  EXPECT_THAT(lines, testing::Contains("skew|number||0 to 1|0.5|false|of the experts|"));
}

}  // namespace
}  // namespace oscsim::config
