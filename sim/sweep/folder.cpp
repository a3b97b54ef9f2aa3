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

#include "models/base/error.h"
#include "sim/config/atomic_file.h"
#include "sim/config/files.h"
#include "sim/config/json_output.h"
#include "sim/config/open_files.h"
#include "sim/config/units.h"
#include "sim/report/version.h"
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
  json["points_sha256"] = sha256(fmt::format("{}", fmt::join(keys, "\n")));
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
  if (!fs::is_directory(folder)) return false;
  return std::ranges::any_of(fs::directory_iterator(folder), [](const fs::directory_entry& entry) {
    return !entry.path().filename().string().starts_with(".sweep.json.");
  });
}

// Shards that start together need not all write the same.
void write_unless_equal(const fs::path& path, const std::string& text) {
  if (fs::exists(path) && config::read_file(path, kAnySize, config::FileUse::own) == text) return;
  config::require_not_read(path);
  config::write_file_atomically(path, text);
}

// Complete lines, without their ends.
template <class Use>
void each_line(const fs::path& path, const Use& use) {
  std::ifstream file(path, std::ios::binary);
  if (!file) cannot(path, "read");
  for (std::string line; std::getline(file, line);)
    if (!file.eof()) use(std::move(line));  // the end of the file, not of the line: it was cut off
}

std::optional<std::int64_t> environment_number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return config::parse_integer(text).value;
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

std::optional<Shard> shard_from_environment() {
  const auto id = environment_number("SLURM_ARRAY_TASK_ID");
  const auto count = environment_number("SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return std::nullopt;
  const std::int64_t first = environment_number("SLURM_ARRAY_TASK_MIN").value_or(0);
  return parse_shard(fmt::format("{}/{}", *id - first + 1, *count));
}

void Folder::require_ours() const {
  const fs::path file = path_ / "sweep.json";
  if (!fs::exists(file)) {
    if (holds_other_files(path_))
      input_error("{}: holds files, but no sweep.json; take an empty or a new folder", path_.string());
    return;
  }
  const Json json = Json::parse(config::read_file(file, config::kLargestFile, config::FileUse::own), nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("git") || !json.contains("version"))
    input_error("{}: is not what a sweep writes", file.string());
  if (json["version"] != version() || json["git"] != git_hash())
    input_error("{}: was begun by oscsim {} (git {}), this is {} (git {}); take another folder", file.string(),
                json["version"].get<std::string>(), json["git"].get<std::string>(), version(), git_hash());
}

void Folder::begin(const Sweep& sweep, const std::vector<std::string>& keys) const {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) input_error("{}: cannot be made: {}", path_.string(), error.message());
  // First, so that a folder whose writer was killed is known as ours.
  write_unless_equal(path_ / "sweep.json", config::json_text(description(sweep, keys), 2) + "\n");
  fs::create_directories(path_ / "rows", error);
  if (error) input_error("{}: cannot be made: {}", (path_ / "rows").string(), error.message());
  std::string points;
  for (std::size_t i = 0; i < keys.size(); ++i) points += point_line(sweep, i, keys[i]) + "\n";
  write_unless_equal(path_ / "points.jsonl", points);
}

std::vector<PointInfo> Folder::points() const {
  const fs::path file = path_ / "points.jsonl";
  config::require_file(file);
  std::vector<PointInfo> points;
  each_line(file, [&](std::string line) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded() || !json.contains("key")) input_error("{}: is not what a sweep writes", file.string());
    points.push_back({json["key"].get<std::string>(), std::move(line)});
  });
  return points;
}

std::map<std::string, std::string> Folder::rows() const {
  std::vector<fs::path> files;
  if (fs::is_directory(path_ / "rows"))
    for (const auto& entry : fs::directory_iterator(path_ / "rows"))
      if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  std::map<std::string, std::string> rows;
  for (const fs::path& file : files)
    each_line(file, [&](std::string line) {
      const auto head = head_of(line);
      if (!head) return;
      const auto [known, is_new] = rows.try_emplace(head->key, line);
      if (is_new) return;
      // Rows of one key and status are the same but for why a worker died: the order of files must not show.
      const Status before = head_of(known->second)->status;
      if (std::tuple(head->status, line) < std::tuple(before, known->second)) known->second = std::move(line);
    });
  return rows;
}

std::map<std::string, Status> Folder::statuses() const {
  std::map<std::string, Status> statuses;
  for (const auto& [key, line] : rows()) statuses.emplace(key, head_of(line)->status);
  return statuses;
}

void Folder::repair(const Shard& shard) const {
  for (const auto& entry : fs::directory_iterator(path_ / "rows")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(shard.name() + ".") && name.ends_with(".jsonl")) RowFile file(entry.path());
  }
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
