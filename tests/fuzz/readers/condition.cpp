// SPDX-License-Identifier: Apache-2.0
// A condition of a sweep (`where:`): read, and asked about a point.
#include "sim/sweep/condition.h"

#include "tests/fuzz/readers/readers.h"

namespace oscsim::fuzz {
namespace {

void read_condition(std::string_view input) {
  config::Problems problems;
  const sweep::Condition condition(std::string(input), config::whole(kFile), problems);
  problems.throw_if_any();
  for (const sweep::Value& value : {sweep::Value(8.0), sweep::Value("text"), sweep::Value()})
    condition.holds([&](const std::string&) { return value; });
}

std::vector<Seed> condition_seeds() {
  const std::string path = "machine.cores";
  std::string chain = path + " <= 1";
  for (int i = 0; i < 200; ++i) chain += " or " + path + " <= 1";
  return {{"quantity", "machine.core.buffers.l0a <= 64KiB"},
          {"rate", "machine.hbm.bandwidth > 1.6TB/s or machine.cores / 2 == 4"},
          {"arithmetic", "(gemm.m + 3) * 2 - gemm.n / 4 >= 1e3"},
          {"word", "scheme == osc"},
          {"chain", chain},
          {"deep", std::string(300, '(') + path + std::string(300, ')') + " == 1"},
          {"no_comparison", path},
          {"open", "(machine.cores == 1"},
          {"symbol", "machine.cores ~ 1"},
          {"unit", "machine.cores == 3parsec"},
          {"latin1", "caf\xE9 == 1"},
          {"empty", ""}};
}

}  // namespace

Reader condition_reader() {
  return {.name = "condition",
          .read = read_condition,
          .seeds = condition_seeds,
          .words = {"machine.cores", "gemm.m", " or ", "<=", "!=", "==", "(", ")", "1e999", "64KiB", "1B/cycle"}};
}

}  // namespace oscsim::fuzz
