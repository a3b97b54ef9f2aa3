// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/interprocess/file_mapping.hpp>
#include <cstdint>
#include <filesystem>

#include "models/base/error.h"
#include "sim/config/files.h"

namespace oscsim {

MappedFile::MappedFile(const std::string& path) {
  namespace ipc = boost::interprocess;
  config::require_file(path);
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    input_error("{}: is not a regular file; only those can be mapped into memory", path);
  if (std::filesystem::file_size(path, error) == 0 && !error) return;
  try {
    region_ = ipc::mapped_region(ipc::file_mapping(path.c_str(), ipc::read_only), ipc::read_only);
  } catch (const ipc::interprocess_exception& exception) {
    input_error("{}: cannot be read: {}", path, exception.what());
  }
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
