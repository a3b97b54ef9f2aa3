// SPDX-License-Identifier: Apache-2.0
#include "sim/config/temporary_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "models/base/error.h"

namespace oscsim::config {
namespace {

constexpr mode_t kOwnerOnly = 0600;        // until it is finished
constexpr std::size_t kLongestName = 200;  // of the target's in that of the temporary file: file systems end at 255

std::string open_file_path(int descriptor) {
  return fmt::format("/proc/self/fd/{}", descriptor);
}

std::uint64_t unforeseen() {
  std::uint64_t bits = 0;
  ensure(getrandom(&bits, sizeof(bits), 0) == sizeof(bits), "the system gives no random bits");
  return bits;
}

}  // namespace

TemporaryFile::TemporaryFile(const std::filesystem::path& target, Kind kind) : target_(target) {
  if (kind == Kind::named || !open_unnamed()) open_named();
}

TemporaryFile::~TemporaryFile() {
  const int kept = errno;
  drop_name();
  if (descriptor_ >= 0) close(descriptor_);
  errno = kept;
}

bool TemporaryFile::open_unnamed() {
  descriptor_ = open(target_.parent_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly);
  if (descriptor_ < 0) return false;
  if (access(open_file_path(descriptor_).c_str(), F_OK) == 0) return true;
  close(descriptor_);  // without /proc it could never get its name
  descriptor_ = -1;
  return false;
}

bool TemporaryFile::open_named() {
  do {
    take_name();
    descriptor_ = open(name_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, kOwnerOnly);
    if (descriptor_ >= 0) return true;
    name_.clear();  // somebody else's, or there is none
  } while (errno == EEXIST);
  return false;
}

// Noted before the file is there: no signal can come between the two.
void TemporaryFile::take_name() {
  const std::string name = target_.filename().string().substr(0, kLongestName);
  name_ = (target_.parent_path() / fmt::format(".{}.{:016x}", name, unforeseen())).string();
  removed_at_end_.emplace(name_);
}

void TemporaryFile::drop_name() {
  if (!name_.empty()) unlink(name_.c_str());
  name_.clear();
  removed_at_end_.reset();
}

bool TemporaryFile::link_to(const std::string& name) const {
  return linkat(AT_FDCWD, open_file_path(descriptor_).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

bool TemporaryFile::finish(mode_t mode) {
  if (fchmod(descriptor_, mode) != 0 || fsync(descriptor_) != 0) return false;
  if (name_.empty()) {
    if (link_to(target_.string())) return true;
    if (errno != EEXIST) return false;
    do {  // a link replaces nothing, a new name does
      take_name();
      if (link_to(name_)) break;
      name_.clear();
    } while (errno == EEXIST);
    if (name_.empty()) return false;
  }
  if (std::rename(name_.c_str(), target_.c_str()) != 0) return false;
  name_.clear();
  removed_at_end_.reset();
  return true;
}

}  // namespace oscsim::config
