// SPDX-License-Identifier: Apache-2.0
// A file seen as memory, read-only: tensors are used where they lie instead of being read. When the file becomes
// shorter while it is mapped, reading what is gone ends the program with a message (sim/config/ending.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "sim/config/ending.h"

namespace oscsim {

class MappedFile {
 public:
  // InputError when `path` is missing, a directory, or cannot be read. An empty file has no bytes.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})), range_(std::move(other.range_)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(range_, other.range_);
    return *this;
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  // `part` of bytes() will not be needed soon: its pages no longer count as the process's memory. They stay readable,
  // and come back from the file when they are read.
  void release(std::span<const std::byte> part) const;

 private:
  std::span<const std::byte> bytes_;
  config::MappedRange range_;
};

}  // namespace oscsim
