// SPDX-License-Identifier: Apache-2.0
// Whom a wait is charged to, against a second account made from the recorded commands alone: which token came last, who
// gave it, and so on back in time.
#include <gtest/gtest.h>

#include <optional>

#include "tests/oracle/variants.h"
#include "tests/timing/recorded.h"
#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

using Charges = std::array<std::int64_t, kWorkers>;

struct Giver {
  Instant at;
  PipeId pipe{};
  std::size_t index = 0;
};

// The tokens of one core in the order of each ring, rebuilt from what its commands take and give.
class Account {
 public:
  Account(const Recorded::Pipes& pipes, const std::array<std::int64_t, kRings>& slots) : pipes_(pipes) {
    for (std::size_t pipe = 0; pipe < kPipes; ++pipe)
      for (std::size_t i = 0; i < pipes[pipe].size(); ++i) {
        const RecordedCommand& command = pipes[pipe][i];
        const auto id = static_cast<PipeId>(pipe);
        for (const Write& write : command.command.writes)
          if (write.publish != Publish::no)
            data(write.ring).push_back({write.publish == Publish::at_start ? command.start : command.done, id, i});
        for (const Read& read : command.command.reads)
          if (read.give) space(read.ring).push_back({command.release, id, i});
      }
    std::array<std::size_t, kRings> data_taken{}, space_taken{};
    for (std::size_t pipe = 0; pipe < kPipes; ++pipe)
      for (const RecordedCommand& command : pipes[pipe]) {
        auto& needs = needs_[pipe].emplace_back();
        for (const Read& read : command.command.reads)
          if (read.take) needs.push_back(data(read.ring).at(data_taken[static_cast<std::size_t>(read.ring)]++));
        for (const Write& write : command.command.writes) {
          if (!write.take) continue;
          const auto ring = static_cast<std::size_t>(write.ring);
          const std::size_t taken = space_taken[ring]++;
          if (const auto free = static_cast<std::size_t>(slots[ring]); taken >= free)
            needs.push_back(space(write.ring).at(taken - free));
        }
      }
  }

  Instant free_before(PipeId pipe, std::size_t index) const {
    return index == 0 ? Instant() : command(pipe, index - 1).free;
  }

  // The token that command came too late for the pipe, if one did.
  std::optional<Giver> late(PipeId pipe, std::size_t index) const {
    std::optional<Giver> last;
    for (const Giver& giver : needs_[static_cast<std::size_t>(pipe)][index])
      if (giver.at > free_before(pipe, index) && (!last || giver.at > last->at)) last = giver;
    return last;
  }

  // Two tokens of different givers came last, at the same time.
  bool is_tie(PipeId pipe, std::size_t index) const {
    const std::optional<Giver> last = late(pipe, index);
    return last && std::ranges::any_of(needs_[static_cast<std::size_t>(pipe)][index], [&](const Giver& giver) {
             return giver.at == last->at && (giver.pipe != last->pipe || giver.index != last->index);
           });
  }

  struct Blame {
    Charges charges{};
    std::size_t hand_overs = 0;
  };

  // The wait before a command, back to the hand-over that a trail still knows; none when the last token is a matter of
  // opinion.
  std::optional<Blame> blame(PipeId pipe, std::size_t index) const {
    Blame blame;
    const Instant from = free_before(pipe, index);
    Instant until = command(pipe, index).start;
    while (until > from) {
      if (is_tie(pipe, index)) return std::nullopt;
      // Before a command that waited for nobody stands the one before it; where that one held the pipe while it waited
      // for its memory, it hands over too.
      const std::optional<Giver> giver = late(pipe, index);
      if (!giver && index == 0) break;
      const bool hands_over = giver || memory_held(pipe, index - 1);
      if (hands_over && ++blame.hand_overs > Trail::kSteps) break;
      pipe = giver ? giver->pipe : pipe;
      index = giver ? giver->index : index - 1;
      const Instant begin = std::clamp(command(pipe, index).start, from, until);
      const Instant memory = hands_over ? std::clamp(command(pipe, index).memory, begin, until) : until;
      blame.charges[static_cast<std::size_t>(Worker::memory)] += (until - memory).count();
      blame.charges[static_cast<std::size_t>(pipe)] += (memory - begin).count();
      until = begin;
    }
    blame.charges[static_cast<std::size_t>(pipe)] += (until - std::min(from, until)).count();
    return blame;
  }

