// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/pool.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <optional>
#include <vector>

#include "models/base/error.h"
#include "sim/config/ending.h"

namespace oscsim::sweep {
namespace {

using Clock = std::chrono::steady_clock;  // one for all processes

constexpr std::int64_t kNone = -1;
constexpr int kStopped = 4;  // exit status of a worker that cannot go on: its message says why
constexpr std::size_t kMessage = 1024;

// What the parent knows of a worker.
struct Slot {
  std::atomic<std::int64_t> current{kNone};  // task
  std::atomic<Clock::rep> began{0};          // when it took that task
  char message[kMessage] = {};
};

// Memory that parent and workers share. Lock-free atomics work across processes.
struct Shared {
  std::atomic<std::size_t> next{0}, done{0}, failed{0};
  static_assert(std::atomic<std::size_t>::is_always_lock_free);
};

template <class T>
class SharedArray {
 public:
  explicit SharedArray(std::size_t count) : bytes_(count * sizeof(T)) {
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < count; ++i) new (&(*this)[i]) T;
  }
  ~SharedArray() { munmap(memory_, bytes_); }
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  T& operator[](std::size_t i) { return static_cast<T*>(memory_)[i]; }

 private:
  std::size_t bytes_;
  void* memory_;
};

// Signals that the parent waits for instead of being interrupted by them.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int number : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&held_, number);
    struct sigaction hangup {};
    const bool is_ignored = sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler == SIG_IGN;  // nohup
    if (!is_ignored) sigaddset(&held_, SIGHUP);
    sigprocmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // Of the parent, in a worker: it ends by SIGTERM; what comes from the terminal is for the parent.
  void give_to_worker() const {
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &term, nullptr);
  }

  // The signal that came, or 0 after a tenth of a second.
  int wait() const {
    const timespec pause{0, 100'000'000};
    const int number = sigtimedwait(&held_, nullptr, &pause);
    return number > 0 ? number : 0;
  }

 private:
  sigset_t held_, before_;
};

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

std::string process_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return "";
  return fmt::format("; this user may have {} processes (ulimit -u)", limit.rlim_cur);
}

class Pool {
 public:
  Pool(std::size_t workers, const PoolTasks& tasks) : tasks_(tasks), slots_(workers), places_(workers) {}

  PoolEnd run() {
    for (std::size_t i = 0; i < places_.size(); ++i) start(i, kNone);
    for (;;) {
      start_waiting();
      if (running() == 0) break;
      const int number = signals_.wait();
      if (number == SIGINT || number == SIGTERM || number == SIGHUP) interrupt();
      reap();
      end_late_ones();
      if (tasks_.progress) tasks_.progress({shared_[0].done, shared_[0].failed, at_work()});
    }
    if (!stopped_.empty()) throw InputError(stopped_);
    return is_interrupted_ ? PoolEnd::interrupted : PoolEnd::done;
  }

  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  struct Place {
    pid_t process = 0;             // 0: none
    std::int64_t retried = kNone;  // the task that its predecessor died of
    bool waits = false;            // for a process to be started; then
    std::int64_t first = kNone;    // the task that it begins with
  };

  std::size_t running() const {
    return static_cast<std::size_t>(std::ranges::count_if(places_, [](const Place& p) { return p.process != 0; }));
  }

  std::vector<std::size_t> at_work() {
    std::vector<std::size_t> tasks;
    for (std::size_t i = 0; i < places_.size(); ++i)
      if (const std::int64_t task = slots_[i].current; places_[i].process != 0 && task != kNone)
        tasks.push_back(static_cast<std::size_t>(task));
    return tasks;
  }

  void start(std::size_t index, std::int64_t first) {
    Place& place = places_[index];
    slots_[index].began = Clock::now().time_since_epoch().count();
    slots_[index].current = first;
    slots_[index].message[0] = '\0';
    const pid_t parent = getpid();
    const pid_t process = fork();
    place.waits = process < 0;
    place.first = first;
    if (process < 0) {
      if (running() > 0) return;
      const int why = errno;
      stop();
      input_error("a worker process cannot be started: {}{}", std::strerror(why), process_limit());
    }
    if (process == 0) {
      signals_.give_to_worker();
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(0);  // it ended before the line above
      _exit(work(index, first));
    }
    place.process = process;
  }

