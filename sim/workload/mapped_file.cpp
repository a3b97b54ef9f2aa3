// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>

#include "models/base/error.h"
#include "sim/config/files.h"

namespace oscsim {

MappedFile::MappedFile(const std::string& path) {
  config::require_file(path);
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    input_error("{}: is not a regular file; only those can be mapped into memory", path);
  const config::InputFile file(path);
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) input_error("{}: cannot be read: {}", path, std::strerror(errno));
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  const void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (memory == MAP_FAILED) input_error("{}: cannot be read: {}", path, std::strerror(errno));
  bytes_ = {static_cast<const std::byte*>(memory), size};
  range_ = config::MappedRange(bytes_, path);
}

MappedFile::~MappedFile() {
  range_ = {};
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::release(std::span<const std::byte> part) const {
  if (part.empty()) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data()) + part.size();
  // Advice: that it cannot be followed changes nothing.
  static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

}  // namespace oscsim
