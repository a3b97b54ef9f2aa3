// SPDX-License-Identifier: Apache-2.0
#include "sim/report/waveform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "sim/run/result.h"

namespace oscsim {
namespace {

using units::PipeId;
using units::RingId;
using units::Worker;

class OneCommandStream : public units::CommandStream {
 public:
  bool next(units::Command&) override { return false; }
};

void open(Waveform& waveform) {
  units::MachineParams machine;
  machine.clock = Hertz(1e9);
  const std::vector<Gemm> gemms(1);
  waveform.open(machine, gemms);
  waveform.begin_work({Side::scheme, "osc", "g", "mxfp4", false, Position::attn_in, 1, 1, 1});
  units::Program program;
  units::CoreProgram& core = program.cores.emplace_back();
  core.streams[static_cast<std::size_t>(PipeId::tensor)] = std::make_unique<OneCommandStream>();
  core.slots[static_cast<std::size_t>(RingId::l0)] = 2;
  waveform.begin(program);
}

void step(Waveform& waveform, std::int64_t index, std::int64_t start, std::int64_t free,
          std::vector<units::Wait> waits = {}) {
  const units::Command command{.work = units::MatmulWork{}, .reads = {}, .writes = {}};
  waveform.command({.core = 0,
                    .pipe = PipeId::tensor,
                    .index = index,
                    .start = Instant(start),
                    .free = Instant(free),
                    .release = Instant(free),
                    .done = Instant(free),
                    .memory = Instant(free),
                    .work = Cycles(free - start),
                    .waits = waits,
                    .command = command});
}

TEST(Waveform, WritesEachChangeOnceInOrderOfTime) {
  Waveform waveform;
  open(waveform);
  step(waveform, 0, 5, 9, {{Worker::feed, Instant(0), Instant(5)}});
  waveform.ring({0, RingId::l0, Instant(5), 2, 0, 2});  // as it was
  waveform.ring({0, RingId::l0, Instant(7), 2, 1, 1});
  step(waveform, 1, 9, 12);
  std::ostringstream out;
  waveform.write(out);
  const std::string text = out.str();
  EXPECT_THAT(text, testing::HasSubstr("$timescale 1 fs $end\n"));
  EXPECT_THAT(text, testing::HasSubstr("$scope module scheme $end\n"
                                       "$var wire 63 ! cycle $end\n"
                                       "$scope module core0 $end\n"
                                       "$scope module tensor $end\n"
                                       "$var wire 2 # state $end\n"
                                       "$var wire 32 ' command $end\n"
                                       "$var wire 4 & waits_for $end\n"
                                       "$upscope $end\n"
                                       "$scope module l0 $end\n"
                                       "$var wire 32 $ filled $end\n"
                                       "$var wire 32 % free $end\n"
                                       "$upscope $end\n"
                                       "$upscope $end\n"
                                       "$upscope $end\n"
                                       "$enddefinitions $end\n"));
  const std::size_t changes = text.find("$enddefinitions $end\n") + std::string("$enddefinitions $end\n").size();
  EXPECT_EQ(text.substr(changes),
            "#0\nb0 !\nb10 #\nb0 $\nb10 %\nb100 &\n"
            "#5000000\nb101 !\nb1 #\nb0 &\nb0 '\n"
            "#7000000\nb111 !\nb1 $\nb1 %\n"
            "#9000000\nb1001 !\nb1 '\n"
            "#12000000\nb1100 !\nb0 #\n");
}

TEST(Waveform, TakesOneGemmOnly) {
  Waveform waveform;
  const std::vector<Gemm> gemms(3);
  EXPECT_THAT([&] { waveform.open({}, gemms); },
              testing::ThrowsMessage<InputError>(
                  "--vcd shows one GEMM, the run has 3\n  choose one with --gemm, or with --layers and --only"));
}

TEST(Waveform, RefusesMoreCommandsThanAnybodyReads) {
  Waveform waveform;
  open(waveform);
  for (std::int64_t i = 0; i < Waveform::kMostCommands; ++i) step(waveform, i, i, i + 1);
  EXPECT_THROW(step(waveform, 0, 0, 1), InputError);
}

}  // namespace
}  // namespace oscsim
