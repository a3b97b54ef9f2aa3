// SPDX-License-Identifier: Apache-2.0
// How far a command is, on standard error. On a terminal: one line, drawn anew several times a second. Elsewhere, such
// as in the log of a batch job: a line a minute, none before the first minute is over. The environment's
// OSCSIM_PROGRESS_SECONDS sets other seconds than 60; 0: no such lines.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace oscsim {

class ProgressLine {
 public:
  // `ticking`: it goes on between updates too, by a thread, where one can be started. Not for a process that forks.
  enum class Ticking { by_itself, by_updates };

  explicit ProgressLine(Ticking ticking = Ticking::by_itself);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool is_terminal() const { return columns_ > 0; }
  // Whether an update would show.
  bool is_due() const;
  void update(std::size_t done, std::size_t total, const std::string& next);
  // Takes the line away; nothing more is shown until the next update.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  struct State {
    std::size_t done, total;
    std::string next;
  };

  bool is_due(Clock::time_point now) const;
  void show(Clock::time_point now);
  void tick(const std::stop_token& stop);

  std::size_t columns_ = 0;  // of the terminal; 0: none
  Seconds pause_;            // between two lines; 0: none is shown
  std::size_t drawn_ = 0;    // characters on the line
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_;
  std::optional<State> state_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread ticker_;  // last: it ends before what it uses
};

}  // namespace oscsim