 private:
  bool memory_held(PipeId pipe, std::size_t index) const {
    const RecordedCommand& held = command(pipe, index);
    return held.memory < held.done && held.memory < held.free;
  }
  const RecordedCommand& command(PipeId pipe, std::size_t index) const {
    return pipes_[static_cast<std::size_t>(pipe)][index];
  }
  std::vector<Giver>& data(RingId ring) { return data_[static_cast<std::size_t>(ring)]; }
  std::vector<Giver>& space(RingId ring) { return space_[static_cast<std::size_t>(ring)]; }

  const Recorded::Pipes& pipes_;
  std::array<std::vector<Giver>, kRings> data_, space_;
  std::array<std::vector<std::vector<Giver>>, kPipes> needs_;
};

Charges charged(const RecordedCommand& command) {
  Charges charges{};
  for (const Wait& wait : command.waits)
    charges[static_cast<std::size_t>(wait.worker)] += (wait.until - wait.from).count();
  return charges;
}

struct Compared {
  std::int64_t waits = 0, ties = 0;
  std::int64_t matrix_waits = 0, long_matrix_waits = 0;  // longer than a trail
};

// Every command of a run: it starts when its tokens are there, its waits fill the time before, and are charged as the
// second account says.
void compare(const Recorded& recorded, const SimulationResult& result, Compared& compared) {
  for (std::size_t core = 0; core < recorded.cores.size(); ++core) {
    const Account account(recorded.cores[core], recorded.slots[core]);
    for (std::size_t pipe = 0; pipe < kPipes; ++pipe) {
      const auto id = static_cast<PipeId>(pipe);
      Charges sums{};
      Cycles work(0);
      for (std::size_t i = 0; i < recorded.cores[core][pipe].size(); ++i) {
        const RecordedCommand& command = recorded.cores[core][pipe][i];
        const Instant before = account.free_before(id, i);
        Instant covered = before;
        for (const Wait& wait : command.waits) {
          ASSERT_EQ(wait.from, covered) << name_of(id) << " " << i;
          covered = wait.until;
        }
        ASSERT_EQ(covered, command.start) << name_of(id) << " " << i;
        work += command.work;
        const Charges found = charged(command);
        const std::optional<Giver> late = account.late(id, i);
        if (late) {
          ASSERT_EQ(late->at, command.start) << name_of(id) << " " << i;
          for (std::size_t p = 0; p < kWorkers; ++p) sums[p] += found[p];
          const auto expected = account.blame(id, i);
          ++(expected ? compared.waits : compared.ties);
          if (!expected) continue;
          ASSERT_EQ(found, expected->charges) << name_of(id) << " " << i;
          if (id != PipeId::tensor && id != PipeId::branch) continue;
          ++compared.matrix_waits;
          if (expected->hand_overs > Trail::kSteps) ++compared.long_matrix_waits;
        } else if (command.start != before) {  // as many commands under way as there can be
          ASSERT_EQ(recorded.cores[core][pipe][i - Pipe::kOutstanding].done, command.start) << name_of(id) << " " << i;
          for (std::size_t p = 0; p < kWorkers; ++p) sums[p] += found[p];
        }
      }
      const PipeTime& time = result.cores[core][pipe];
      for (std::size_t p = 0; p < kWorkers; ++p) EXPECT_EQ(sums[p], time.waiting[p].count());
      EXPECT_EQ(work, time.busy + time.branch);
    }
  }
}