  // Those that the system did not allow before, where there is still something to do for them.
  void start_waiting() {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      Place& place = places_[i];
      if (!place.waits) continue;
      const bool has_work = place.first != kNone || shared_[0].next < tasks_.count;
      if (is_interrupted_ || !stopped_.empty() || !has_work)
        place.waits = false;
      else
        start(i, place.first);
    }
  }

  // In a worker.
  int work(std::size_t index, std::int64_t first) {
    Slot& slot = slots_[index];
    config::leave_last_words_in(slot.message);
    try {
      tasks_.open(index);
      for (std::int64_t task = first;; task = kNone) {
        if (task == kNone) task = static_cast<std::int64_t>(shared_[0].next.fetch_add(1));
        if (task >= static_cast<std::int64_t>(tasks_.count)) return 0;
        slot.began = Clock::now().time_since_epoch().count();
        slot.current = task;
        const bool ok = tasks_.run(static_cast<std::size_t>(task));
        slot.current = kNone;
        if (!ok) ++shared_[0].failed;
        ++shared_[0].done;
      }
    } catch (const std::exception& error) {
      std::strncpy(slot.message, error.what(), kMessage - 1);
      return kStopped;
    }
  }

  void reap() {
    int status = 0;
    for (std::size_t i = 0; i < places_.size(); ++i)
      if (places_[i].process != 0 && waitpid(places_[i].process, &status, WNOHANG) == places_[i].process) {
        places_[i].process = 0;
        if (status != 0 && !is_interrupted_ && stopped_.empty()) replace(i, status);
      }
  }

  // After a worker that did not end by itself.
  void replace(std::size_t index, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == kStopped) {
      stopped_ = slots_[index].message;
      return stop();
    }
    Place& place = places_[index];
    const std::int64_t task = slots_[index].current;
    const bool again = task != kNone && task == place.retried;
    if (again) {
      const std::string last_words = slots_[index].message;
      tasks_.died(index, static_cast<std::size_t>(task), last_words.empty() ? how_it_ended(status) : last_words);
      ++shared_[0].failed;
      ++shared_[0].done;
    }
    place.retried = again ? kNone : task;
    start(index, place.retried);
  }

  void end_late_ones() {
    if (tasks_.time_limit.count() <= 0 || is_interrupted_ || !stopped_.empty()) return;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const std::int64_t task = slots_[i].current;
      const std::chrono::duration<double> taken = Clock::now() - Clock::time_point(Clock::duration(slots_[i].began));
      if (places_[i].process == 0 || task == kNone || taken <= tasks_.time_limit) continue;
      kill(places_[i].process, SIGKILL);
      waitpid(places_[i].process, nullptr, 0);
      places_[i] = {};
      std::int64_t next = slots_[i].current;  // it may just have finished that task and taken another one
      if (next == task) {
        tasks_.timed_out(i, static_cast<std::size_t>(task));
        ++shared_[0].failed;
        ++shared_[0].done;
        next = kNone;
      }
      start(i, next);
    }
  }

  void interrupt() {
    is_interrupted_ = true;
    for (const Place& place : places_)
      if (place.process != 0) kill(place.process, SIGTERM);
  }

  void stop() {
    for (Place& place : places_)
      if (place.process != 0) {
        kill(place.process, SIGKILL);
        waitpid(place.process, nullptr, 0);
        place.process = 0;
      }
  }

  const PoolTasks& tasks_;
  HeldSignals signals_;
  SharedArray<Shared> shared_{1};
  SharedArray<Slot> slots_;
  std::vector<Place> places_;
  bool is_interrupted_ = false;
  std::string stopped_;
};

}  // namespace

PoolEnd run_pool(std::size_t workers, const PoolTasks& tasks) {
  return Pool(workers, tasks).run();
}

}  // namespace oscsim::sweep
