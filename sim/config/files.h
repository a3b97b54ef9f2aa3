// SPDX-License-Identifier: Apache-2.0
// Finds configurations by name and reads whole files. A file that cannot be read is the user's mistake: InputError that
// names the path and what is there instead.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim::config {

// The folder that holds configs/ and traces/: the environment variable OSCSIM_HOME, else the source tree that the
// program was built from, else the closest folder above the executable that has a configs/.
std::filesystem::path search_root();

// `argument` is a file, or the name of <root>/<folder>/<name>.yaml: locate("configs/machines", "edge_npu").
std::filesystem::path locate(std::string_view folder, std::string_view argument,
                             const std::filesystem::path& root = search_root());

// The names that locate() finds in `folder`, sorted.
std::vector<std::string> available_names(std::string_view folder, const std::filesystem::path& root = search_root());

// The file's bytes. InputError when it is missing (with the nearest name beside it), a directory, unreadable or larger
// than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit);

// Throws InputError unless `path` is there and no directory.
void require_file(const std::filesystem::path& path);

}  // namespace oscsim::config
