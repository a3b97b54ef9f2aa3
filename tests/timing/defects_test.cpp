// SPDX-License-Identifier: Apache-2.0
// Programs that are wrong: the machine says what, where and when.
#include <gmock/gmock.h>

#include "tests/timing/small_programs.h"

namespace oscsim::units {
namespace {

using testing::HasSubstr;

// The text of the DefectError that a program ends with.
std::string defect_of(const MachineParams& machine, std::vector<CoreCommands> cores) {
  try {
    run(machine, std::move(cores));
  } catch (const DefectError& error) {
    return error.what();
  }
  return "no defect";
}

constexpr Bytes kBytes(6400);
// Setup, HBM transfer and the two latencies of a first load on the small machine.
constexpr std::int64_t kArrival = 10 + 200 + 100 + 20;

CoreCommands load_then_feed(const Region& loaded, const Region& fed) {
  CoreCommands core;
  core.pipes.emplace_back(PipeId::load,
                          std::vector{with(load(loaded, kBytes), {}, {writing(RingId::l1_a, 0, loaded)})});
  core.pipes.emplace_back(PipeId::feed, std::vector{with(feed(Bytes(64), Bytes(64)), {reading(RingId::l1_a, 0, fed)})});
  core.rings = {{RingId::l1_a, 1}};
  return core;
}

TEST(WrongRegion, IsADefectThatNamesPlaceAndTime) {
  const Region loaded{TensorId::a, 0, 16, 0, 64}, named{TensorId::a, 16, 16, 0, 64};
  EXPECT_EQ(defect_of(small_machine(), {load_then_feed(loaded, named)}),
            fmt::format(
                "chip.core0.feed at cycle {}: slot 0 of l1_a holds a[0..16, 0..64], the command names a[16..32, 0..64]",
                kArrival));
}

TEST(WrongRegion, AnotherTensorOrAWiderRangeIsADefect) {
  const Region loaded{TensorId::a, 0, 16, 0, 64};
  const Region other{TensorId::b, 0, 16, 0, 64}, wider{TensorId::a, 0, 16, 32, 64}, part{TensorId::a, 4, 8, 32, 32};
  EXPECT_THAT(defect_of(small_machine(), {load_then_feed(loaded, other)}),
              HasSubstr("the command names b[0..16, 0..64]"));
  EXPECT_THAT(defect_of(small_machine(), {load_then_feed(loaded, wider)}),
              HasSubstr("the command names a[0..16, 32..96]"));
  EXPECT_EQ(defect_of(small_machine(), {load_then_feed(loaded, part)}), "no defect");
}

TEST(WrongRegion, SlotThatWasOverwrittenTooEarlyIsADefect) {
  // The second load reuses slot 0 while the ring still has space in slot 1.
  const Region first = tile(TensorId::a, 0), second = tile(TensorId::a, 1);
  CoreCommands core;
  core.pipes.emplace_back(PipeId::load,
                          std::vector{with(load(first, kBytes), {}, {writing(RingId::l1_a, 0, first)}),
                                      with(load(second, kBytes), {}, {writing(RingId::l1_a, 0, second)})});
  core.pipes.emplace_back(PipeId::feed,
                          std::vector{with(feed(Bytes(64), Bytes(64)), {reading(RingId::l1_a, 0, first)})});
  core.rings = {{RingId::l1_a, 2}};
  EXPECT_THAT(defect_of(small_machine(), {std::move(core)}),
              HasSubstr("slot 0 of l1_a holds a[16..32, 0..64], the command names a[0..16, 0..64]"));
}

TEST(WrongRegion, SecondOperandIsCheckedToo) {
  const Region a = tile(TensorId::a, 0), b = tile(TensorId::b, 0);
  Write pair = writing(RingId::l0, 0, a);
  pair.second = b;
  Read wrong = reading(RingId::l0, 0, a);
  wrong.second = tile(TensorId::b, 1);
  CoreCommands core;
  core.pipes.emplace_back(PipeId::feed, std::vector{with(feed(Bytes(64), Bytes(64)), {}, {pair})});
  core.pipes.emplace_back(PipeId::tensor, std::vector{with(matmul(16, 16, 16, 64), {wrong})});
  core.rings = {{RingId::l0, 1}};
  EXPECT_EQ(defect_of(small_machine(), {std::move(core)}),
            "chip.core0.tensor at cycle 7: slot 0 of l0 holds a[0..16, 0..64] and b[0..16, 0..64], the command names "
            "a[0..16, 0..64] and b[16..32, 0..64]");
}

TEST(Deadlock, ReportsWhatEveryPipeWaitsFor) {
  // The feed wants a second tile that nobody loads; the load has no slot for its second one; the tensor unit has
  // nothing to read.
  const Region first = tile(TensorId::a, 0), second = tile(TensorId::a, 1);
  Read keeps = reading(RingId::l1_a, 0, first);
  keeps.give = false;
  CoreCommands core;
  core.pipes.emplace_back(PipeId::load,
                          std::vector{with(load(first, kBytes), {}, {writing(RingId::l1_a, 0, first)}),
                                      with(load(second, kBytes), {}, {writing(RingId::l1_a, 0, second)})});
  core.pipes.emplace_back(PipeId::feed,
                          std::vector{with(feed(Bytes(64), Bytes(64)), {keeps}),
                                      with(feed(Bytes(64), Bytes(64)), {reading(RingId::l1_a, 0, second)})});
  core.pipes.emplace_back(PipeId::tensor, std::vector{with(matmul(16, 16, 16, 64), {reading(RingId::l0, 0, first)})});
  core.rings = {{RingId::l1_a, 1}, {RingId::l0, 1}};
  const std::int64_t feed_ends = kArrival + 5 + 1 + 1;
  EXPECT_EQ(defect_of(small_machine(), {std::move(core)}),
            fmt::format("no progress at cycle {}:\n"
                        "  chip.core0.load: after 1 commands waits for space of l1_a\n"
                        "  chip.core0.gather: finished after 0 commands\n"
                        "  chip.core0.vector: finished after 0 commands\n"
                        "  chip.core0.feed: after 1 commands waits for data of l1_a\n"
                        "  chip.core0.tensor: after 0 commands waits for data of l0\n"
                        "  chip.core0.branch: finished after 0 commands\n"
                        "  chip.core0.drain: finished after 0 commands\n",
                        feed_ends));
}

TEST(Deadlock, LeavesTheNextSimulationUntouched) {
  const Region first = tile(TensorId::a, 0);
  const auto fresh = run(small_machine(), {load_then_feed(first, first)});
  EXPECT_NE(defect_of(small_machine(), {load_then_feed(first, tile(TensorId::a, 1))}), "no defect");
  CoreCommands waiting;
  waiting.pipes.emplace_back(PipeId::tensor,
                             std::vector{with(matmul(16, 16, 16, 64), {reading(RingId::l0, 0, first)})});
  waiting.rings = {{RingId::l0, 1}};
  EXPECT_NE(defect_of(small_machine(), {std::move(waiting)}), "no defect");
  EXPECT_EQ(run(small_machine(), {load_then_feed(first, first)}).total, fresh.total);
}

TEST(WrongProgram, UnknownRingsWrongUnitsAndTooManyCoresAreDefects) {
  const Region first = tile(TensorId::a, 0);
  CoreCommands no_ring;
  no_ring.pipes.emplace_back(PipeId::feed,
                             std::vector{with(feed(Bytes(64), Bytes(64)), {reading(RingId::l1_b, 0, first)})});
  EXPECT_EQ(defect_of(small_machine(), {std::move(no_ring)}),
            "a command uses ring l1_b, which the program does not have");
  CoreCommands wrong_unit;
  wrong_unit.pipes.emplace_back(PipeId::tensor, std::vector{feed(Bytes(64), Bytes(64))});
  EXPECT_EQ(defect_of(small_machine(), {std::move(wrong_unit)}),
            "chip.core0.tensor: a command of another unit (alternative 3)");
  EXPECT_EQ(defect_of(small_machine(), std::vector<CoreCommands>(3)), "program for 3 cores on a machine of 2");
}

// What an observer throws comes out of simulate() as it was thrown.
TEST(Observer, ExceptionsKeepTheirType) {
  std::vector<CoreCommands> cores(1);
  cores[0].pipes.emplace_back(PipeId::drain, std::vector{drain(tile(TensorId::output, 0), kBytes)});
  const auto throwing = [](const Region&) { input_error("disk full"); };
  EXPECT_THROW(simulate(small_machine(), program_of(std::move(cores)), {.on_output = throwing, .events = {}}),
               InputError);
}

}  // namespace
}  // namespace oscsim::units
