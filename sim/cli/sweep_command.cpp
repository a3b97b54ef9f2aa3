// SPDX-License-Identifier: Apache-2.0
// oscsim sweep, and oscsim sweep submit, status and merge
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "sim/cli/arguments.h"
#include "sim/cli/commands.h"
#include "sim/cli/limits.h"
#include "sim/cli/progress.h"
#include "sim/cli/standard_output.h"
#include "sim/report/text_table.h"
#include "sim/sweep/merge.h"
#include "sim/sweep/run_sweep.h"
#include "sim/sweep/slurm.h"

namespace oscsim {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kMostJobs = 1024;

struct SweepArguments {
  std::string file, folder, jobs = "0", shard, limit;
  LimitArguments limits;
  bool retry_failed = false, no_memo = false;
};

struct SubmitArguments {
  std::string file, folder, shards, jobs = "1", minutes = "60";
  LimitArguments limits;
  std::vector<std::string> options;
  bool retry_failed = false, dry_run = false;
};

std::string seconds_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// [#####.....] 1234 points/s, 2 failed, 1:23 left; in a log also the points that workers are at, without the bar
std::string progress_text(const sweep::SweepProgress& state, double seconds, bool is_terminal) {
  constexpr std::size_t kBar = 20;
  const std::size_t filled = state.total > 0 ? kBar * state.done / state.total : kBar;
  const double rate = seconds > 0 ? static_cast<double>(state.done) / seconds : 0;
  std::string text;
  if (is_terminal) text = fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kBar - filled, '.'));
  text += fmt::format("{:.1f} points/s", rate);
  if (state.failed > 0) text += fmt::format(", {} failed", state.failed);
  if (rate > 0) text += fmt::format(", {} left", seconds_text(static_cast<double>(state.total - state.done) / rate));
  if (is_terminal || state.running.empty()) return text;
  constexpr std::size_t kShown = 8;
  const auto shown = std::span(state.running).first(std::min(kShown, state.running.size()));
  return fmt::format("{}, at point{} {}{}", text, state.running.size() == 1 ? "" : "s", fmt::join(shown, ", "),
                     shown.size() < state.running.size() ? ", ..." : "");
}

std::string counts_text(const sweep::Counts& counts) {
  return fmt::format("{} points: {} ok, {} failed, {} left", counts.points, counts.ok, counts.failed, counts.missing);
}

std::string error_of(const sweep::Row& row) {
  const auto json = nlohmann::ordered_json::parse(row.line, nullptr, false);
  return json.is_object() && json.contains("error") && json["error"].is_string() ? json["error"].get<std::string>()
                                                                                 : std::string();
}

// A sweep without a single result has failed, whatever its points say one by one.
int status_of(const sweep::Counts& counts, const sweep::Folder& folder, const sweep::Shard& shard) {
  if (counts.ok > 0 || counts.failed == 0) return kDone;
  const auto points = folder.points();
  const auto rows = folder.rows();
  std::string first;
  for (std::size_t i = 0; i < points.size() && first.empty(); ++i)
    if (const auto row = rows.find(points[i].key); shard.has(i) && row != rows.end())
      first = fmt::format("\n  the first, point {}: {}", i, error_of(row->second));
  fmt::print(stderr, "oscsim: {} failed, and none is ok{}\n",
             counts.failed == 1 ? "the point that ran" : fmt::format("all {} points that ran", counts.failed),
             plain_ascii(first));
  return kCheckFailed;
}

// What merging and submitting write. Nothing can be lost in a folder that is not there yet.
config::OutputClaims::Outputs written_files(const sweep::Folder& folder) {
  config::OutputClaims::Outputs files;
  for (const char* name : {"results.jsonl", "results.csv", "slurm/array.sh", "slurm/merge.sh", "slurm/submitted.json"})
    if (const fs::path path = folder.path() / name; fs::is_directory(path.parent_path()))
      files.emplace_back("-o", path.string());
  return files;
}

