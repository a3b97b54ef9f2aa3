// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/run_sweep.h"

#include <fmt/format.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <thread>
#include <unordered_map>

#include "models/base/error.h"
#include "sim/run/run.h"
#include "sim/run/side_memo.h"
#include "sim/run/threads.h"
#include "sim/sweep/pool.h"

namespace oscsim::sweep {

std::vector<std::string> keys_of(const Sweep& sweep) {
  std::vector<std::string> keys;
  std::unordered_map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < sweep.points.size(); ++i) {
    keys.push_back(sweep.resolver->key(sweep.choices(sweep.points[i])));
    const auto [known, is_new] = first.emplace(keys.back(), i);
    if (!is_new)
      input_error("{}: points {} and {} are the same simulation: {} and {}", sweep.file, known->second, i,
                  point_line(sweep, known->second, keys.back()), point_line(sweep, i, keys.back()));
  }
  return keys;
}

std::string evaluate(const Sweep& sweep, std::size_t point, const std::string& key, SideMemo* memo,
                     std::int64_t cycle_limit) {
  try {
    const std::vector<Choice> choices = sweep.choices(sweep.points[point]);
    RunOptions options = sweep.resolver->options(choices);
    options.no_memo = memo == nullptr;
    options.cycle_limit = cycle_limit;
    return ok_line(key, run(options, sweep.resolver->inputs(choices), memo));
  } catch (const InputError& error) {
    return error_line(key, Status::failed, error.what());
  } catch (const std::bad_alloc&) {
    return error_line(key, Status::died, "out of memory");
  } catch (const std::exception& error) {
    return error_line(key, Status::died, fmt::format("defect: {}", error.what()));
  }
}

// In a process of its own: it can be ended.
double seconds_of(const Sweep& sweep, std::size_t point, const std::string& key, const PointLimits& limits) {
  PoolTasks tasks;
  tasks.count = 1;
  tasks.open = [](std::size_t) {};
  tasks.run = [&](std::size_t) {
    evaluate(sweep, point, key, nullptr, limits.cycles);
    return true;
  };
  tasks.died = [](std::size_t, std::size_t, const std::string&) {};
  tasks.time_limit = std::chrono::duration<double>(limits.seconds);
  tasks.timed_out = [](std::size_t, std::size_t) {};
  const auto begin = std::chrono::steady_clock::now();
  run_pool(1, tasks);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

SweepEnd run_sweep(const Sweep& sweep, const Folder& folder, const SweepOptions& options,
                   const std::function<void(const SweepProgress&)>& progress) {
  const std::vector<std::string> keys = keys_of(sweep);
  folder.require_ours();
  folder.begin(sweep, keys);
  const ShardLock lock(folder, options.shard);
  folder.repair(options.shard);

  const std::map<std::string, Status> known = folder.statuses();
  std::vector<std::size_t> todo;
  SweepProgress state;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!options.shard.has(i)) continue;
    const auto status = known.find(keys[i]);
    const bool is_done = status != known.end() && (status->second == Status::ok || !options.retry_failed);
    if (is_done)
      ++state.earlier;
    else
      todo.push_back(i);
  }
  if (options.limit && todo.size() > *options.limit) todo.resize(*options.limit);
  state.total = todo.size();

  const std::size_t processors = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  const std::size_t workers =
      std::min(options.jobs > 0 ? options.jobs : processors, std::max<std::size_t>(1, todo.size()));
  // Of the worker; the parent's stay empty.
  std::unique_ptr<RowFile> rows;
  std::unique_ptr<tbb::global_control> threads;
  SideMemo memo;
  PoolTasks tasks;
  tasks.count = todo.size();
  tasks.open = [&](std::size_t worker) {
    rows = std::make_unique<RowFile>(folder.row_file(options.shard, worker));
    threads = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                    startable_threads(std::max<std::size_t>(1, processors / workers)));
  };
  tasks.run = [&](std::size_t task) {
    const std::size_t point = todo[task];
    const std::string line =
        evaluate(sweep, point, keys[point], options.no_memo ? nullptr : &memo, options.limits.cycles);
    rows->append(line);
    return head_of(line)->status == Status::ok;
  };
  tasks.died = [&](std::size_t worker, std::size_t task, const std::string& why) {
    RowFile(folder.row_file(options.shard, worker))
        .append(error_line(keys[todo[task]], Status::died, fmt::format("its worker ended twice: {}", why)));
  };
  tasks.time_limit = std::chrono::duration<double>(options.limits.seconds);
  tasks.timed_out = [&](std::size_t worker, std::size_t task) {
    RowFile(folder.row_file(options.shard, worker))
        .append(error_line(keys[todo[task]], Status::failed,
                           fmt::format("more than {} s, the --time-limit of a point", options.limits.seconds)));
  };
  if (progress)
    tasks.progress = [&](const PoolProgress& pool) {
      state.done = pool.done;
      state.failed = pool.failed;
      state.running.clear();
      for (const std::size_t task : pool.running) state.running.push_back(todo[task]);
      progress(state);
    };
  if (todo.empty()) return SweepEnd::done;
  return run_pool(workers, tasks) == PoolEnd::done ? SweepEnd::done : SweepEnd::interrupted;
}

}  // namespace oscsim::sweep
