// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/arguments.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "sim/config/units.h"

namespace oscsim {
namespace {

namespace fs = std::filesystem;

void require_writable_path(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) input_error("{}: is a directory, expected a file to write", path.string());
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error))
    input_error("{}: cannot be written: there is no folder '{}'", path.string(), folder.string());
  const bool is_there = fs::exists(status);
  const bool is_special = is_there && !fs::is_regular_file(status);
  if (is_there && access(path.c_str(), W_OK) != 0)
    input_error("{}: cannot be written: {}", path.string(), std::strerror(errno));
  if (!is_special && access(folder.c_str(), W_OK) != 0)
    input_error("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

}  // namespace

std::int64_t integer_argument(const std::string& option, const std::string& text, std::int64_t min, std::int64_t max) {
  const auto [value, problem] = config::parse_integer(text);
  if (!value) input_error("{}: {}", option, problem);
  if (*value >= min && *value <= max) return *value;
  if (max == std::numeric_limits<std::int64_t>::max()) input_error("{}: {}; allowed: at least {}", option, *value, min);
  input_error("{}: {}; allowed: {} to {}", option, *value, min, max);
}

double number_argument(const std::string& option, const std::string& text, double min, double max) {
  const auto [value, problem] = config::parse_number(text);
  if (!value) input_error("{}: {}", option, problem);
  if (*value < min || *value > max) input_error("{}: {}; allowed: {} to {}", option, *value, min, max);
  return *value;
}

void require_writable(const std::vector<std::pair<std::string, std::string>>& outputs) {
  std::map<fs::path, std::string> option_of;
  for (const auto& [option, name] : outputs) {
    if (name.empty()) continue;
    const fs::path path(name);
    require_writable_path(path);
    std::error_code error;
    const fs::path place = fs::weakly_canonical(fs::absolute(path), error);
    if (fs::exists(place) && !fs::is_regular_file(place)) continue;
    const auto [known, is_new] = option_of.emplace(place, option);
    if (!is_new) input_error("{} and {} name the same file, {}", known->second, option, name);
  }
}

void require_other_files(const std::vector<std::string>& inputs,
                         const std::vector<std::pair<std::string, std::string>>& outputs) {
  for (const auto& [option, output] : outputs)
    for (const std::string& input : inputs) {
      std::error_code error;
      if (!output.empty() && fs::equivalent(input, output, error))
        input_error("{} {}: is the input {}; nothing is written over what is read", option, output, input);
    }
}

}  // namespace oscsim
