// SPDX-License-Identifier: Apache-2.0
// Closed forms of systolic arrays against a grid of registers, and instructions of such a unit on the chip.
#include <gtest/gtest.h>

#include <random>

#include "tests/timing/small_programs.h"
#include "tests/timing/systolic_grid.h"

namespace oscsim::units {
namespace {

constexpr Dataflow kDataflows[] = {Dataflow::weight_stationary, Dataflow::output_stationary,
                                   Dataflow::input_stationary};

struct Case {
  SystolicShape shape;
  std::int64_t m = 0, n = 0, k = 0, k0 = 0;
  std::int64_t depth() const { return tiles_of(k, k0); }
  std::string text() const {
    return fmt::format("{} x {} elements of {}, {}, {} x {} x {}", shape.rows, shape.columns, k0,
                       name_of(shape.dataflow), m, n, k);
  }
};

class Draw {
 public:
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(bits_() % static_cast<std::uint32_t>(high - low + 1));
  }
  // Arrays of up to 8 x 8, up to five folds each way, most of them with tails.
  Case any(Dataflow dataflow, bool overlap) {
    Case one{{between(1, 8), between(1, 8), dataflow, overlap},
             between(1, 30),
             between(1, 30),
             between(1, 30),
             std::int64_t{1} << between(0, 2)};
    return one;
  }
  std::vector<std::vector<int>> matrix(std::int64_t rows, std::int64_t columns) {
    std::vector<std::vector<int>> matrix(static_cast<std::size_t>(rows));
    for (auto& row : matrix)
      for (std::int64_t i = 0; i < columns; ++i) row.push_back(static_cast<int>(between(-9, 9)));
    return matrix;
  }