int sweep_command(const SweepArguments& arguments) {
  if (arguments.file.empty())
    input_error("no sweep file\n  write for example: oscsim sweep ten_parameters -o results; see: oscsim sweep --help");
  if (arguments.folder.empty()) input_error("-o is missing: the folder for the results");
  sweep::SweepOptions options;
  options.jobs = static_cast<std::size_t>(integer_argument("--jobs", arguments.jobs, 0, kMostJobs));
  if (!arguments.limit.empty())
    options.limit = static_cast<std::size_t>(integer_argument("--limit", arguments.limit, 0));
  options.limits = {arguments.limits.seconds(), arguments.limits.cycle_count()};
  options.retry_failed = arguments.retry_failed;
  options.no_memo = arguments.no_memo;
  if (!arguments.shard.empty())
    options.shard = sweep::parse_shard(arguments.shard);
  else if (const auto shard = sweep::shard_from_environment())
    options.shard = *shard;

  const sweep::Folder folder{fs::path(arguments.folder)};
  const config::OutputClaims claims(written_files(folder));
  const sweep::Sweep swept = sweep::read_sweep(arguments.file);
  ProgressLine line(ProgressLine::Ticking::by_updates);  // the workers are forked
  const auto begin = Clock::now();
  const auto progress = [&](const sweep::SweepProgress& state) {
    if (!line.is_due()) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    line.update(state.done, state.total, progress_text(state, seconds, line.is_terminal()));
  };
  const sweep::SweepEnd end = sweep::run_sweep(swept, folder, options, progress);
  line.clear();
  const sweep::Counts counts = sweep::count(folder.points(), folder.statuses(), options.shard);
  const bool is_whole = options.shard.count == 1;
  std::string text = is_whole ? "" : fmt::format("shard {}/{}, ", options.shard.index, options.shard.count);
  text += counts_text(counts);
  if (end == sweep::SweepEnd::interrupted) {
    fmt::print(stderr, "oscsim: interrupted; {}; the same command goes on\n", text);
    return kInterrupted;
  }
  if (is_whole) {
    sweep::merge(folder);
    text += fmt::format("\n{}", (folder.path() / "results.jsonl").string());
  }
  print(text + "\n");
  return status_of(counts, folder, options.shard);
}

int merge_command(const std::string& path) {
  const sweep::Folder folder{fs::path(path)};
  const config::OutputClaims claims(written_files(folder));
  const sweep::Counts counts = sweep::merge(folder);
  print(fmt::format("{}\n{}\n", counts_text(counts), (folder.path() / "results.jsonl").string()));
  return status_of(counts, folder, {});
}

// A shard stands in the table while it has work left, has failed points, or is in the queue.
int status_command(const std::string& path) {
  const sweep::Folder folder{fs::path(path)};
  const auto points = folder.points();
  const auto statuses = folder.statuses();
  const auto job = sweep::submitted(folder);
  const std::int64_t shards = job ? job->shards : 1;
  const auto queue = job ? sweep::queue_states(*job) : std::map<std::int64_t, std::string>{};
  constexpr TextTable::Align kRight = TextTable::Align::right;
  TextTable table(
      {{"shard"}, {"points", "", kRight}, {"ok", "", kRight}, {"failed", "", kRight}, {"left", "", kRight}, {"queue"}});
  std::int64_t shown = 0;
  for (std::int64_t i = 1; i <= shards; ++i) {
    const sweep::Shard shard{i, shards};
    const sweep::Counts counts = sweep::count(points, statuses, shard);
    const auto state = queue.find(i);
    if (counts.missing + counts.failed == 0 && state == queue.end()) continue;
    ++shown;
    table.add({fmt::format("{}/{}", i, shards), std::to_string(counts.points), std::to_string(counts.ok),
               std::to_string(counts.failed), std::to_string(counts.missing),
               state != queue.end() ? state->second : ""});
  }
  std::string text = shown > 0 ? table.text(std::numeric_limits<std::size_t>::max()) : "";
  if (shown < shards && shards > 1) text += fmt::format("{} of {} shards are done\n", shards - shown, shards);
  print(text + counts_text(sweep::count(points, statuses, {})) + "\n");
  return kDone;
}

// Shards of about five minutes, from the time of the first point that is left.
std::int64_t shards_for(const sweep::Sweep& swept, const std::vector<std::string>& keys,
                        const std::vector<std::size_t>& left, std::int64_t jobs, const sweep::PointLimits& limits) {
  constexpr double kSeconds = 300;
  const double point = sweep::seconds_of(swept, left.front(), keys[left.front()], limits);
  const double all = point * static_cast<double>(left.size()) / static_cast<double>(jobs);
  return std::clamp(static_cast<std::int64_t>(std::ceil(all / kSeconds)), std::int64_t{1},
                    std::min<std::int64_t>(sweep::kMostTasks, static_cast<std::int64_t>(left.size())));
}

int submit_command(const SubmitArguments& arguments) {
  if (arguments.folder.empty()) input_error("-o is missing: the folder for the results");
  sweep::SlurmJob job;
  job.jobs = integer_argument("--jobs", arguments.jobs, 1, kMostJobs);
  job.minutes = integer_argument("--minutes", arguments.minutes, 2, 1'000'000);
  job.retry_failed = arguments.retry_failed;
  job.limits = arguments.limits.text();
  job.options = arguments.options;
  const sweep::PointLimits limits{arguments.limits.seconds(), arguments.limits.cycle_count()};
  std::int64_t shards = 0;  // 0: from the time that a point takes
  if (!arguments.shards.empty()) shards = integer_argument("--shards", arguments.shards, 1, sweep::kMostTasks);
  const config::OutputClaims claims(written_files(sweep::Folder(arguments.folder)));
  const sweep::Sweep swept = sweep::read_sweep(arguments.file);
  job.program = fs::read_symlink("/proc/self/exe").string();
  job.file = fs::absolute(swept.file).string();
  job.folder = fs::absolute(arguments.folder);
  sweep::require_scriptable(job);
  const sweep::Folder folder(job.folder);
  const std::vector<std::string> keys = sweep::keys_of(swept);
  folder.require_ours();
  const auto known = folder.statuses();
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto status = known.find(keys[i]);
    if (status == known.end() || (arguments.retry_failed && status->second != sweep::Status::ok)) left.push_back(i);
  }
  if (left.empty()) {
    print("nothing is left to run; see: oscsim sweep merge\n");
    return kDone;
  }
  job.shards = shards > 0 ? shards : shards_for(swept, keys, left, job.jobs, limits);
  std::set<std::int64_t> with_work;
  for (const std::size_t point : left)
    with_work.insert(static_cast<std::int64_t>(point % static_cast<std::size_t>(job.shards)) + 1);
  job.left.assign(with_work.begin(), with_work.end());
  if (arguments.dry_run) {
    print(sweep::array_script(job));
    return kDone;
  }
  folder.begin(swept, keys);
  const sweep::Submitted submitted = sweep::submit(job);
  print(fmt::format("{} points left in {} of {} shards: array job {}, merge job {}\n", left.size(), job.left.size(),
                    job.shards, submitted.array_job, submitted.merge_job));
  return kDone;
}

