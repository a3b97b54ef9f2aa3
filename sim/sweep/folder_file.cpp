// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/folder_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/base/error.h"
#include "sim/config/document.h"
#include "sim/config/files.h"

namespace oscsim::sweep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kLongestLine = std::size_t{1} << 20;  // bytes; a row has some 2000; assumed

}  // namespace

void damaged(const fs::path& file, std::size_t line, std::string_view what) {
  const std::string place = line > 0 ? fmt::format("{}:{}", file.string(), line) : file.string();
  input_error("{}: {}; the sweep's folder is damaged", place, what);
}

bool is_there(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) return false;
  if (error) input_error("{}: cannot be read: {}", file.string(), error.message());
  if (!fs::is_regular_file(status)) damaged(file, 0, "is no regular file");
  return true;
}

void each_line(const fs::path& path, const std::function<void(std::string, std::size_t)>& use) {
  if (!is_there(path)) config::require_file(path);
  config::InputFile file(path, config::FileUse::own);
  std::string chunk(std::size_t{1} << 16, '\0'), line;
  std::size_t number = 1;
  while (const std::size_t got = file.read(chunk)) {
    std::string_view rest(chunk.data(), got);
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      line += rest.substr(0, end);
      if (line.size() > kLongestLine) damaged(path, number, fmt::format("a line of more than {} bytes", kLongestLine));
      if (end == std::string_view::npos) break;
      use(std::move(line), number++);
      line.clear();
      rest.remove_prefix(end + 1);
    }
  }
}

Json read_json(const fs::path& path) {
  if (!is_there(path)) config::require_file(path);
  std::error_code error;
  if (fs::file_size(path, error) > config::kLargestFile) damaged(path, 0, "is larger than any that a sweep writes");
  const std::string text = config::read_file(path, config::kLargestFile, config::FileUse::own);
  const auto line_of = [&](std::size_t byte) {
    return static_cast<std::size_t>(std::ranges::count(std::string_view(text).substr(0, byte), '\n')) + 1;
  };
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos)  // the parser takes it for the end
    damaged(path, line_of(zero), "is no JSON");
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& fault) {
    damaged(path, line_of(fault.byte > 0 ? fault.byte - 1 : 0), "is no JSON");
  } catch (const Json::out_of_range&) {  // a number, 1e999
    damaged(path, 0, "has a number that no FP64 holds");
  }
  if (!json.is_object()) damaged(path, 1, "is no JSON object");
  return json;
}

std::string text_in(const Json& json, const char* key, const fs::path& file) {
  if (!json.contains(key)) damaged(file, 0, fmt::format("'{}' is missing", key));
  if (!json[key].is_string()) damaged(file, 0, fmt::format("'{}' is no text", key));
  return json[key].get<std::string>();
}

}  // namespace oscsim::sweep
