// SPDX-License-Identifier: Apache-2.0
// A file for one test, removed afterwards, and the text of the error that a call gives.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>

#include "models/base/error.h"

namespace oscsim {

class ScratchFile {
 public:
  explicit ScratchFile(const std::string& extension, const std::string& content = "") {
    static std::atomic<int> count{0};
    path_ = (std::filesystem::temp_directory_path() /
             ("oscsim_" + std::to_string(getpid()) + "_" + std::to_string(count++) + extension))
                .string();
    write(content);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { std::filesystem::remove(path_); }

  const std::string& path() const { return path_; }
  void write(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }
  std::string read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

// The message of the InputError that `call` throws, with `path` replaced by FILE; empty when it throws none.
template <class Call>
std::string error_of(const Call& call, const std::string& path = "") {
  try {
    call();
  } catch (const InputError& error) {
    std::string text = error.what();
    for (std::size_t at = 0; !path.empty() && (at = text.find(path, at)) != std::string::npos;)
      text.replace(at, path.size(), "FILE");
    return text;
  }
  return "";
}

}  // namespace oscsim