void add_folder_command(CLI::App& command, const char* name, const char* meaning, Action& action,
                        int (*run)(const std::string&), const std::string& example) {
  const auto folder = std::make_shared<std::string>();
  CLI::App& sub = *command.add_subcommand(name, meaning);
  sub.add_option("folder", *folder, "the sweep's folder")->type_name("DIR")->required();
  sub.footer("Example:\n  " + example + "\n");
  sub.callback([folder, &action, run] { action = [folder, run] { return run(*folder); }; });
}

void add_submit(CLI::App& command, Action& action) {
  const auto arguments = std::make_shared<SubmitArguments>();
  CLI::App& sub = *command.add_subcommand("submit", "Submit what is left as one Slurm array and a merge job");
  sub.add_option("file", arguments->file, "sweep file, or a name in configs/sweeps")
      ->type_name("FILE|NAME")
      ->required();
  sub.add_option("-o,--output", arguments->folder, "folder for the results, on a file system that all nodes share")
      ->type_name("DIR");
  sub.add_option("--shards", arguments->shards, "tasks of the array, at most 1000; default: shards of five minutes")
      ->type_name("N");
  sub.add_option("--jobs", arguments->jobs, "workers and CPUs of a task")->type_name("N")->capture_default_str();
  sub.add_option("--minutes", arguments->minutes, "time limit of a task")->type_name("N")->capture_default_str();
  sub.add_option("--sbatch", arguments->options, "more for sbatch, such as --sbatch=--partition=main; repeatable")
      ->type_name("OPTION")
      ->allow_extra_args(false);
  add_limit_options(sub, arguments->limits, "a point");
  sub.add_flag("--retry-failed", arguments->retry_failed, "run failed points again");
  sub.add_flag("--dry-run", arguments->dry_run, "show the script of the array, submit nothing");
  sub.footer("Example:\n  oscsim sweep submit ten_parameters -o results --minutes 30 --sbatch=--partition=main\n");
  sub.callback([arguments, &action] { action = [arguments] { return submit_command(*arguments); }; });
}

}  // namespace

void add_sweep_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<SweepArguments>();
  CLI::App& command = *app.add_subcommand("sweep", "Run many points of a design space");
  command.require_subcommand(0, 1);
  command.add_option("file", arguments->file, "sweep file, or a name in configs/sweeps")->type_name("FILE|NAME");
  command
      .add_option("-o,--output", arguments->folder, "folder for the results; the same command goes on where it ended")
      ->type_name("DIR");
  command.add_option("--jobs", arguments->jobs, "worker processes; 0: one per processor")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--shard", arguments->shard,
                  "every N-th point from the I-th on, I from 1; default: all, or by the "
                  "environment of a Slurm array task")
      ->type_name("I/N");
  command.add_option("--limit", arguments->limit, "run at most so many points now")->type_name("N");
  add_limit_options(command, arguments->limits, "a point");
  command.add_flag("--retry-failed", arguments->retry_failed, "run failed points again");
  command.add_flag("--no-memo", arguments->no_memo, "simulate equal work anew each time; the rows are the same");
  command.footer(
      "Examples:\n"
      "  oscsim sweep ten_parameters -o results\n"
      "  oscsim sweep my_sweep.yaml -o results --shard 3/8     then: oscsim sweep merge results\n"
      "  oscsim sweep submit my_sweep.yaml -o results          then: oscsim sweep status results\n");
  command.callback([arguments, &command, &action] {
    if (command.get_subcommands().empty()) action = [arguments] { return sweep_command(*arguments); };
  });
  add_submit(command, action);
  add_folder_command(command, "status", "Points that are done, failed and left, by shard", action, status_command,
                     "oscsim sweep status results");
  add_folder_command(command, "merge", "Write results.jsonl and results.csv", action, merge_command,
                     "oscsim sweep merge results");
}

}  // namespace oscsim
