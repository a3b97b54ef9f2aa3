// SPDX-License-Identifier: Apache-2.0
// A buffer as a ring of slots, with the tokens that pipes exchange through it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "models/units/program.h"

namespace oscsim::units {

class Pipe;

// Why a token was given when it was: the pipe, when its command began, and what that pipe had waited for before.
struct Provenance {
  PipeId pipe{};
  Instant start;
  PipeId root{};
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

  explicit Ring(std::int64_t slots) : slots_(static_cast<std::size_t>(slots)), free_(slots) {}

  bool has_data() const { return data_ > 0; }
  bool has_space() const { return free_ > 0; }
  void take_data() { --data_; }
  void take_space() { --free_; }
  // Each returns the pipe that waits for the token, if one does.
  Pipe* give_data(const Provenance& from) {
    ++data_;
    data_from_ = from;
    return std::exchange(data_waiter_, nullptr);
  }
  Pipe* give_space(const Provenance& from) {
    ++free_;
    space_from_ = from;
    return std::exchange(space_waiter_, nullptr);
  }
  // One pipe reads a ring and one writes it, so one waiter of each kind is enough.
  void await_data(Pipe* pipe) { data_waiter_ = pipe; }
  void await_space(Pipe* pipe) { space_waiter_ = pipe; }
  const Provenance& data_from() const { return data_from_; }
  const Provenance& space_from() const { return space_from_; }
  Slot& slot(std::int64_t index) {
    ensure(index >= 0 && index < static_cast<std::int64_t>(slots_.size()), "slot {} of a ring of {}", index,
           slots_.size());
    return slots_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<Slot> slots_;
  std::int64_t free_ = 0;
  std::int64_t data_ = 0;
  Provenance data_from_, space_from_;
  Pipe* data_waiter_ = nullptr;
  Pipe* space_waiter_ = nullptr;
};

}  // namespace oscsim::units
