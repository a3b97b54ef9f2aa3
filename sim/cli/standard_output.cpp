// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/standard_output.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "models/base/error.h"
#include "sim/report/text_table.h"

namespace oscsim {

void prepare_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", O_RDWR);  // takes the lowest free number, which is `stream`
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno == EPIPE)
      return;
    else if (errno != EINTR)
      input_error("standard output: cannot be written: {}", std::strerror(errno));
  }
}

void print_note(std::string_view text) {
  fmt::print(stderr, "oscsim: note: {}\n", plain_ascii(std::string(text)));
}

std::optional<std::size_t> terminal_columns(int stream) {
  constexpr std::size_t kUsual = 80;
  if (!isatty(stream)) return std::nullopt;
  winsize size{};
  const bool is_known = ioctl(stream, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return is_known ? size.ws_col : kUsual;
}

}  // namespace oscsim
