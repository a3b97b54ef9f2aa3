// SPDX-License-Identifier: Apache-2.0
#include "models/units/pipe.h"

#include <algorithm>

namespace oscsim::units {
namespace {

std::string text_of(const std::optional<Region>& first, const std::optional<Region>& second) {
  if (!first) return "nothing";
  return second ? first->text() + " and " + second->text() : first->text();
}

}  // namespace

std::string Region::text() const {
  return fmt::format("{}[{}..{}, {}..{}]", name_of(tensor), row, row + rows, k, k + depth);
}

Pipe::Pipe(sc_core::sc_module_name name, PipeId id, CoreRings& rings, const ClockDomain& clock, Overlap overlap)
    : sc_module(name), id_(id), rings_(rings), clock_(clock), overlap_(overlap) {
  trail_.steps.push_back({Instant(), id, {}});
  SC_METHOD(step);
  sensitive << wake_;
}

void Pipe::wake(Pipe* pipe) {
  if (pipe != nullptr) pipe->wake_.notify(sc_core::SC_ZERO_TIME);
}

// SystemC turns what a process throws into a report of its own: keep it, and stop.
void Pipe::step() {
  try {
    advance();
  } catch (...) {
    failure_ = std::current_exception();
    sc_core::sc_pause();
  }
}

void Pipe::advance() {
  retire_due();
  while (fetch() && can_start()) {
    begin();
    retire_due();  // what the command gives back at its very start
  }
  schedule();
}

// Makes the next command of the stream pending; false at its end.
bool Pipe::fetch() {
  if (pending_) return true;
  if (stream_ == nullptr) return false;
  pending_.emplace();
  if (stream_->next(*pending_)) return true;
  pending_.reset();
  stream_ = nullptr;
  return false;
}

bool Pipe::can_start() {
  if (now() < free_at_) return false;
  if (flying_.size() >= kOutstanding) {
    is_full_ = true;
    return false;
  }
  if (overlap_ == Overlap::perfect) return true;
  for (const Read& read : pending_->reads)
    if (read.take && !rings_[read.ring].has_data()) {
      missing_ = {read.ring, true};
      rings_[read.ring].await_data(this);
      return false;
    }
  for (const Write& write : pending_->writes)
    if (write.take && !rings_[write.ring].has_space()) {
      missing_ = {write.ring, false};
      rings_[write.ring].await_space(this);
      return false;
    }
  return true;
}

// The wait that ends at `started`, each part of it charged to who was at work on the token that came last.
void Pipe::account_wait(Instant started, const std::optional<Trail>& giver) {
  if (started <= covered_until_) return;
  if (!giver) {
    time_.startup += started - covered_until_;
    if (!observers_.empty()) waits_.push_back({worker_of(id_), covered_until_, started});
  } else {
    giver->split(covered_until_, started,
                 [this](Worker worker, Instant from, Instant until) { wait_for(worker, from, until); });
  }
  covered_until_ = started;
}

void Pipe::wait_for(Worker worker, Instant from, Instant until) {
  if (from >= until) return;
  time_.waiting[static_cast<std::size_t>(worker)] += until - from;
  if (!observers_.empty()) waits_.push_back({worker, from, until});
}

// Returns where the token comes from that the command had to wait for.
std::optional<Trail> Pipe::take_tokens() {
  std::optional<Trail> giver;
  const auto taken = [&](RingId ring, bool data, const Trail& from) {
    if (missing_ && missing_->ring == ring && missing_->data == data) giver = from;
    show_ring(ring);
  };
  for (const Read& read : pending_->reads)
    if (read.take) taken(read.ring, true, rings_[read.ring].take_data());
  for (const Write& write : pending_->writes)
    if (write.take) taken(write.ring, false, rings_[write.ring].take_space());
  missing_.reset();
  return giver;
}

void Pipe::begin() {
  const Instant started = now();
  std::optional<Trail> giver;
  if (overlap_ == Overlap::tokens) {
    giver = take_tokens();
    check_slots();
  }
  const bool has_waited = started > covered_until_;  // not for a token that came as the pipe became free
  const bool waited_for_memory = has_waited && !giver && is_full_;
  is_full_ = false;
  if (waited_for_memory && !trail_.steps.front().memory) trail_.steps.front().memory = covered_until_;
  account_wait(started, waited_for_memory ? std::optional(trail_) : giver);
  // Before a command that did not wait for others stands the one before it; one trail serves for both as long as the
  // pipe itself was at work.
  if (giver && has_waited)
    trail_ = Trail::after(*giver, id_, started);
  else if (trail_.steps.front().memory && !waited_for_memory)
    trail_ = Trail::after(trail_, id_, started);

  Flying flying{std::move(*pending_), {}, trail_, started, false};
  pending_.reset();
  flying.timing = start(flying.command);
  Timing& timing = flying.timing;
  Instant memory = std::min(timing.alone.value_or(timing.done), timing.done);
  if (!flying_.empty() && timing.done < flying_.back().timing.done) {  // in order: it ends with the one before
    timing.done = flying_.back().timing.done;
    memory = std::max(memory, flying_.back().memory);
  }
  flying.memory = memory;
  timing.release = std::min(timing.release, timing.done);
  if (!flying_.empty()) timing.release = std::max(timing.release, flying_.back().timing.release);
  free_at_ = started + timing.occupancy;
  if (memory < timing.done) flying.trail = trail_.with_memory(memory);
  if (memory < free_at_ && memory < timing.done) trail_ = flying.trail;

  (timing.branch ? time_.branch : time_.busy) += timing.work;
  time_.startup += timing.occupancy - timing.work;
  covered_until_ = free_at_;
  time_.active += std::max(timing.done, time_.end) - std::max(started, time_.end);
  time_.end = std::max(timing.done, free_at_);
  if (!observers_.empty()) show_command(flying, started, memory);
  ++time_.commands;

  if (overlap_ == Overlap::tokens)
    for (const Write& write : flying.command.writes) {
      Ring::Slot& slot = rings_[write.ring].slot(write.slot);
      slot = {write.region, write.second, timing.done};
      if (write.publish == Publish::at_start) {
        wake(rings_[write.ring].give_data(flying.trail));
        show_ring(write.ring);
      }
    }
  flying_.push_back(std::move(flying));
}

void Pipe::check_slots() const {
  for (const Read& read : pending_->reads) {
    const Ring::Slot& slot = rings_[read.ring].slot(read.slot);
    const bool held = slot.first && slot.first->contains(read.region) &&
                      (!read.second || (slot.second && slot.second->contains(*read.second)));
    if (!held)  // outside ensure's arguments: texts are costly and this runs for every command
      ensure(false, "{} at cycle {}: slot {} of {} holds {}, the command names {}", name(), now().cycle(), read.slot,
             name_of(read.ring), text_of(slot.first, slot.second), text_of(read.region, read.second));
  }
}

void Pipe::give_space(Flying& flying) {
  flying.released = true;
  if (overlap_ == Overlap::perfect) return;
  for (const Read& read : flying.command.reads)
    if (read.give) {
      wake(rings_[read.ring].give_space(flying.trail));
      show_ring(read.ring);
    }
}

void Pipe::give_data(const Flying& flying) {
  if (overlap_ == Overlap::perfect) return;
  for (const Write& write : flying.command.writes)
    if (write.publish == Publish::at_end) {
      wake(rings_[write.ring].give_data(flying.trail));
      show_ring(write.ring);
    }
}

void Pipe::show_command(const Flying& flying, Instant started, Instant memory) {
  std::ranges::reverse(waits_);
  const CommandEvent event{.core = core_,
                           .pipe = id_,
                           .index = time_.commands,
                           .start = started,
                           .free = free_at_,
                           .release = flying.timing.release,
                           .done = flying.timing.done,
                           .memory = memory,
                           .work = flying.timing.work,
                           .waits = waits_,
                           .command = flying.command};
  for (Observer* observer : observers_) observer->command(event);
  waits_.clear();
}

void Pipe::show_ring(RingId id) {
  if (observers_.empty()) return;
  const Ring& ring = rings_[id];
  for (Observer* observer : observers_) observer->ring({core_, id, now(), ring.size(), ring.filled(), ring.free()});
}

void Pipe::retire_due() {
  for (Flying& flying : flying_) {
    if (flying.released) continue;
    if (flying.timing.release > now()) break;
    give_space(flying);
  }
  while (!flying_.empty() && flying_.front().timing.done <= now()) {
    give_data(flying_.front());
    if (observer_) observer_(flying_.front().command);
    time_.last = flying_.front().trail;
    flying_.pop_front();
  }
}

// The next instant at which something of this pipe is due; tokens of others wake it besides.
void Pipe::schedule() {
  std::optional<Instant> next;
  const auto consider = [&](Instant instant) {
    if (instant > now() && (!next || instant < *next)) next = instant;
  };
  if (pending_) consider(free_at_);
  if (!flying_.empty()) consider(flying_.front().timing.done);
  for (const Flying& flying : flying_)
    if (!flying.released) {
      consider(flying.timing.release);
      break;
    }
  if (next) wake_.notify(clock_.until(*next));
}

std::string Pipe::state() const {
  if (finished()) return fmt::format("{}: finished after {} commands", name(), time_.commands);
  if (missing_)
    return fmt::format("{}: after {} commands waits for {} of {}", name(), time_.commands,
                       missing_->data ? "data" : "space", name_of(missing_->ring));
  return fmt::format("{}: after {} commands, {} under way, free at {}", name(), time_.commands, flying_.size(),
                     free_at_.cycle());
}

}  // namespace oscsim::units
