// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/limits.h"

#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstring>

#include "sim/cli/arguments.h"
#include "sim/cli/commands.h"
#include "sim/config/ending.h"
#include "sim/report/text_table.h"

namespace oscsim {
namespace {

// The line that the signal's handler writes, whole: of two the one that is not being changed.
struct LastLine {
  std::array<char, 512> text;
  std::size_t size = 0;
};
constinit std::array<LastLine, 2> last_lines{};
constinit std::atomic<std::size_t> last_line{0};
constinit double limit_seconds = 0;

extern "C" void on_time_limit(int) {
  config::remove_unfinished_files();
  const LastLine& line = last_lines[last_line];
  static_cast<void>(write(STDERR_FILENO, line.text.data(), line.size) < 0);
  _exit(kWrongInput);
}

void say(const std::string& where) {
  const std::size_t other = 1 - last_line;
  const std::string text =
      fmt::format("{}oscsim: more than {} s, the --time-limit{}\n", isatty(STDERR_FILENO) ? "\n" : "", limit_seconds,
                  where.empty() ? "" : ", at " + where);
  LastLine& line = last_lines[other];
  line.size = std::min(text.size(), line.text.size());
  std::memcpy(line.text.data(), text.data(), line.size);
  line.text[line.size - 1] = '\n';
  last_line = other;
}

void set_timer(double seconds) {
  itimerval timer{};
  const double whole = std::floor(seconds);
  timer.it_value.tv_sec = static_cast<time_t>(whole);
  timer.it_value.tv_usec = static_cast<suseconds_t>((seconds - whole) * 1e6);
  setitimer(ITIMER_REAL, &timer, nullptr);
}

constexpr double kLeastSeconds = 0.001;  // a timer's microseconds
constexpr double kMostSeconds = 1e9;

}  // namespace

double LimitArguments::seconds() const {
  return time.empty() ? 0 : number_argument("--time-limit", time, kLeastSeconds, kMostSeconds);
}

std::int64_t LimitArguments::cycle_count() const {
  return cycles.empty() ? 0 : integer_argument("--cycle-limit", cycles, 1);
}

std::string LimitArguments::text() const {
  std::string text;
  if (!time.empty()) text += fmt::format(" --time-limit {}", seconds());
  if (!cycles.empty()) text += fmt::format(" --cycle-limit {}", cycle_count());
  return text;
}

void add_limit_options(CLI::App& command, LimitArguments& arguments, const std::string& what) {
  command.add_option("--time-limit", arguments.time, fmt::format("end {} after so much wall time", what))
      ->type_name("SECONDS");
  command
      .add_option("--cycle-limit", arguments.cycles,
                  fmt::format("end {} when the work of one side, the scheme's or the baseline's, has taken more core "
                              "clock cycles",
                              what))
      ->type_name("N");
}

TimeLimit::TimeLimit(double seconds) {
  if (seconds <= 0) return;
  limit_seconds = seconds;
  say("");
  struct sigaction action {};
  action.sa_handler = on_time_limit;
  sigfillset(&action.sa_mask);
  sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  set_timer(seconds);
}

void TimeLimit::at(const std::string& name) {
  if (limit_seconds > 0) say(plain_ascii(name));
}

void TimeLimit::end() {
  if (limit_seconds <= 0) return;
  set_timer(0);
  limit_seconds = 0;
}

}  // namespace oscsim
