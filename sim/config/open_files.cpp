// SPDX-License-Identifier: Apache-2.0
#include "sim/config/open_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

#include "models/base/error.h"
#include "sim/config/units.h"

namespace oscsim::config {
namespace {

namespace fs = std::filesystem;

// A file that is there: its file system and its number in it.
using FileKey = std::pair<dev_t, ino_t>;
// The place of one that need not be: the key of its folder, and its name there.
using PlaceKey = std::tuple<dev_t, ino_t, std::string>;

struct Claim {
  const OutputClaims* owner;
  std::string option;
  fs::path path;
  bool is_shared;  // may be given to several options
};

struct OpenFiles {
  std::mutex mutex;
  std::map<FileKey, fs::path> inputs;
  std::list<Claim> claims;
};

OpenFiles& open_files() {
  static OpenFiles files;
  return files;
}

// Of regular files only: nothing is lost of what goes into a device or a pipe.
std::optional<FileKey> file_key(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileKey{status.st_dev, status.st_ino};
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::optional<PlaceKey> place_key(const fs::path& path) {
  const fs::path target = link_target(path);
  struct stat folder {};
  if (stat(folder_of(target).c_str(), &folder) != 0) return std::nullopt;
  return PlaceKey{folder.st_dev, folder.st_ino, target.filename().string()};
}

bool is_same(const fs::path& a, const fs::path& b) {
  const auto file_a = file_key(a), file_b = file_key(b);
  if (file_a && file_b) return *file_a == *file_b;
  const auto place_a = place_key(a), place_b = place_key(b);
  return place_a && place_b && *place_a == *place_b;
}

std::string with_option(const std::string& option, const fs::path& path) {
  return option.empty() ? path.string() : option + " " + path.string();
}

[[noreturn]] void refuse(const std::string& output, const fs::path& input) {
  input_error("{}: is the input {}; nothing is written over what is read", output, input.string());
}

// Refuses an output that is an input. A name that stands for another file by now is one no longer.
void require_not_read(const OpenFiles& files, const std::string& option, const fs::path& path) {
  const auto key = file_key(path);
  if (!key) return;
  const auto input = files.inputs.find(*key);
  if (input != files.inputs.end() && file_key(input->second) == key) refuse(with_option(option, path), input->second);
}

bool is_special(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return descriptor_of(link_target(path)) >= 0 || (fs::exists(status) && !fs::is_regular_file(status));
}

void require_writable(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) input_error("{}: is a directory, expected a file to write", path.string());
  if (!fs::is_directory(folder_of(path), error))
    input_error("{}: cannot be written: there is no folder '{}'", path.string(), folder_of(path).string());
  const auto require_access = [&](const fs::path& what) {
    if (access(what.c_str(), W_OK) != 0) input_error("{}: cannot be written: {}", path.string(), std::strerror(errno));
  };
  if (fs::exists(status)) require_access(path);
  if (!is_special(path)) require_access(folder_of(path));
}

}  // namespace

void note_input(const fs::path& path) {
  const auto key = file_key(path);
  if (!key) return;
  OpenFiles& files = open_files();
  const std::lock_guard lock(files.mutex);
  for (const Claim& claim : files.claims)
    if (file_key(claim.path) == key) refuse(with_option(claim.option, claim.path), path);
  files.inputs.insert_or_assign(*key, path);
}

void require_not_read(const fs::path& path) {
  OpenFiles& files = open_files();
  const std::lock_guard lock(files.mutex);
  require_not_read(files, "", path);
}

OutputClaims::OutputClaims(const Outputs& outputs) {
  OpenFiles& files = open_files();
  const std::lock_guard lock(files.mutex);
  std::list<Claim> claims;
  for (const auto& [option, name] : outputs) {
    if (name.empty()) continue;
    const fs::path path(name);
    require_writable(path);
    require_not_read(files, option, path);
    const bool is_shared = is_special(path);
    for (const std::list<Claim>* known : {&files.claims, &claims})
      for (const Claim& other : *known)
        if (!(is_shared && other.is_shared) && is_same(path, other.path))
          input_error("{} and {} name the same file, {}", other.option, option, name);
    claims.push_back({this, option, path, is_shared});
  }
  files.claims.splice(files.claims.end(), claims);
}

OutputClaims::~OutputClaims() {
  OpenFiles& files = open_files();
  const std::lock_guard lock(files.mutex);
  files.claims.remove_if([this](const Claim& claim) { return claim.owner == this; });
}

int descriptor_of(const fs::path& path) {
  const std::string name = path.lexically_normal().string();
  if (name == "/dev/stdin") return STDIN_FILENO;
  if (name == "/dev/stdout") return STDOUT_FILENO;
  if (name == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"})
    if (name.starts_with(folder)) {
      const auto number = parse_integer(name.substr(folder.size())).value;
      if (number && *number >= 0 && *number <= std::numeric_limits<int>::max()) return static_cast<int>(*number);
    }
  return -1;
}

fs::path link_target(fs::path path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code error;
  for (int links = 0; links < kMostLinks && descriptor_of(path) < 0 && fs::is_symlink(path, error); ++links)
    path = path.parent_path() / fs::read_symlink(path, error);
  return path;
}

}  // namespace oscsim::config
