// SPDX-License-Identifier: Apache-2.0
// The folder of a sweep: sweep.json, points.jsonl, rows/, results.jsonl and results.csv. README.md describes them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/sweep/row.h"

namespace oscsim::sweep {

// Part `index` (from 1) of `count`: every count-th point.
struct Shard {
  std::int64_t index = 1, count = 1;

  bool has(std::size_t point) const {
    return static_cast<std::int64_t>(point % static_cast<std::size_t>(count)) == index - 1;
  }
  std::string name() const { return std::to_string(index) + "_of_" + std::to_string(count); }
};

// "3/8". InputError otherwise.
Shard parse_shard(const std::string& text);
// The place of a Slurm array task in its array; nothing outside one. InputError, then in every task, when an array is
// too irregular for a task to know its place: --array=2,7.
std::optional<Shard> shard_from_environment();

struct PointInfo {
  std::string key, line;
};

struct Row {
  std::string line;
  Status status{};
  std::shared_ptr<const std::filesystem::path> file;
  std::size_t number = 0;  // of the line, from 1
};

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) {}

  // InputError when what is there was begun by another version of the program, or is no sweep's folder.
  void require_ours() const;

  // Makes the folder, and writes what the sweep is and its points, where they are not there already.
  void begin(const Sweep& sweep, const std::vector<std::string>& keys) const;

  // InputError unless they are those that sweep.json says.
  std::vector<PointInfo> points() const;
  // The best row of each key: an ok one before others. Whole lines only; InputError for those that are no rows.
  std::map<std::string, Row> rows() const;
  std::map<std::string, Status> statuses() const;

  // Drops the lines of a shard that a kill cut off. Under its lock.
  void repair(const Shard& shard) const;

  std::filesystem::path row_file(const Shard& shard, std::size_t worker) const;
  std::filesystem::path lock_file(const Shard& shard) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The folder of the sweep that the file `path` is part of, which only sweeps write; none: it is part of no sweep.
std::optional<std::filesystem::path> folder_of_file(const std::filesystem::path& path);

// Holds the lock of a shard; descriptors in forked workers hold it too, until the last one ends. InputError when
// another process has it still after a second.
class ShardLock {
 public:
  ShardLock(const Folder& folder, const Shard& shard);
  ~ShardLock();
  ShardLock(const ShardLock&) = delete;
  ShardLock& operator=(const ShardLock&) = delete;

 private:
  int descriptor_ = -1;
};

// A file to which one process at a time appends lines. Opening it drops a line that a kill cut off. InputError when it
// stands for an input of the process.
class RowFile {
 public:
  explicit RowFile(const std::filesystem::path& path);
  ~RowFile();
  RowFile(const RowFile&) = delete;
  RowFile& operator=(const RowFile&) = delete;

  // A signal that ends the process waits for it. InputError when the disk does not take it.
  void append(std::string line) const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace oscsim::sweep
