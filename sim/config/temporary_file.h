// SPDX-License-Identifier: Apache-2.0
// A file that is being written and does not show yet.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "sim/config/ending.h"

namespace oscsim::config {

// Where the file system allows it the file has no name until it is finished (O_TMPFILE), so that nothing stays even
// when the process is killed; otherwise it stands beside its target under a hidden name that nobody can foresee, which
// is removed again also when a signal ends the process.
class TemporaryFile {
 public:
  enum class Kind { unnamed_where_possible, named };

  explicit TemporaryFile(const std::filesystem::path& target, Kind kind = Kind::unnamed_where_possible);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  // False with errno set, as all that return bool.
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  // Puts the file in the target's place, with that mode and on the disk. Nothing of an older file is lost before.
  bool finish(mode_t mode);

 private:
  bool open_unnamed();
  bool open_named();
  bool link_to(const std::string& name) const;
  // A name beside the target that is free as far as chance goes; removed at the end of the process, and by drop_name.
  void take_name();
  void drop_name();

  std::filesystem::path target_;
  int descriptor_ = -1;
  std::string name_;  // empty: none
  std::optional<RemovedAtEnd> removed_at_end_;
};

}  // namespace oscsim::config
