// SPDX-License-Identifier: Apache-2.0
// Forked workers that take tasks one after another. Processes, not threads: SystemC keeps its context in globals, and a
// simulation that crashes takes only its worker with it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace oscsim::sweep {

struct PoolProgress {
  std::size_t done = 0, failed = 0;  // tasks; failed ones are among those done
  std::vector<std::size_t> running;  // tasks that workers are at
};

struct PoolTasks {
  std::size_t count = 0;
  // In a worker, once when it begins. The parent and the worker before it in the same place have ended with its files.
  std::function<void(std::size_t worker)> open;
  // In a worker: does task `index`; false when it failed. InputError ends the pool with that message.
  std::function<bool(std::size_t index)> run;
  // In the parent: task `index` ended worker `worker`, and its successor too.
  std::function<void(std::size_t worker, std::size_t index, const std::string& why)> died;
  // A task that takes longer ends its worker, whatever it is at, within two tenths of a second; 0: none does.
  std::chrono::duration<double> time_limit{0};
  // In the parent: task `index` of worker `worker`, which has ended, took longer.
  std::function<void(std::size_t worker, std::size_t index)> timed_out;
  // In the parent, several times a second.
  std::function<void(const PoolProgress&)> progress;
};

enum class PoolEnd { done, interrupted };  // interrupted: SIGINT, SIGTERM or SIGHUP came

// A task whose worker ends is given to one successor. Workers end with the parent, however that ends. Where no more
// processes can be started it goes on with those there are; InputError with the limit when there is none.
PoolEnd run_pool(std::size_t workers, const PoolTasks& tasks);

}  // namespace oscsim::sweep
