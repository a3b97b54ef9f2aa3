// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "sim/report/gzip_stream.h"
#include "sim/run/result.h"

namespace oscsim {
namespace {

using nlohmann::json;
using units::PipeId;
using units::RingId;
using units::TensorId;
using units::Worker;

units::MachineParams machine_at(double clock) {
  units::MachineParams machine;
  machine.clock = Hertz(clock);
  machine.cores = 2;
  return machine;
}

WorkLabel label_of(Side side, const std::string& name) {
  return {side, side == Side::scheme ? "osc" : "w8a8", name, "mxfp4", false, Position::attn_in, 8, 16, 64};
}

SideResult result_of(Cycles cycles) {
  SideResult result;
  result.cycles = cycles;
  result.bound = "tensor";
  return result;
}

units::Command load_of(std::int64_t index) {
  const units::Region region{TensorId::a, index * 16, 16, 0, 64};
  return {.work = units::LoadWork{.region = region, .address = 0, .bytes = Bytes(512)}, .reads = {}, .writes = {}};
}

void show_load(Timeline& timeline, std::size_t core, std::int64_t index, std::int64_t start, std::int64_t free,
               std::vector<units::Wait> waits = {}) {
  const units::Command command = load_of(index);
  timeline.command({.core = core,
                    .pipe = PipeId::load,
                    .index = index,
                    .start = Instant(start),
                    .free = Instant(free),
                    .release = Instant(free),
                    .done = Instant(free + 5),
                    .memory = Instant(free + 5),
                    .work = Cycles(free - start),
                    .waits = waits,
                    .command = command});
}

// Runs `show` between opening and closing a timeline; the events of the file.
template <class Show>
json events_of(const TimelineOptions& options, double clock, const Show& show) {
  std::ostringstream out;
  Timeline timeline(out, options);
  timeline.open(machine_at(clock), {});
  show(timeline);
  timeline.close();
  return json::parse(out.str()).at("traceEvents");
}

std::vector<json> slices(const json& events) {
  std::vector<json> found;
  for (const json& event : events)
    if (event["ph"] == "X") found.push_back(event);
  return found;
}

std::vector<std::string> names(const std::vector<json>& events) {
  std::vector<std::string> found;
  for (const json& event : events) found.push_back(event["name"]);
  return found;
}

// As readers do that keep whole nanoseconds.
std::int64_t cut(const json& microseconds) {
  return static_cast<std::int64_t>(microseconds.get<double>() * 1000.0);
}

TEST(Timeline, SliceSaysWhenAndWhat) {
  const json events = events_of({}, 2e9, [](Timeline& timeline) {
    timeline.begin_work(label_of(Side::scheme, "g"));
    show_load(timeline, 0, 3, 100, 140);
    timeline.end_work(label_of(Side::scheme, "g"), result_of(Cycles(200)), "");
  });
  const json load = slices(events).at(0);
  EXPECT_NEAR(load["ts"], 0.050, 1e-6);
  EXPECT_EQ(load["dur"], 0.020);
  EXPECT_EQ(load["name"], "a");
  EXPECT_EQ(load["args"], (json{{"tensor", "a"},
                                {"rows", "48..64"},
                                {"k_range", "0..64"},
                                {"bytes", 512},
                                {"index", 3},
                                {"work", 40},
                                {"done", 145},
                                {"start", 100},
                                {"cycles", 40}}));
}

TEST(Timeline, WorkOfASideFollowsEachOtherAndSidesStartAtZero) {
  const json events = events_of({}, 1e9, [](Timeline& timeline) {
    for (const Side side : {Side::scheme, Side::baseline})
      for (const char* name : {"first", "second"}) {
        timeline.begin_work(label_of(side, name));
        show_load(timeline, 0, 0, 0, 10);
        timeline.end_work(label_of(side, name), result_of(Cycles(100)), "");
      }
    timeline.end_work(label_of(Side::scheme, "third"), result_of(Cycles(100)), "first");
  });
  std::map<std::int64_t, std::vector<std::int64_t>> starts;  // by thread
  for (const json& slice : slices(events)) starts[slice["tid"]].push_back(slice["args"]["start"]);
  EXPECT_THAT(starts, testing::UnorderedElementsAre(testing::Pair(testing::_, testing::ElementsAre(0, 100)),
                                                    testing::Pair(testing::_, testing::ElementsAre(0, 100)),
                                                    testing::Pair(testing::_, testing::ElementsAre(0, 100)),
                                                    testing::Pair(testing::_, testing::ElementsAre(0, 100, 200))));
  const json last = slices(events).back();
  EXPECT_EQ(last["name"], "third");
  EXPECT_EQ(last["args"]["same_as"], "first");
}

TEST(Timeline, WaitsStandBeforeTheirCommand) {
  const json events = events_of({}, 1e9, [](Timeline& timeline) {
    timeline.begin_work(label_of(Side::scheme, "g"));
    show_load(timeline, 0, 0, 30, 40,
              {{Worker::feed, Instant(0), Instant(20)}, {Worker::load, Instant(20), Instant(30)}});
  });
  EXPECT_THAT(names(slices(events)), testing::ElementsAre("wait: feed", "wait: own latency", "a"));
  EXPECT_EQ(slices(events)[1]["args"], (json{{"for", 0}, {"start", 20}, {"cycles", 10}}));
}

TEST(Timeline, SlicesThatMeetDoNotOverlapInWholeNanoseconds) {
  for (const double clock : {1e9, 1.65e9, 1.2e9, 1.8e9, 0.7e9, 3e9}) {
    const json events = events_of({}, clock, [](Timeline& timeline) {
      timeline.begin_work(label_of(Side::scheme, "g"));
      for (std::int64_t i = 0, at = 0; i < 3000; ++i) {
        const std::int64_t next = at + 1 + i % 7;
        show_load(timeline, 0, i, at, next);
        at = next;
      }
    });
    const std::vector<json> found = slices(events);
    ASSERT_EQ(found.size(), 3000);
    for (std::size_t i = 1; i < found.size(); ++i)
      ASSERT_LE(cut(found[i - 1]["ts"]) + cut(found[i - 1]["dur"]), cut(found[i]["ts"])) << clock << " " << i;
  }
}

TEST(Timeline, ShowsTheCoresAskedFor) {
  const auto cores_of = [](const TimelineOptions& options) {
    std::vector<std::int64_t> rows;
    for (const json& slice : slices(events_of(options, 1e9, [](Timeline& timeline) {
           timeline.begin_work(label_of(Side::scheme, "g"));
           for (const std::size_t core : {0, 1}) {
             show_load(timeline, core, static_cast<std::int64_t>(core), 0, 10);
             timeline.ring({core, RingId::l1_a, Instant(1), 2, 0, 1});
           }
         })))
      rows.push_back(slice["args"]["index"]);
    return rows;
  };
  EXPECT_THAT(cores_of({}), testing::ElementsAre(0));
  EXPECT_THAT(cores_of({.cores = {{1}}, .window = {}}), testing::ElementsAre(1));
  EXPECT_THAT(cores_of({.cores = std::vector<std::int64_t>{}, .window = {}}), testing::ElementsAre(0, 1));
  EXPECT_THROW(cores_of({.cores = {{2}}, .window = {}}), InputError);
}

TEST(Timeline, SaysWhatItLeavesOut) {
  std::ostringstream out;
  Timeline some(out, {});
  some.open(machine_at(1e9), {});
  EXPECT_EQ(some.left_out(), "core 0 of 2; --timeline-cores all shows all of them");
  Timeline chosen(out, {.cores = {{1}}, .window = {}});
  chosen.open(machine_at(1e9), {});
  EXPECT_EQ(chosen.left_out(), "");
}

TEST(Timeline, WindowKeepsWhatTouchesIt) {
  for (const auto& window : {TimelineWindow{20, 40, true}, TimelineWindow{10e-9, 20e-9, false}}) {
    const json events = events_of({.cores = {}, .window = window}, 2e9, [](Timeline& timeline) {
      timeline.begin_work(label_of(Side::scheme, "g"));
      for (std::int64_t i = 0; i < 6; ++i) show_load(timeline, 0, i, i * 10, i * 10 + 10);
      for (std::int64_t i = 0; i < 6; ++i) timeline.ring({0, RingId::l1_a, Instant(i * 10 + 5), 9, 0, 9 - i});
      timeline.end_work(label_of(Side::scheme, "g"), result_of(Cycles(60)), "");
    });
    EXPECT_THAT(names(slices(events)), testing::ElementsAre("a", "a", "g"));
    EXPECT_EQ(slices(events)[0]["args"]["index"], 2);
    std::vector<std::pair<std::int64_t, double>> slots;  // ns, in use
    for (const json& event : events)
      if (event["ph"] == "C") slots.emplace_back(cut(event["ts"]), event["args"]["in use"]);
    // From cycle 15 on one slot is in use, which the window begins with; changes at cycles 25 and 35.
    EXPECT_THAT(slots, testing::ElementsAre(std::pair(10, 1.0), std::pair(12, 2.0), std::pair(17, 3.0)));
  }
}

TEST(Timeline, BandwidthIsBytesPerSecondInBins) {
  constexpr auto kBin = static_cast<double>(TransferBins::kCycles);
  const json events = events_of({}, 1e9, [](Timeline& timeline) {
    timeline.begin_work(label_of(Side::scheme, "g"));
    // Half of it in the first bin, half in the second; the third is empty.
    timeline.transfer({units::MemoryId::hbm, Instant(0), false, kBin / 2, kBin * 1.5, Bytes(2560)});
    timeline.transfer({units::MemoryId::hbm, Instant(700), true, kBin * 3, kBin * 3.25, Bytes(256)});
    timeline.end_work(label_of(Side::scheme, "g"), result_of(Cycles(2000)), "");
  });
  std::vector<std::array<double, 3>> found;
  for (const json& event : events)
    if (event["ph"] == "C" && event["name"] == "HBM bytes/s")
      found.push_back({static_cast<double>(cut(event["ts"])), event["args"]["read"], event["args"]["written"]});
  const double half = 1280 / kBin * 1e9, written = 256 / kBin * 1e9;
  EXPECT_EQ(found, (std::vector<std::array<double, 3>>{
                       {0, half, 0}, {kBin * 2, 0, 0}, {kBin * 3, 0, written}, {kBin * 4, 0, 0}}));
}

TEST(Timeline, NamesAreEscaped) {
  const json events = events_of({}, 1e9, [](Timeline& timeline) {
    timeline.end_work(label_of(Side::scheme, "a \"b\"\n\xff"), result_of(Cycles(10)), "");
  });
  EXPECT_EQ(slices(events).at(0)["name"], "a \"b\"\n\ufffd");
}

TEST(GzipBuffer, UnpacksToWhatWasWritten) {
  std::string text;
  for (std::int64_t i = 0; text.size() < 300'000; ++i) text += std::to_string(i * i % 9973);
  const auto packed_by = [&](std::size_t chunk) {
    std::ostringstream out;
    GzipBuffer buffer(out);
    std::ostream stream(&buffer);
    for (std::size_t at = 0; at < text.size(); at += chunk) stream << text.substr(at, chunk);
    buffer.finish();
    return out.str();
  };
  std::string packed = packed_by(1000);
  EXPECT_EQ(packed, packed_by(100'000));
  EXPECT_LT(packed.size(), text.size());

  std::string unpacked(text.size() + 1, '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  stream.avail_out = static_cast<uInt>(unpacked.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  unpacked.resize(stream.total_out);
  inflateEnd(&stream);
  EXPECT_EQ(unpacked, text);
}

}  // namespace
}  // namespace oscsim
