// SPDX-License-Identifier: Apache-2.0
#include "sim/config/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "models/base/error.h"
#include "sim/config/open_files.h"
#include "sim/config/units.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

// Names of what is in a folder, sorted; empty when it cannot be listed.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  std::ranges::sort(names);
  return names;
}

[[noreturn]] void missing_file(const fs::path& path) {
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error))
    input_error("{}: no such file; there is no folder '{}'", path.string(), folder.string());
  const std::string nearest = nearest_name(path.filename().string(), names_in(folder));
  if (nearest.empty()) input_error("{}: no such file", path.string());
  const fs::path suggestion = path.has_parent_path() ? folder / nearest : fs::path(nearest);
  input_error("{}: no such file; did you mean '{}'?", path.string(), suggestion.string());
}

bool holds_configurations(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "configs/machines", error);
}

}  // namespace

fs::path search_root() {
  if (const char* home = std::getenv("OSCSIM_HOME"); home && *home) {
    std::error_code error;
    if (!fs::is_directory(fs::path(home) / "configs", error))
      input_error("OSCSIM_HOME is '{}', but there is no folder configs in it", home);
    return home;
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (fs::path folder = program.parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    if (holds_configurations(folder)) return folder;
  if (const fs::path sources = OSCSIM_SOURCE_ROOT; holds_configurations(sources)) return sources;
  input_error(
      "the folder with configs and traces is neither above '{}' nor at '{}'; set the environment variable OSCSIM_HOME "
      "to the folder that holds them",
      program.string(), OSCSIM_SOURCE_ROOT);
}

std::vector<std::string> available_names(std::string_view folder, const fs::path& root) {
  std::vector<std::string> names;
  for (const std::string& name : names_in(root / folder))
    if (name.ends_with(".yaml") && !fs::is_directory(root / folder / name))
      names.push_back(name.substr(0, name.size() - 5));
  return names;
}

fs::path locate(std::string_view folder, std::string_view argument, const fs::path& root) {
  if (argument.empty()) input_error("an empty name for a file of {}", folder);
  const fs::path path(argument);
  const bool is_path =
      argument.find('/') != std::string_view::npos || argument.ends_with(".yaml") || argument.ends_with(".yml");
  std::error_code error;
  if (is_path || fs::is_regular_file(path, error)) {
    require_file(path);
    return path;
  }
  const fs::path named = root / folder / fmt::format("{}.yaml", argument);
  if (fs::is_regular_file(named, error)) return named;
  if (fs::exists(path, error)) require_file(path);
  const std::vector<std::string> names = available_names(folder, root);
  input_error("'{}' is neither a file nor a name in {}\n  available: {}{}", argument, (root / folder).string(),
              names.empty() ? "none" : joined(names), did_you_mean(argument, names));
}

void require_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) missing_file(path);
  if (error) input_error("{}: cannot be read: {}", path.string(), error.message());
  if (fs::is_directory(status)) input_error("{}: is a directory, expected a file", path.string());
}

std::string beside_or_as_is(const fs::path& beside, const std::string& name, bool may_be_folder) {
  std::error_code error;
  const fs::path path = beside / name;
  const fs::file_status status = fs::status(path, error);
  const bool is_there = !name.empty() && fs::exists(status) && (may_be_folder || !fs::is_directory(status));
  return is_there ? path.string() : name;
}

InputFile::InputFile(const fs::path& path, FileUse use) : path_(path) {
  require_file(path);
  if (use == FileUse::input) note_input(path);
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) input_error("{}: cannot be opened: {}", path.string(), std::strerror(errno));
}

InputFile::~InputFile() {
  close(descriptor_);
}

std::size_t InputFile::read(std::span<char> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::read(descriptor_, into.data() + done, into.size() - done);
    if (got == 0) break;
    if (got > 0)
      done += static_cast<std::size_t>(got);
    else if (errno != EINTR)
      input_error("{}: cannot be read: {}", path_.string(), std::strerror(errno));
  }
  return done;
}

std::string read_file(const fs::path& path, std::size_t limit, FileUse use) {
  InputFile file(path, use);
  std::string bytes;
  constexpr std::size_t kChunk = std::size_t{1} << 16;
  for (std::size_t got = kChunk; got == kChunk && bytes.size() <= limit;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kChunk);
    got = file.read(std::span(bytes).subspan(before));
    bytes.resize(before + got);
  }
  if (bytes.size() > limit)
    input_error("{}: larger than {}, the limit for this kind of file", path.string(),
                to_text(Bytes(static_cast<std::int64_t>(limit))));
  return bytes;
}

}  // namespace oscsim::config
