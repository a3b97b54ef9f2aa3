// SPDX-License-Identifier: Apache-2.0
#include "sim/config/atomic_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "models/base/error.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path, int error_number) {
  input_error("{}: cannot be written: {}", path.string(), std::strerror(error_number));
}

// Streams `writer` into the existing file `to`; `path` is its name in messages.
void stream_into(const fs::path& to, const fs::path& path, const std::function<void(std::ostream&)>& writer) {
  errno = 0;
  std::ofstream file(to, std::ios::binary);
  if (!file) cannot_write(path, errno);
  writer(file);
  const bool has_failed = !file;
  errno = 0;
  if (has_failed) {  // why is lost among what the writer did since: one more try tells
    file.clear();
    file.put('\n');
  }
  file.flush();
  if (has_failed || !file) cannot_write(path, errno == 0 ? EIO : errno);
}

// A file under a name of its own; removed again unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target)
      : name_((target.parent_path() / fmt::format(".{}.XXXXXX", target.filename().string())).string()) {
    descriptor_ = mkstemp(name_.data());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    if (!is_renamed_) unlink(name_.c_str());
  }

  bool is_open() const { return descriptor_ >= 0; }
  const std::string& name() const { return name_; }
  bool set_mode(mode_t mode) { return fchmod(descriptor_, mode) == 0; }
  bool sync() { return fsync(descriptor_) == 0; }
  bool rename_to(const fs::path& target) {
    is_renamed_ = std::rename(name_.c_str(), target.c_str()) == 0;
    return is_renamed_;
  }

 private:
  std::string name_;
  int descriptor_ = -1;
  bool is_renamed_ = false;
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
  const std::string name = path.lexically_normal().string();
  return name.starts_with("/dev/") || name.starts_with("/proc/") ||
         (fs::exists(status) && !fs::is_regular_file(status));
}

// What `path` stands for when it is a symbolic link: that file is replaced, the link stays.
fs::path link_target(fs::path path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code error;
  for (int links = 0; fs::is_symlink(path, error) && links < kMostLinks; ++links)
    path = path.parent_path() / fs::read_symlink(path, error);
  return path;
}

}  // namespace

void write_file_atomically(const fs::path& path, const std::function<void(std::ostream&)>& writer) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (path.empty()) input_error("an empty name for an output file");
  if (fs::is_directory(status)) input_error("{}: is a directory, expected a file to write", path.string());
  if (is_special(path, status)) return stream_into(path, path, writer);
  fs::path target = link_target(path);
  if (!target.has_parent_path()) target = fs::path(".") / target;
  if (!fs::is_directory(target.parent_path(), error))
    input_error("{}: cannot be written: there is no folder '{}'", path.string(), target.parent_path().string());
  if (fs::exists(status) && access(target.c_str(), W_OK) != 0) cannot_write(path, errno);

  TemporaryFile temporary(target);
  if (!temporary.is_open()) cannot_write(path, errno);
  stream_into(temporary.name(), path, writer);
  if (!temporary.set_mode(mode_for(target)) || !temporary.sync() || !temporary.rename_to(target))
    cannot_write(path, errno);
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  write_file_atomically(
      path, [bytes](std::ostream& out) { out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())); });
}

}  // namespace oscsim::config