 private:
  std::mt19937 bits_{20260402};
};

grid::Operand operand(const std::vector<std::vector<int>>& matrix, std::int64_t k0) {
  grid::Operand operand;
  for (const auto& row : matrix) {
    auto& steps = operand.emplace_back(static_cast<std::size_t>(tiles_of(std::ssize(row), k0)));
    for (std::size_t i = 0; i < row.size(); ++i)
      steps[i / static_cast<std::size_t>(k0)][i % static_cast<std::size_t>(k0)] = row[i];
  }
  return operand;
}

grid::Product product(const std::vector<std::vector<int>>& a, const std::vector<std::vector<int>>& b) {
  grid::Product product(a.size(), std::vector<std::int64_t>(b.size()));
  for (std::size_t m = 0; m < a.size(); ++m)
    for (std::size_t n = 0; n < b.size(); ++n)
      for (std::size_t k = 0; k < a[m].size(); ++k) product[m][n] += std::int64_t{a[m][k]} * b[n][k];
  return product;
}

void expect_closed_form(Draw& draw, const Case& one, std::optional<std::int64_t> period) {
  SCOPED_TRACE(one.text());
  const auto a = draw.matrix(one.m, one.k), b = draw.matrix(one.n, one.k);
  const grid::Run run = grid::multiply(one.shape, operand(a, one.k0), operand(b, one.k0), period);
  EXPECT_EQ(run.product, product(a, b));
  const Folds folds = folds_of(one.shape, one.m, one.n, one.depth());
  const FoldTime fold = fold_time(one.shape, folds.stream);
  EXPECT_EQ(fold.fill, Cycles(run.fill));
  EXPECT_EQ(fold.stream, Cycles(run.stream));
  EXPECT_EQ(fold.drain, Cycles(run.drain));
  const SystolicTime time = systolic_time(one.shape, one.m, one.n, one.depth());
  EXPECT_EQ(time.latency, Cycles(run.last_output));
  if (one.shape.dataflow == Dataflow::output_stationary && !one.shape.overlap_folds) {
    // One fold as the program counts it ends when the array has computed it.
    SystolicShape computed = one.shape;
    computed.fold_rule = FoldRule::program;
    const Cycles out = fold.total() - fold_time(computed, folds.stream).total();
    EXPECT_EQ(time.latency, Cycles(run.last_sum) + out);
  }
  EXPECT_EQ(time.operands, Cycles(run.last_operand));
}

TEST(SystolicArray, TakesItsClosedFormOneFoldAfterTheOther) {
  Draw draw;
  for (const Dataflow dataflow : kDataflows)
    for (int i = 0; i < 500; ++i) expect_closed_form(draw, draw.any(dataflow, false), std::nullopt);
}

TEST(SystolicArray, TakesItsClosedFormWhenFoldsOverlap) {
  Draw draw;
  for (const Dataflow dataflow : kDataflows)
    for (int i = 0; i < 500; ++i) {
      const Case one = draw.any(dataflow, true);
      const std::int64_t stream = folds_of(one.shape, one.m, one.n, one.depth()).stream;
      expect_closed_form(draw, one, std::max(stream, one.shape.rows));
    }
}

// Every side, kind of register and latency that a dataflow has, on random arrays.
template <class Expect>
void for_each_kind_of_array(Draw& draw, bool overlap, int times, const Expect& expect) {
  for (const Dataflow dataflow : kDataflows)
    for (const auto& [side_name, side] : EnumNames<DrainSide>::kValues)
      for (const auto& [registers_name, registers] : EnumNames<FoldRegisters>::kValues)
        for (int i = 0; i < times; ++i) {
          Case one = draw.any(dataflow, overlap);
          one.shape.drain_side = side;
          one.shape.fold_registers = registers;
          one.shape.element_latency = Cycles(draw.between(0, 5));
          std::vector<std::string> problems;
          one.shape.check("tensor", problems);
          if (!problems.empty()) break;
          SCOPED_TRACE(fmt::format("{}, {}, latency {}", side_name, registers_name, one.shape.element_latency.count()));
          expect(one);
        }
}

TEST(FaultA9, ArraysOfEverySideAndLatencyTakeTheirClosedFormOneFoldAfterTheOther) {
  Draw draw;
  for_each_kind_of_array(draw, false, 200, [&](const Case& one) { expect_closed_form(draw, one, std::nullopt); });
}

TEST(FaultA9, ArraysOfEverySideRegistersAndLatencyTakeTheirClosedFormWhenFoldsOverlap) {
  Draw draw;
  int tried = 0;
  for_each_kind_of_array(draw, true, 200, [&](Case one) {
    const std::int64_t stream = folds_of(one.shape, one.m, one.n, one.depth()).stream;
    expect_closed_form(draw, one, std::max(stream, fold_interval(one.shape).count()));
    // Nor do they need any sooner start.
    one.shape.fold_interval = fold_interval(one.shape) + Cycles(draw.between(0, 9));
    expect_closed_form(draw, one, std::max(stream, one.shape.fold_interval->count()));
    ++tried;
  });
  EXPECT_EQ(tried, (2 + 2 * 2 + 2) * 200);
}

TEST(FaultA9, NoArrayCanTakeOverlappingFoldsEarlierThanItsRegistersAllow) {
  Draw draw;
  int tried = 0;
  for_each_kind_of_array(draw, true, 60, [&](const Case& one) {
    const Folds folds = folds_of(one.shape, one.m, one.n, one.depth());
    const std::int64_t period = std::max(folds.stream, fold_interval(one.shape).count());
    if (folds.count == 1 || period == 1) return;
    const auto a = operand(draw.matrix(one.m, one.k), one.k0), b = operand(draw.matrix(one.n, one.k), one.k0);
    EXPECT_THROW(grid::multiply(one.shape, a, b, period - 1), grid::Hazard) << one.text();
    ++tried;
  });
  EXPECT_GT(tried, 300);
}

// Rows 128, columns 64, stream 1000.
TEST(FaultA9, FoldsOfAnOutputStationaryArrayByBothRulesAndSides) {
  SystolicShape shape{.rows = 128, .columns = 64, .dataflow = Dataflow::output_stationary};
  EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(2 * 128 + 64 + 1000 - 2));
  shape.drain_side = DrainSide::rows;
  EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(128 + 2 * 64 + 1000 - 2));
  shape.element_latency = Cycles(5);
  EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(128 + 2 * 64 + 1000 - 2 + 5));
  shape.fold_rule = FoldRule::program;
  EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(1000 + 128 + 64 - 2 + 5));
  shape.element_latency = Cycles(0);
  EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(1000 + 128 + 64 - 2));
  shape.drain_side = DrainSide::columns;
  EXPECT_EQ(systolic_time(shape, 2 * 128, 64, 1000).latency, Cycles(2 * (1000 + 128 + 64 - 2)));
}

TEST(FaultA9, VariantTheOtherDataflowsTakeTheSameByEitherRule) {
  for (const Dataflow dataflow : {Dataflow::weight_stationary, Dataflow::input_stationary}) {
    SystolicShape shape{.rows = 128, .columns = 64, .dataflow = dataflow, .fold_rule = FoldRule::program};
    EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(2 * 128 + 64 + 1000 - 2));
    shape.element_latency = Cycles(3);
    EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(2 * 128 + 64 + 1000 - 2 + 3));
  }
}

