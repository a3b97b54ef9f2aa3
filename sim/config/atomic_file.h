// SPDX-License-Identifier: Apache-2.0
// The one way in which output files are written: they appear whole or not at all (temporary_file.h).
#pragma once

#include <filesystem>
#include <functional>
#include <ostream>
#include <string_view>

namespace oscsim::config {

// Calls `writer` with a binary stream and puts what it wrote at `path`, in place of a file that was there. When
// anything fails, also an exception of `writer`, the target stays as it was and nothing is left behind. Devices, pipes
// and open files such as /dev/stdout are written directly, and nothing that is in them is cut off. InputError names the
// path when it cannot be written. OutputClaims (open_files.h) says before any work whether it can and may be.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(std::ostream&)>& writer);

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

}  // namespace oscsim::config