TEST(Blame, AgreesWithASecondAccountOnRandomMachines) {
  Variants variants(7);
  Compared compared;
  for (int i = 0; i < 120; ++i) {
    const auto& [machine_name, ready] = variants.any_of(machines());
    const auto& [scheme_name, scheme] = variants.any_of(schemes());
    MachineParams machine = variants.machine(ready);
    // Two steps of the coarsest unit (128 x 512 x 128 at 4 bit) fit.
    machine.core.buffers.l1 = Bytes(variants.between(10, 24) * 16384);
    machine.overlap = Overlap::tokens;
    const Shape shape = variants.shape();
    SCOPED_TRACE(fmt::format("case {}: {} {} {}", i, machine_name, scheme_name, to_string(shape)));
    const GemmPlan plan = plan_of(scheme, shape);
    Recorded recorded;
    const SimulationResult result = simulate(machine, gemm_program(plan, machine, search_tiling(plan, machine, {})),
                                             {.on_output = {}, .events = {&recorded}});
    compare(recorded, result, compared);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(compared.waits, 5000);
  EXPECT_LT(compared.ties, compared.waits / 8);
  EXPECT_GT(compared.matrix_waits, 1000);
  EXPECT_LE(compared.long_matrix_waits, compared.matrix_waits / 1000);
}

TEST(FaultA15, MemoryIsChargedWithWhatAnIdealOneWouldNotHaveTaken) {
  // The step waits for its feed, which waits for its load: the pipe is done with it after 20 cycles, the memory with
  // 8 bytes a cycle after 90.
  MachineParams machine = small_machine();
  machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
  machine.l2.bandwidth = BytesPerSecond(8e9);
  machine.hbm.bandwidth = BytesPerSecond(1e15);
  const Region region = tile(TensorId::a, 0);
  CoreCommands core;
  core.pipes = {
      {PipeId::load, {with(load(region, Bytes(640)), {}, {writing(RingId::l1_a, 0, region)})}},
      {PipeId::feed,
       {with(feed(Bytes(128), Bytes(64)), {reading(RingId::l1_a, 0, region)}, {writing(RingId::l0, 0, region)})}},
      {PipeId::tensor, {with(matmul(16, 32, 32, 64), {reading(RingId::l0, 0, region)})}}};
  core.rings = {{RingId::l1_a, 1}, {RingId::l0, 1}};
  std::vector<CoreCommands> cores;
  cores.push_back(std::move(core));
  Recorded recorded;
  simulate(machine, program_of(std::move(cores)), {.on_output = {}, .events = {&recorded}});
  const Cycles pipe_alone = Cycles(10) + Cycles(640 / 64), delivered = Cycles(10) + Cycles(640 / 8);
  const Cycles feed_span = Cycles(5) + Cycles(1) + Cycles(1);
  EXPECT_EQ(recorded.of(PipeId::load)[0].memory, Instant() + pipe_alone);
  const std::vector<Wait>& waits = recorded.of(PipeId::tensor)[0].waits;
  ASSERT_EQ(waits.size(), 3);
  EXPECT_EQ(waits[0].worker, Worker::load);
  EXPECT_EQ(waits[0].until, Instant() + pipe_alone);
  EXPECT_EQ(waits[1].worker, Worker::memory);
  EXPECT_EQ(waits[1].until, Instant() + delivered);
  EXPECT_EQ(waits[2].worker, Worker::feed);
  EXPECT_EQ(waits[2].until, Instant() + delivered + feed_span);
}

TEST(FaultA15, VariantDrainsBackToBackEachHandOverFromTheMemory) {
  // Drains of 128 bytes: 8 cycles of the pipe, and the memory takes 4 bytes a cycle. A vector pipe fills one slot.
  MachineParams machine = small_machine();
  machine.hbm.bandwidth = BytesPerSecond(4e9);
  machine.l2.bandwidth = BytesPerSecond(1e15);
  constexpr std::int64_t kTiles = 4;
  CoreCommands core;
  std::vector<Command> casts, drains;
  for (int i = 0; i < kTiles; ++i) {
    Command cast;
    cast.work = VectorWork{Bytes(256), 1};
    casts.push_back(with(cast, {}, {writing(RingId::ub_out, 0, tile(TensorId::x_out, i))}));
    drains.push_back(
        with(drain(tile(TensorId::x_out, i), Bytes(128)), {reading(RingId::ub_out, 0, tile(TensorId::x_out, i))}));
  }
  core.pipes = {{PipeId::vector, casts}, {PipeId::drain, drains}};
  core.rings = {{RingId::ub_out, 1}};
  const SimulationResult result = run(machine, {std::move(core)});
  // A drain: set-up and 2 cycles of the pipe; the memory takes its request after the set-up and 32 cycles for it.
  const Cycles pipe_alone = Cycles(6) + Cycles(128 / 64), whole = Cycles(6) + Cycles(128 / 4);
  const auto& waiting = time_of(result, PipeId::vector).waiting;
  EXPECT_EQ(waiting[static_cast<std::size_t>(Worker::drain)], pipe_alone * (kTiles - 1));
  EXPECT_EQ(waiting[static_cast<std::size_t>(Worker::memory)], (whole - pipe_alone) * (kTiles - 1));
}

TEST(Blame, SplitsAWaitAmongThoseThatWereAtWork) {
  // The step waits for its feed, which waits for its load; the load of the second tile for the slot of the first.
  MachineParams machine = small_machine();
  machine.l2.latency = machine.hbm.latency = Nanoseconds(0);
  machine.l2.bandwidth = machine.hbm.bandwidth = BytesPerSecond(1e15);
  const Cycles load_span = Cycles(10) + Cycles(640 / 64), feed_span = Cycles(5) + Cycles(1) + Cycles(1);
  const Cycles cubes(2 * 2 * 4), gap(3);
  CoreCommands core;
  std::vector<Command> loads, feeds, steps;
  for (int i = 0; i < 2; ++i) {
    const Region region = tile(TensorId::a, i);
    loads.push_back(with(load(region, Bytes(640)), {}, {writing(RingId::l1_a, 0, region)}));
    feeds.push_back(
        with(feed(Bytes(128), Bytes(64)), {reading(RingId::l1_a, 0, region)}, {writing(RingId::l0, i % 2, region)}));
    steps.push_back(with(matmul(16, 32, 32, 64), {reading(RingId::l0, i % 2, region)}));
  }
  core.pipes = {{PipeId::load, loads}, {PipeId::feed, feeds}, {PipeId::tensor, steps}};
  core.rings = {{RingId::l1_a, 1}, {RingId::l0, 2}};
  ASSERT_GT(load_span, cubes + gap);
  std::vector<CoreCommands> cores;
  cores.push_back(std::move(core));
  Recorded recorded;
  const SimulationResult result =
      simulate(machine, program_of(std::move(cores)), {.on_output = {}, .events = {&recorded}});

  const std::vector<RecordedCommand>& tensor = recorded.of(PipeId::tensor);
  const Instant first = Instant() + load_span + feed_span;
  ASSERT_EQ(tensor.size(), 2);
  ASSERT_EQ(tensor[0].waits.size(), 2);
  EXPECT_EQ(tensor[0].waits[0].worker, Worker::load);
  EXPECT_EQ(tensor[0].waits[0].until, Instant() + load_span);
  EXPECT_EQ(tensor[0].waits[1].worker, Worker::feed);
  EXPECT_EQ(tensor[0].waits[1].until, first);
  // The second load began when the first feed ended, as the first step began.
  EXPECT_EQ(tensor[1].start, first + load_span + feed_span);
  ASSERT_EQ(tensor[1].waits.size(), 2);
  EXPECT_EQ(tensor[1].waits[0].worker, Worker::load);
  EXPECT_EQ(tensor[1].waits[0].from, first + cubes + gap);
  EXPECT_EQ(tensor[1].waits[0].until, first + load_span);
  EXPECT_EQ(tensor[1].waits[1].worker, Worker::feed);
  EXPECT_EQ(time_of(result, PipeId::tensor).waiting[static_cast<std::size_t>(PipeId::load)],
            load_span + (load_span - (cubes + gap)));
}

TEST(Observer, SeesTokensAndTransfersWithoutChangingTheRun) {
  const MachineParams& machine = machines().at("edge_npu");
  const GemmPlan plan = plan_of(schemes().at("osc"), {60, 200, 700});
  const Tiling tiling = search_tiling(plan, machine, {});
  Recorded recorded;
  const SimulationResult seen = simulate_gemm(machine, plan, tiling, {.on_output = {}, .events = {&recorded}});
  const SimulationResult unseen = simulate_gemm(machine, plan, tiling);
  EXPECT_EQ(seen.total, unseen.total);
  EXPECT_EQ(seen.commands, unseen.commands);

  std::map<std::pair<std::size_t, RingId>, RingEvent> last;
  for (const RingEvent& event : recorded.rings) {
    ASSERT_GE(event.free, 0);
    ASSERT_GE(event.filled, 0);
    ASSERT_LE(event.free + event.filled, event.slots);
    last[{event.core, event.ring}] = event;
  }
  EXPECT_GE(last.size(), 3);
  for (const auto& [ring, event] : last) EXPECT_EQ(event.free, event.slots) << name_of(ring.second);

  Traffic traffic;
  for (const TransferEvent& event : recorded.transfers) {
    ASSERT_GE(event.from, static_cast<double>(event.at.cycle()) - 1e-6);
    ASSERT_LE(event.until, static_cast<double>(seen.total.count()) + 1e-6);
    (event.memory == MemoryId::l2 ? event.is_write ? traffic.l2_write : traffic.l2_read
     : event.is_write             ? traffic.hbm_write
                                  : traffic.hbm_read) += event.bytes;
  }
  EXPECT_EQ(traffic.l2_read, seen.traffic.l2_read);
  EXPECT_EQ(traffic.l2_write, seen.traffic.l2_write);
  EXPECT_EQ(traffic.hbm_read, seen.traffic.hbm_read);
  EXPECT_EQ(traffic.hbm_write, seen.traffic.hbm_write);
}

}  // namespace
}  // namespace oscsim::units
