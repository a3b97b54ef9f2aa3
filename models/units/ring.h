// SPDX-License-Identifier: Apache-2.0
// A buffer as a ring of slots, with the tokens that pipes exchange through it.
#pragma once

#include <algorithm>
#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "models/units/program.h"

namespace oscsim::units {

class Pipe;

// Why a command began when it did: who was at work on what it needed, back in time. Each step is a pipe, since when it
// was the one to wait for, and from when on it only waited for the memory itself; the latest comes first and the last
// one stands for all time before.
struct Trail {
  static constexpr std::size_t kSteps = 8;  // assumed: what lies before eight hand-overs is charged to the eighth
  struct Step {
    Instant since;
    PipeId pipe{};
    std::optional<Instant> memory = {};
  };
  boost::container::static_vector<Step, kSteps> steps;

  // Of a command of `pipe` that begins at `start` because it had what `cause` led to.
  static Trail after(const Trail& cause, PipeId pipe, Instant start) {
    Trail trail;
    trail.steps.push_back({start, pipe, {}});
    for (const Step& step : cause.steps)
      if (trail.steps.size() < kSteps) trail.steps.push_back(step);
    return trail;
  }
  // The same of a command that has nothing to do from `memory` on but wait for its transaction.
  Trail with_memory(Instant memory) const {
    Trail trail = *this;
    std::optional<Instant>& since = trail.steps.front().memory;
    since = std::min(since.value_or(memory), memory);
    return trail;
  }

  // Splits a wait over [from, until): charge(worker, part_from, part_until), the latest part first.
  template <class Charge>
  void split(Instant from, Instant until, const Charge& charge) const {
    for (const Step& step : steps) {
      const bool is_last = &step == &steps.back();
      const Instant since = is_last ? from : std::clamp(step.since, from, until);
      const Instant memory = std::clamp(step.memory.value_or(until), since, until);
      charge(Worker::memory, memory, until);
      charge(worker_of(step.pipe), since, memory);
      until = since;
    }
  }
};

// Contract
//   Order: slots are filled in ring order and emptied in ring order; a pipe that asks for more tokens than there are
//   waits and is woken by the next one.
//   Capacity: fixed; a command that names a slot which does not hold its region is a DefectError with time and place.
class Ring {
 public:
  struct Slot {
    std::optional<Region> first, second;
    Instant ready;  // when the last write to the slot ends
  };

  explicit Ring(std::int64_t slots) : slots_(static_cast<std::size_t>(slots)), space_(slots, slots), data_(slots, 0) {}

  std::int64_t size() const { return static_cast<std::int64_t>(slots_.size()); }
  std::int64_t filled() const { return data_.count; }
  std::int64_t free() const { return space_.count; }
  bool has_data() const { return data_.count > 0; }
  bool has_space() const { return space_.count > 0; }
  // Each returns where the token comes from, valid until the next one is given.
  const Trail& take_data() { return data_.take(); }
  const Trail& take_space() { return space_.take(); }
  // Each returns the pipe that waits for the token, if one does.
  Pipe* give_data(const Trail& from) {
    data_.give(from);
    return std::exchange(data_waiter_, nullptr);
  }
  Pipe* give_space(const Trail& from) {
    space_.give(from);
    return std::exchange(space_waiter_, nullptr);
  }
  // One pipe reads a ring and one writes it, so one waiter of each kind is enough.
  void await_data(Pipe* pipe) { data_waiter_ = pipe; }
  void await_space(Pipe* pipe) { space_waiter_ = pipe; }
  Slot& slot(std::int64_t index) {
    ensure(index >= 0 && index < static_cast<std::int64_t>(slots_.size()), "slot {} of a ring of {}", index,
           slots_.size());
    return slots_[static_cast<std::size_t>(index)];
  }

 private:
  // Tokens of one kind, taken in the order in which they were given.
  struct Tokens {
    Tokens(std::int64_t slots, std::int64_t tokens) : from(static_cast<std::size_t>(slots)), count(tokens) {}

    void give(const Trail& trail) {
      from[(first + static_cast<std::size_t>(count)) % from.size()] = trail;
      ++count;
    }
    const Trail& take() {
      --count;
      const std::size_t taken = first;
      first = first + 1 == from.size() ? 0 : first + 1;
      return from[taken];
    }

    std::vector<Trail> from;
    std::size_t first = 0;
    std::int64_t count = 0;
  };

  std::vector<Slot> slots_;
  Tokens space_, data_;
  Pipe* data_waiter_ = nullptr;
  Pipe* space_waiter_ = nullptr;
};

}  // namespace oscsim::units
