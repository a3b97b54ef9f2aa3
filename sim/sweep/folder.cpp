// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>
#include <tuple>

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/config/files.h"
#include "sim/config/json_output.h"
#include "sim/config/node.h"
#include "sim/config/open_files.h"
#include "sim/config/units.h"
#include "sim/report/version.h"
#include "sim/sweep/folder_file.h"
#include "sim/workload/sha256.h"

namespace oscsim::sweep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostShards = 100'000;
constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();  // of what is compared with a text of ours

[[noreturn]] void cannot(const fs::path& path, const char* what) {
  input_error("{}: cannot be {}: {}", path.string(), what, std::strerror(errno));
}

std::string hash_of(const std::vector<std::string>& keys) {
  return sha256(fmt::format("{}", fmt::join(keys, "\n")));
}

// What the sweep is: everything but its rows.
Json description(const Sweep& sweep, const std::vector<std::string>& keys) {
  Json json;
  json["schema"] = 1;
  json["version"] = version();
  json["git"] = git_hash();
  json["sweep"] = sweep.name;
  json["sweep_sha256"] = sweep.sha256;
  json["description"] = sweep.head.description;
  json["points"] = keys.size();
  json["points_sha256"] = hash_of(keys);
  json["base"] = sweep.resolver->description();
  json["axes"] = Json::array();
  for (const Axis& axis : sweep.axes)
    for (std::size_t column = 0; column < axis.parameters.size(); ++column) {
      const Parameter& parameter = axis.parameters[column];
      Json values = Json::array();
      for (const std::vector<AxisValue>& row : axis.values)
        if (std::ranges::find(values, Json(row[column].text)) == values.end()) values.push_back(row[column].text);
      std::string unit;
      if (parameter.units != nullptr)
        for (const config::Unit& candidate : parameter.units->units)
          if (candidate.pow10 == 0 && candidate.pow2 == 0 && unit.empty()) unit = candidate.name;
      json["axes"].push_back({{"path", parameter.path},
                              {"type", parameter.type},
                              {"unit", unit.empty() ? Json() : Json(unit)},
                              {"linked", axis.parameters.size() > 1},
                              {"values", values}});
    }
  return json;
}

// Other files than what is left of a sweep.json whose writer was killed.
bool holds_other_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return false;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error))
    if (!at->path().filename().string().starts_with(".sweep.json.")) return true;
  if (error) input_error("{}: cannot be read: {}", folder.string(), error.message());
  return false;
}

// Shards that start together need not all write the same.
void write_unless_equal(const fs::path& path, const std::string& text) {
  if (is_there(path) && config::read_file(path, kAnySize, config::FileUse::own) == text) return;
  config::require_not_read(path);
  config::write_file_atomically(path, text);
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) input_error("{}: cannot be made: {}", path.string(), error.message());
}

std::vector<std::string> names_in(const Json& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : object.items()) names.push_back(name);
  return names;
}

// Of the files *.jsonl among the rows.
std::vector<fs::path> row_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) return files;
  if (!fs::is_directory(status)) damaged(folder, 0, "is no folder");
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error))
    if (at->path().extension() == ".jsonl") files.push_back(at->path());
  if (error) input_error("{}: cannot be read: {}", folder.string(), error.message());
  return files;
}

// Absent too when it is empty. Slurm's arrays go up to 4000000 (its limit of MaxArraySize).
std::optional<std::int64_t> array_number(const char* name) {
  constexpr std::int64_t kMost = 4'000'000;
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const auto number = config::parse_integer(text).value;
  if (!number || *number < 0 || *number > kMost)
    input_error("the environment's {} is '{}'; allowed: 0 to {}; or give --shard I/N", name, config::excerpt(text),
                kMost);
  return *number;
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto index = config::parse_integer(text.substr(0, slash)).value;
  const std::string of = slash == std::string::npos ? "" : text.substr(slash + 1);  // no number either
  const auto count = config::parse_integer(of).value;
  if (!index || !count || *count < 1 || *count > kMostShards || *index < 1 || *index > *count)
    input_error("--shard: '{}' is no shard; write i/n, with i from 1 to n and n up to {}", text, kMostShards);
  return {*index, *count};
}

