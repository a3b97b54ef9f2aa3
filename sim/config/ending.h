// SPDX-License-Identifier: Apache-2.0
// What is still done when a signal ends the process: temporary files are removed, and a line says why. The tables
// behind it are of the process and of a fixed size, because a signal handler can neither allocate nor lock.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace oscsim::config {

// Called once, by the program. SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGXCPU then remove what RemovedAtEnd names, say on
// standard error that unfinished files are discarded, and end the process as they would have; a signal that the caller
// had ignored (nohup) stays so. SIGBUS in a MappedRange, of a file that became shorter while it was read, is one line
// with the file and the byte, and exit status `lost_input_status`. Writing beyond a limit (ulimit -f) is an error of
// that write.
void prepare_for_the_end(int lost_input_status);

// While it lives, a signal that ends the process removes the file `name`, in this process, not in one that is forked.
// Without room for it in the table the object does nothing.
class RemovedAtEnd {
 public:
  explicit RemovedAtEnd(const std::string& name);
  ~RemovedAtEnd();
  RemovedAtEnd(const RemovedAtEnd&) = delete;
  RemovedAtEnd& operator=(const RemovedAtEnd&) = delete;

 private:
  int slot_ = -1;
};

// What a signal that ends the process does to files: for handlers of further signals, so it neither allocates nor
// locks.
void remove_unfinished_files();

// Memory that the bytes of the file `path` are mapped to, from its first byte on.
class MappedRange {
 public:
  MappedRange() = default;
  MappedRange(std::span<const std::byte> bytes, const std::string& path);
  ~MappedRange();
  MappedRange(MappedRange&& other) noexcept;
  MappedRange& operator=(MappedRange&& other) noexcept;

 private:
  int slot_ = -1;
};

// From now on the line of a lost input goes to `text`, ended by a zero, instead of standard error: a worker process
// leaves it to its parent in memory that both share.
void leave_last_words_in(std::span<char> text);

}  // namespace oscsim::config
