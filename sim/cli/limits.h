// SPDX-License-Identifier: Apache-2.0
// --time-limit and --cycle-limit.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace oscsim {

struct LimitArguments {
  std::string time, cycles;  // as given; empty: none

  // 0: no limit. InputError for what is none.
  double seconds() const;
  std::int64_t cycle_count() const;
  // " --time-limit 5 --cycle-limit 100", or a part of it.
  std::string text() const;
};

// `what` they are of: "a point".
void add_limit_options(CLI::App& command, LimitArguments& arguments, const std::string& what);

// Ends the process `seconds` of wall time after it was made, with a line that says at what, exit status kWrongInput and
// nothing half written, whatever the process is at then: a timer's signal (SIGALRM) does it. 0: never. One at a time.
class TimeLimit {
 public:
  explicit TimeLimit(double seconds);
  ~TimeLimit() { end(); }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

  // What is done from now on.
  void at(const std::string& name);
  void end();
};

}  // namespace oscsim