// Slurm tells a task how many tasks the array has, the least and the greatest number, and the first step that the
// array's text names. A regular array is known by its count. An irregular one can pass for it (1,2,9-9:4 for 1-9:4):
// its odd tasks then take the whole sweep, so that nothing is left out.
std::optional<Shard> shard_from_environment() {
  const auto id = array_number("SLURM_ARRAY_TASK_ID");
  if (!id) return std::nullopt;
  const auto count = array_number("SLURM_ARRAY_TASK_COUNT"), first = array_number("SLURM_ARRAY_TASK_MIN");
  const auto last = array_number("SLURM_ARRAY_TASK_MAX"), step = array_number("SLURM_ARRAY_TASK_STEP");
  const auto refuse = [&](const std::string& why) {
    input_error(
        "this is task {} of a Slurm array {}, whose place in it cannot be told\n  give --shard I/N with I from 1 to N, "
        "or an array such as 1-8 or 1-9:4",
        *id, why);
  };
  if (!count || !first) refuse("without SLURM_ARRAY_TASK_COUNT and SLURM_ARRAY_TASK_MIN");
  const std::int64_t by = std::max<std::int64_t>(step.value_or(1), 1);
  const std::int64_t end = last.value_or(*first + (*count - 1) * by);
  const bool is_regular = *count >= 1 && end >= *first && (*count - 1) * by == end - *first;
  if (!is_regular) refuse(fmt::format("of {} tasks from {} to {}", *count, *first, end));
  const bool is_one_of_them = *id >= *first && *id <= end && (*id - *first) % by == 0;
  if (is_one_of_them) return parse_shard(fmt::format("{}/{}", (*id - *first) / by + 1, *count));
  if (!last || !step || *id < *first || *id > end)
    refuse(fmt::format("of {} tasks from {} to {}", *count, *first, end));
  return Shard{};
}

void Folder::require_ours() const {
  const fs::path file = path_ / "sweep.json";
  if (!is_there(file)) {
    if (holds_other_files(path_))
      input_error("{}: holds files, but no sweep.json; take an empty or a new folder", path_.string());
    return;
  }
  const Json json = read_json(file);
  const std::string begun = text_in(json, "version", file), hash = text_in(json, "git", file);
  if (begun != version() || hash != git_hash())
    input_error("{}: was begun by oscsim {} (git {}), this is {} (git {}); take another folder", file.string(),
                config::excerpt(begun), config::excerpt(hash), version(), git_hash());
}

void Folder::begin(const Sweep& sweep, const std::vector<std::string>& keys) const {
  make_folder(path_);
  // First, so that a folder whose writer was killed is known as ours.
  write_unless_equal(path_ / "sweep.json", config::json_text(description(sweep, keys), 2) + "\n");
  make_folder(path_ / "rows");
  std::string points;
  for (std::size_t i = 0; i < keys.size(); ++i) points += point_line(sweep, i, keys[i]) + "\n";
  write_unless_equal(path_ / "points.jsonl", points);
}

std::vector<PointInfo> Folder::points() const {
  const fs::path file = path_ / "points.jsonl";
  std::vector<PointInfo> points;
  std::vector<std::string> names, keys;
  each_line(file, [&](std::string line, std::size_t number) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || line.find('\0') != std::string::npos) damaged(file, number, "is no point of a sweep");
    if (!json.contains("key") || !json["key"].is_string() || !is_key(json["key"].get<std::string>()))
      damaged(file, number, "'key' is not 20 hexadecimal digits");
    if (points.empty()) names = names_in(json);
    if (!json.contains("index") || json["index"] != number - 1 || names_in(json) != names)
      damaged(file, number, "is not the point that belongs there");
    keys.push_back(json["key"].get<std::string>());
    points.push_back({keys.back(), std::move(line)});
  });
  if (const fs::path sweep = path_ / "sweep.json"; is_there(sweep))
    if (text_in(read_json(sweep), "points_sha256", sweep) != hash_of(keys))
      damaged(file, 0, fmt::format("has {} points, not those that sweep.json says", keys.size()));
  return points;
}