TEST(FaultA9, FoldsOverlapAsFarApartAsRegistersOrCyclesSay) {
  SystolicShape shape{.rows = 128, .columns = 64, .overlap_folds = true};
  const auto interval = [&] { return systolic_time(shape, 8, 64 * 3, 128).occupancy.count() / 3; };  // a stream of 8
  EXPECT_EQ(interval(), 128);
  shape.fold_registers = FoldRegisters::shadow_weights;
  EXPECT_EQ(interval(), 2 * 128 - 1);
  shape.fold_interval = Cycles(200);
  EXPECT_EQ(interval(), 200);
  shape.fold_interval = Cycles(5);
  EXPECT_EQ(interval(), 8);  // the stream
}

TEST(FaultA9, VariantOutputsThatLeaveAlongTheRowsMakeColumnsTheInterval) {
  SystolicShape shape{.rows = 128, .columns = 64, .dataflow = Dataflow::output_stationary, .overlap_folds = true};
  const auto interval = [&] { return systolic_time(shape, 128, 64 * 3, 8).occupancy.count() / 3; };  // a stream of 8
  EXPECT_EQ(interval(), 128);
  shape.drain_side = DrainSide::rows;
  EXPECT_EQ(interval(), 64);
  shape.fold_registers = FoldRegisters::output_register;
  EXPECT_EQ(interval(), 128 + 2 * 64 - 2);
  shape.drain_side = DrainSide::columns;
  EXPECT_EQ(interval(), 2 * 128 + 64 - 2);
}

TEST(SystolicArray, CannotTakeOverlappingFoldsEarlier) {
  Draw draw;
  int tried = 0;
  for (const Dataflow dataflow : kDataflows)
    for (int i = 0; i < 100; ++i) {
      const Case one = draw.any(dataflow, true);
      const Folds folds = folds_of(one.shape, one.m, one.n, one.depth());
      const std::int64_t period = std::max(folds.stream, one.shape.rows);
      if (folds.count == 1 || period == 1) continue;
      const auto a = operand(draw.matrix(one.m, one.k), one.k0), b = operand(draw.matrix(one.n, one.k), one.k0);
      EXPECT_THROW(grid::multiply(one.shape, a, b, period - 1), grid::Hazard) << one.text();
      ++tried;
    }
  EXPECT_GT(tried, 200);
}

TEST(SystolicTiming, FoldTakesTwiceTheRowsPlusColumnsPlusStreamLessTwo) {
  for (const Dataflow dataflow : kDataflows) {
    const SystolicShape shape{.rows = 128, .columns = 64, .dataflow = dataflow, .overlap_folds = false};
    EXPECT_EQ(fold_time(shape, 1000).total(), Cycles(2 * 128 + 64 + 1000 - 2)) << name_of(dataflow);
  }
}

TEST(SystolicTiming, DataflowSaysWhatIsCutIntoFoldsAndWhatStreams) {
  SystolicShape shape{.rows = 8, .columns = 4, .dataflow = Dataflow::weight_stationary, .overlap_folds = false};
  const std::int64_t m = 17, n = 9, depth = 20;
  const auto expect = [&](std::int64_t count, std::int64_t stream) {
    const Folds folds = folds_of(shape, m, n, depth);
    EXPECT_EQ(folds.count, count) << name_of(shape.dataflow);
    EXPECT_EQ(folds.stream, stream) << name_of(shape.dataflow);
  };
  expect(3 * 3, m);  // 20 steps over 8 rows, 9 features over 4 columns
  shape.dataflow = Dataflow::output_stationary;
  expect(3 * 3, depth);  // 17 tokens over 8 rows, 9 features over 4 columns
  shape.dataflow = Dataflow::input_stationary;
  expect(3 * 5, n);  // 20 steps over 8 rows, 17 tokens over 4 columns
}

constexpr MatrixParams kArray{.kind = MatrixKind::systolic,
                              .cube = {.m0 = 1, .n0 = 1, .k0_4bit = 4, .k0_8bit = 2, .k0_16bit = 1},
                              .systolic = {.rows = 8, .columns = 4}};

TEST(SystolicTiming, WidthSetsTheReductionOfAnElement) {
  const std::int64_t m = 10, n = 4, fold = 2 * 8 + 4 + m - 2;
  EXPECT_EQ(matrix_time(kArray, 16, m, n, 32).latency, Cycles(fold * 4));
  EXPECT_EQ(matrix_time(kArray, 8, m, n, 32).latency, Cycles(fold * 2));
  EXPECT_EQ(matrix_time(kArray, 4, m, n, 32).latency, Cycles(fold));
  EXPECT_EQ(matrix_time(kArray, 4, m, n, 33).latency, Cycles(fold * 2));
  EXPECT_EQ(macs_per_cycle(kArray, 4), Macs(8 * 4 * 4));
}

