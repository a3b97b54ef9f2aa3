// SPDX-License-Identifier: Apache-2.0
// A file seen as memory, read-only: tensors are used where they lie instead of being read.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <span>
#include <string>

namespace oscsim {

class MappedFile {
 public:
  // InputError when `path` is missing, a directory, or cannot be read. An empty file has no bytes.
  explicit MappedFile(const std::string& path);
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(region_.get_address()), region_.get_size()};
  }
  // `part` of bytes() will not be needed soon: its pages no longer count as the process's memory. They stay readable,
  // and come back from the file when they are read.
  void release(std::span<const std::byte> part) const;

 private:
  boost::interprocess::mapped_region region_;
};

}  // namespace oscsim
