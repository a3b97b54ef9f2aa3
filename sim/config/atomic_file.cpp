// SPDX-License-Identifier: Apache-2.0
#include "sim/config/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "models/base/error.h"
#include "sim/config/descriptor_buffer.h"
#include "sim/config/open_files.h"
#include "sim/config/temporary_file.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, int error_number) {
  input_error("{}: cannot be written: {}", path.string(), std::strerror(error_number));
}

// Streams `writer` into an open file; `path` is its name in messages.
void stream_into(int descriptor, const fs::path& path, const std::function<void(std::ostream&)>& writer) {
  DescriptorBuffer buffer(descriptor);
  std::ostream out(&buffer);
  writer(out);
  if (const int error_number = buffer.finish(); error_number != 0) cannot_write(path, error_number);
  if (!out) cannot_write(path, EIO);
}

// A device, a pipe, or a file that is open already: it goes on where it is.
class DirectFile {
 public:
  DirectFile(const fs::path& path, int open_as)
      : descriptor_(open_as >= 0 ? fcntl(open_as, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_WRONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) cannot_write(path, errno);
  }
  ~DirectFile() { close(descriptor_); }
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// The mode of the file that is replaced, or what the user's mask gives a new one.
mode_t mode_for(const fs::path& target) {
  struct stat existing {};
  if (stat(target.c_str(), &existing) == 0) return existing.st_mode & 07777;
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

bool is_special(const fs::path& path, const fs::file_status& status) {
  return path.lexically_normal().string().starts_with("/proc/") || (fs::exists(status) && !fs::is_regular_file(status));
}

}  // namespace

void write_file_atomically(const fs::path& path, const std::function<void(std::ostream&)>& writer) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (path.empty()) input_error("an empty name for an output file");
  if (fs::is_directory(status)) input_error("{}: is a directory, expected a file to write", path.string());
  fs::path target = link_target(path);
  const int open_as = descriptor_of(target);
  if (open_as >= 0 || is_special(path, status))
    return stream_into(DirectFile(path, open_as).descriptor(), path, writer);
  if (!target.has_parent_path()) target = fs::path(".") / target;
  if (!fs::is_directory(target.parent_path(), error))
    input_error("{}: cannot be written: there is no folder '{}'", path.string(), target.parent_path().string());
  if (fs::exists(status) && access(target.c_str(), W_OK) != 0) cannot_write(path, errno);

  TemporaryFile temporary(target);
  if (!temporary.is_open()) cannot_write(path, errno);
  stream_into(temporary.descriptor(), path, writer);
  if (!temporary.finish(mode_for(target))) cannot_write(path, errno);
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  write_file_atomically(
      path, [bytes](std::ostream& out) { out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())); });
}

}  // namespace oscsim::config
