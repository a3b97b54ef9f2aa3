// SPDX-License-Identifier: Apache-2.0
// One line on the terminal that says how far a run is; nothing when standard error is no terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace oscsim {

class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool is_shown() const { return columns_ > 0; }
  void update(std::size_t done, std::size_t total, const std::string& next);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPause{100};  // between two updates

  std::size_t columns_ = 0;  // of the terminal; 0: none
  std::size_t drawn_ = 0;    // characters on the line
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_{};
};

}  // namespace oscsim
