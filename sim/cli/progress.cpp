// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "sim/cli/standard_output.h"
#include "sim/report/text_table.h"

namespace oscsim {

ProgressLine::ProgressLine() : columns_(terminal_columns(STDERR_FILENO).value_or(0)) {}

void ProgressLine::update(std::size_t done, std::size_t total, const std::string& next) {
  const Clock::time_point now = Clock::now();
  if (!is_shown() || now - last_ < kPause) return;
  last_ = now;
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  std::string line = plain_ascii(fmt::format("{}/{}  {:.1f} s  {}", done, total, seconds, next));
  line.resize(std::min(line.size(), columns_ - 1));
  const std::size_t rest = drawn_ > line.size() ? drawn_ - line.size() : 0;
  fmt::print(stderr, "\r{}{:{}}", line, "", rest);
  std::fflush(stderr);
  drawn_ = line.size();
}

void ProgressLine::clear() {
  if (drawn_ == 0) return;
  fmt::print(stderr, "\r{:{}}\r", "", drawn_);
  std::fflush(stderr);
  drawn_ = 0;
}

}  // namespace oscsim