std::map<std::string, Row> Folder::rows() const {
  std::map<std::string, Row> rows;
  for (const fs::path& path : row_files(path_ / "rows")) {
    const auto file = std::make_shared<const fs::path>(path);
    each_line(path, [&](std::string line, std::size_t number) {
      auto head = head_of(line);
      if (!head) damaged(path, number, "is no row of a sweep");
      Row row{std::move(line), head->status, file, number};
      const auto known = rows.find(head->key);
      if (known == rows.end()) {
        rows.emplace(std::move(head->key), std::move(row));
        return;
      }
      // Rows of one key and status are the same but for why a worker died: the order of files must not show.
      if (std::tie(row.status, row.line) < std::tie(known->second.status, known->second.line))
        known->second = std::move(row);
    });
  }
  return rows;
}

std::map<std::string, Status> Folder::statuses() const {
  std::map<std::string, Status> statuses;
  for (const auto& [key, row] : rows()) statuses.emplace(key, row.status);
  return statuses;
}

void Folder::repair(const Shard& shard) const {
  for (const fs::path& path : row_files(path_ / "rows"))
    if (path.filename().string().starts_with(shard.name() + ".")) RowFile file(path);
}

fs::path Folder::row_file(const Shard& shard, std::size_t worker) const {
  return path_ / "rows" / fmt::format("{}.{}.jsonl", shard.name(), worker);
}

fs::path Folder::lock_file(const Shard& shard) const {
  return path_ / "rows" / fmt::format("{}.lock", shard.name());
}

std::optional<fs::path> folder_of_file(const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::absolute(config::link_target(path), error);
  const fs::path folder = fs::weakly_canonical(target.parent_path(), error);
  const auto is_sweep = [&](const fs::path& place) {
    return fs::is_directory(place / "rows", error) && fs::exists(place / "sweep.json", error);
  };
  if (folder.filename() == "rows" && is_sweep(folder.parent_path())) return folder.parent_path();
  constexpr std::string_view kFiles[] = {"sweep.json", "points.jsonl", "results.jsonl", "results.csv"};
  const bool is_ours = std::ranges::find(kFiles, target.filename().string()) != std::end(kFiles);
  return is_ours && is_sweep(folder) ? std::optional(folder) : std::nullopt;
}

ShardLock::ShardLock(const Folder& folder, const Shard& shard) {
  // Workers of a parent that was killed end a moment after it.
  constexpr std::chrono::milliseconds kPause{50};
  constexpr int kTries = 20;
  const fs::path path = folder.lock_file(shard);
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) cannot(path, "opened");
  for (int i = 0; i < kTries; ++i) {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    if (errno != EWOULDBLOCK && errno != EINTR) cannot(path, "locked");
    std::this_thread::sleep_for(kPause);
  }
  close(descriptor_);
  input_error("{}: another process is at work on shard {}/{} of this folder", folder.path().string(), shard.index,
              shard.count);
}

ShardLock::~ShardLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

RowFile::RowFile(const fs::path& path) : path_(path.string()) {
  config::require_not_read(path);
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) cannot(path, "opened");
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) cannot(path, "read");
  if (!S_ISREG(status.st_mode)) damaged(path, 0, "is no regular file");
  off_t end = status.st_size;
  for (char last = 0; end > 0; --end) {
    if (pread(descriptor_, &last, 1, end - 1) != 1) cannot(path, "read");
    if (last == '\n') break;
  }
  if (end != status.st_size && ftruncate(descriptor_, end) != 0) cannot(path, "written");
}

RowFile::~RowFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void RowFile::append(std::string line) const {
  line += '\n';
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  ssize_t written = 0;
  std::size_t done = 0;  // a write that took a part does not say why: the next one does
  do {
    written = write(descriptor_, line.data() + done, line.size() - done);
    if (written > 0) done += static_cast<std::size_t>(written);
  } while (written > 0 && done < line.size());
  const int why = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (done < line.size()) input_error("{}: cannot be written: {}", path_, std::strerror(why));
}

}  // namespace oscsim::sweep
