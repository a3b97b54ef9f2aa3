// SPDX-License-Identifier: Apache-2.0
// Output files appear whole or not at all: written beside the target under a temporary name, synced, then renamed.
#pragma once

#include <filesystem>
#include <functional>
#include <ostream>
#include <string_view>

namespace oscsim::config {

// Calls `writer` with a binary stream and puts what it wrote at `path`, in place of a file that was there. When
// anything fails, also an exception of `writer`, the target stays as it was and nothing is left behind. Devices, pipes
// and everything under /dev and /proc are written directly. InputError names the path when it cannot be written.
void write_file_atomically(const std::filesystem::path& path, const std::function<void(std::ostream&)>& writer);

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

}  // namespace oscsim::config
