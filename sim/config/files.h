// SPDX-License-Identifier: Apache-2.0
// Finds files that are named by the user or by another file, and opens them. A file that cannot be read is the user's
// mistake: InputError that names the path and what is there instead. Everything that is opened here is known as an
// input, so that no output can replace it (open_files.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace oscsim::config {

// The folder that holds configs/ and traces/: the environment variable OSCSIM_HOME, else the closest folder above the
// program that has them, so that a copied checkout reads its own, else the source tree that the program was built from.
std::filesystem::path search_root();

// `argument` is a file, or the name of <root>/<folder>/<name>.yaml: locate("configs/machines", "edge_npu").
std::filesystem::path locate(std::string_view folder, std::string_view argument,
                             const std::filesystem::path& root = search_root());

// `name`, which stands in a file of the folder `beside`: the path of the file called so there when there is one (or the
// folder, where one may be named), else `name` as it is.
std::string beside_or_as_is(const std::filesystem::path& beside, const std::string& name, bool may_be_folder = false);

// The names that locate() finds in `folder`, sorted.
std::vector<std::string> available_names(std::string_view folder, const std::filesystem::path& root = search_root());

// What is read: an input, or a file that the command itself keeps and may write again (of a sweep's folder).
enum class FileUse { input, own };

// A file that is open for reading.
class InputFile {
 public:
  // InputError when it is missing, a directory or unreadable, or an output is going to replace the input.
  explicit InputFile(const std::filesystem::path& path, FileUse use = FileUse::input);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return descriptor_; }
  // The next bytes, as many as `into` takes; fewer at the end of the file.
  std::size_t read(std::span<char> into);

 private:
  std::filesystem::path path_;
  int descriptor_;
};

// The file's bytes. InputError when it is missing (with the nearest name beside it), a directory, unreadable or larger
// than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit, FileUse use = FileUse::input);

// Throws InputError unless `path` is there and no directory.
void require_file(const std::filesystem::path& path);

}  // namespace oscsim::config
