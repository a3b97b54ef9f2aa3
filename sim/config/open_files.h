// SPDX-License-Identifier: Apache-2.0
// What the process reads and what it is going to write, so that no output ever replaces an input: by whatever name,
// through symbolic and hard links, and whether the input is named on the command line or found through another file.
// The list is a global of the process, because what is open is one of the process too; it may be used by any thread.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace oscsim::config {

// Remembers the regular file `path` as one that is read, for as long as the process runs. What opens inputs calls it
// (files.h, workload/mapped_file.h). InputError when `path` is an output that is claimed. A path that is not there
// is nobody's loss.
void note_input(const std::filesystem::path& path);

// InputError when `path` was noted: for outputs whose names are not known before the inputs are read.
void require_not_read(const std::filesystem::path& path);

// The output files of a command, claimed before it reads anything. InputError, before anything is written, when one of
// them is a file that was read, when two are the same file, or when one could not be written in the end: no such
// folder, a directory, no permission. Inputs that are opened while the claims live are held against them. Devices,
// pipes and standard output may be given to several.
class OutputClaims {
 public:
  // Option and path; an empty path is an option that was not given.
  using Outputs = std::vector<std::pair<std::string, std::string>>;

  explicit OutputClaims(const Outputs& outputs);
  ~OutputClaims();
  OutputClaims(const OutputClaims&) = delete;
  OutputClaims& operator=(const OutputClaims&) = delete;
};

// The number of the open file that `path` stands for: /dev/stdout, /dev/fd/1, /proc/self/fd/1; otherwise -1.
int descriptor_of(const std::filesystem::path& path);

// What `path` stands for when it is a symbolic link. A link to an open file (descriptor_of) is followed no further.
std::filesystem::path link_target(std::filesystem::path path);

}  // namespace oscsim::config