TEST(SystolicTiming, GapAndStartupComeOnTop) {
  MatrixParams params = kArray;
  params.gap = Cycles(5);
  params.startup = Cycles(9);
  const Cycles fold(2 * 8 + 4 + 10 - 2), gap(5), startup(9);
  const MatrixTime time = matrix_time(params, 16, 10, 4, 8);
  EXPECT_EQ(time.work, Cycles(10));
  EXPECT_EQ(time.occupancy, fold + gap);
  EXPECT_EQ(time.latency, fold + startup);
}

MachineParams systolic_machine(const SystolicShape& shape) {
  MachineParams machine = small_machine();
  static_cast<MatrixParams&>(machine.core.tensor) = kArray;
  machine.core.tensor.systolic = shape;
  return machine;
}

CoreCommands matmuls(std::vector<Command> commands) {
  return {{{PipeId::tensor, std::move(commands)}}, {}};
}

TEST(SystolicUnit, OneTileTakesTheClosedFormOnTheChip) {
  Draw draw;
  for (const Dataflow dataflow : kDataflows)
    for (const bool overlap : {false, true})
      for (const int bits : {4, 8, 16}) {
        const Case one = draw.any(dataflow, overlap);
        const auto result = run(systolic_machine(one.shape), {matmuls({matmul(bits, one.m, one.n, one.k)})});
        const SystolicTime time = systolic_time(one.shape, one.m, one.n, tiles_of(one.k, kArray.cube.k0(bits)));
        EXPECT_EQ(result.total, time.latency) << one.text();
        EXPECT_EQ(time_of(result, PipeId::tensor).busy, time.streaming) << one.text();
        EXPECT_EQ(time_of(result, PipeId::tensor).startup, time.occupancy - time.streaming) << one.text();
      }
}

// 8 x 4 elements, 20 x 4 x 8 in 16 bit: one fold, a stream of 20.
TEST(SystolicUnit, InstructionsFollowOneAnother) {
  const SystolicShape shape{.rows = 8, .columns = 4, .dataflow = Dataflow::weight_stationary, .overlap_folds = false};
  const Cycles fold(2 * 8 + 4 + 20 - 2);
  const auto result = run(systolic_machine(shape), {matmuls({matmul(16, 20, 4, 8), matmul(16, 20, 4, 8)})});
  EXPECT_EQ(result.total, fold + fold);
}

TEST(SystolicUnit, InstructionEntersBehindTheOneBeforeWhenFoldsOverlap) {
  const SystolicShape shape{.rows = 8, .columns = 4, .dataflow = Dataflow::weight_stationary, .overlap_folds = true};
  const Cycles stream(20), fold(2 * 8 + 4 + 20 - 2);
  const auto result = run(systolic_machine(shape), {matmuls({matmul(16, 20, 4, 8), matmul(16, 20, 4, 8)})});
  EXPECT_EQ(result.total, stream + fold);
}

// A feed may refill the only slot of operands once the last of them has entered.
TEST(SystolicUnit, OperandSlotIsFreeWhenTheLastOperandHasEntered) {
  const SystolicShape shape{.rows = 8, .columns = 4, .dataflow = Dataflow::weight_stationary, .overlap_folds = true};
  const Region a = tile(TensorId::a, 0);
  CoreCommands core;
  core.pipes.emplace_back(PipeId::feed,
                          std::vector{with(feed(Bytes(128), Bytes(64)), {}, {writing(RingId::l0, 0, a)}),
                                      with(feed(Bytes(128), Bytes(64)), {}, {writing(RingId::l0, 0, a)})});
  core.pipes.emplace_back(PipeId::tensor, std::vector{with(matmul(16, 20, 4, 8), {reading(RingId::l0, 0, a)}),
                                                      with(matmul(16, 20, 4, 8), {reading(RingId::l0, 0, a)})});
  core.rings = {{RingId::l0, 1}};
  const Cycles feed_span = Cycles(5) + Cycles(1) + Cycles(1), filled(8), stream(20), skew(8 - 1);
  const Cycles fold(2 * 8 + 4 + 20 - 2);
  const auto result = run(systolic_machine(shape), {std::move(core)});
  EXPECT_EQ(result.total, feed_span + filled + stream + skew + feed_span + fold);
}

TEST(SystolicUnit, BranchUnitOfItsOwnMayBeOne) {
  MachineParams machine = small_machine();
  machine.core.branch.kind = MatrixKind::systolic;
  machine.core.branch.systolic = {.rows = 8, .columns = 4};
  machine.core.branch.startup = machine.core.branch.gap = Cycles(0);
  CoreCommands core;
  core.pipes.emplace_back(PipeId::branch, std::vector{matmul(16, 20, 4, 64)});
  EXPECT_EQ(run(machine, {std::move(core)}).total, Cycles(2 * 8 + 4 + 20 - 2));  // one fold: 8 elements of 8
}

}  // namespace
}  // namespace oscsim::units
