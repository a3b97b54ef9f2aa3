// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "sim/cli/arguments.h"
#include "sim/cli/standard_output.h"
#include "sim/report/text_table.h"

namespace oscsim {
namespace {

constexpr double kTerminalPause = 0.1;  // s
constexpr double kTerminalTick = 1;
constexpr double kLinePause = 60;

double line_pause() {
  constexpr const char* kVariable = "OSCSIM_PROGRESS_SECONDS";
  constexpr double kMost = 1e6;
  const char* text = std::getenv(kVariable);
  return text == nullptr || *text == '\0' ? kLinePause : number_argument(kVariable, text, 0, kMost);
}

}  // namespace

ProgressLine::ProgressLine(Ticking ticking)
    : columns_(terminal_columns(STDERR_FILENO).value_or(0)), pause_(columns_ > 0 ? kTerminalPause : line_pause()) {
  if (!is_terminal()) last_ = begin_;
  if (ticking == Ticking::by_updates || pause_.count() <= 0) return;
  try {
    ticker_ = std::jthread([this](const std::stop_token& stop) { tick(stop); });
  } catch (const std::system_error&) {  // no thread is to be had: updates alone show
  }
}

ProgressLine::~ProgressLine() {
  clear();
}

bool ProgressLine::is_due(Clock::time_point now) const {
  return pause_.count() > 0 && now - last_ >= pause_;
}

bool ProgressLine::is_due() const {
  const std::lock_guard lock(mutex_);
  return is_due(Clock::now());
}

void ProgressLine::show(Clock::time_point now) {
  last_ = now;
  std::string line = plain_ascii(
      fmt::format("{}/{}  {:.1f} s  {}", state_->done, state_->total, Seconds(now - begin_).count(), state_->next));
  if (!is_terminal()) {
    fmt::print(stderr, "oscsim: {}\n", line);
    return;
  }
  line.resize(std::min(line.size(), columns_ - 1));
  const std::size_t rest = drawn_ > line.size() ? drawn_ - line.size() : 0;
  fmt::print(stderr, "\r{}{:{}}", line, "", rest);
  std::fflush(stderr);
  drawn_ = line.size();
}

void ProgressLine::update(std::size_t done, std::size_t total, const std::string& next) {
  const std::lock_guard lock(mutex_);
  state_ = State{done, total, next};
  if (const Clock::time_point now = Clock::now(); is_due(now)) show(now);
}

void ProgressLine::clear() {
  const std::lock_guard lock(mutex_);
  state_.reset();
  if (drawn_ == 0) return;
  fmt::print(stderr, "\r{:{}}\r", "", drawn_);
  std::fflush(stderr);
  drawn_ = 0;
}

void ProgressLine::tick(const std::stop_token& stop) {
  const auto pause =
      std::chrono::duration_cast<Clock::duration>(Seconds(is_terminal() ? kTerminalTick : pause_.count()));
  std::unique_lock lock(mutex_);
  for (Clock::time_point next = Clock::now() + pause;;) {
    wake_.wait_until(lock, stop, next, [] { return false; });
    if (stop.stop_requested()) return;
    const Clock::time_point now = Clock::now();
    if (state_ && now - last_ >= pause) show(now);
    next = (state_ ? last_ : now) + pause;
  }
}

}  // namespace oscsim
