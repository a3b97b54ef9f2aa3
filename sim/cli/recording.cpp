// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/recording.h"

#include <fmt/format.h>

#include <cstdio>

#include "sim/cli/arguments.h"
#include "sim/config/atomic_file.h"
#include "sim/config/units.h"
#include "sim/report/gzip_stream.h"
#include "sim/report/timeline.h"
#include "sim/report/waveform.h"

namespace oscsim {
namespace {

constexpr std::int64_t kMostCores = 4096;  // of a machine

std::pair<std::string, std::string> split_range(const std::string& option, const std::string& text,
                                                const char* example) {
  const std::size_t dash = text.find('-', 1);
  if (dash == std::string::npos) input_error("{}: '{}' is no range; expected one such as {}", option, text, example);
  return {text.substr(0, dash), text.substr(dash + 1)};
}

// "100us-150us" or "2000cycles-3000cycles".
TimelineWindow parse_window(const std::string& text) {
  const std::string option = "--timeline-window";
  const auto [first, last] = split_range(option, text, "100us-150us or 2000cycles-3000cycles");
  TimelineWindow window;
  window.in_cycles = text.find("cycle") != std::string::npos;
  const auto bound = [&](const std::string& part) {
    const auto [value, problem] =
        config::parse_measure(part, window.in_cycles ? config::kCyclesUnits : config::kNanosecondsUnits);
    if (!value) input_error("{}: {}", option, problem);
    return window.in_cycles ? *value : *value * 1e-9;
  };
  window.from = bound(first);
  window.to = bound(last);
  if (window.from >= window.to) input_error("{}: '{}' is empty; the first bound comes before the second", option, text);
  return window;
}

// "all" (empty), or numbers and ranges: "0,3,8-11".
std::vector<std::int64_t> parse_cores(const std::string& text) {
  const std::string option = "--timeline-cores";
  std::vector<std::int64_t> cores;
  if (text == "all") return cores;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const bool is_range = part.find('-', 1) != std::string::npos;
    const auto [first, last] = is_range ? split_range(option, part, "0-3") : std::pair(part, part);
    const std::int64_t from = integer_argument(option, first, 0, kMostCores - 1);
    const std::int64_t to = integer_argument(option, last, from, kMostCores - 1);
    for (std::int64_t core = from; core <= to; ++core) cores.push_back(core);
    begin = end + 1;
  }
  return cores;
}

TimelineOptions timeline_options(const RecordingArguments& arguments) {
  TimelineOptions options;
  if (!arguments.cores.empty()) options.cores = parse_cores(arguments.cores);
  if (!arguments.window.empty()) options.window = parse_window(arguments.window);
  return options;
}

RunResult run_with_timeline(const RecordingArguments& arguments, const RunOptions& options, const Progress& progress,
                            Recorders recorders) {
  RunResult result;
  std::string left_out;
  const auto write = [&](std::ostream& out) {
    Timeline timeline(out, timeline_options(arguments));
    recorders.push_back(&timeline);
    result = run(options, progress, recorders);
    timeline.close();
    left_out = timeline.left_out();
  };
  config::write_file_atomically(arguments.timeline, [&](std::ostream& file) {
    if (!arguments.timeline.ends_with(".gz")) return write(file);
    GzipBuffer buffer(file);
    std::ostream packed(&buffer);
    write(packed);
    buffer.finish();
  });
  if (!left_out.empty()) fmt::print(stderr, "{}: {}\n", arguments.timeline, left_out);
  return result;
}

}  // namespace

void RecordingArguments::check() const {
  const bool has_suffix = timeline.ends_with(".json") || timeline.ends_with(".json.gz");
  if (!timeline.empty() && !has_suffix)
    input_error("--timeline {}: allowed: names ending in .json or .json.gz", timeline);
  if (!vcd.empty() && !vcd.ends_with(".vcd")) input_error("--vcd {}: allowed: names ending in .vcd", vcd);
  timeline_options(*this);
}

config::OutputClaims::Outputs RecordingArguments::files() const {
  return {{"--timeline", timeline}, {"--vcd", vcd}};
}

void add_recording_options(CLI::App& command, RecordingArguments& arguments) {
  CLI::Option* timeline =
      command
          .add_option("--timeline", arguments.timeline,
                      "write what every pipe did when, for https://ui.perfetto.dev; of core 0 unless --timeline-cores "
                      "says otherwise; GEMMs that equal an earlier one without their commands")
          ->type_name("FILE.json[.gz]");
  command
      .add_option("--timeline-cores", arguments.cores, "cores that the timeline shows; each adds about as much to it")
      ->type_name("all|0,3,8-11")
      ->needs(timeline);
  command
      .add_option("--timeline-window", arguments.window,
                  "show only what touches this stretch of time; both sides start at 0")
      ->type_name("100us-150us")
      ->needs(timeline);
  command
      .add_option("--vcd", arguments.vcd,
                  "write states of pipes and slots of buffers for GTKWave; one GEMM of at most 200000 commands")
      ->type_name("FILE.vcd");
}

RunResult recorded_run(const RecordingArguments& arguments, const RunOptions& options, const Progress& progress) {
  Waveform waveform;
  Recorders recorders;
  if (!arguments.vcd.empty()) recorders.push_back(&waveform);
  RunResult result = arguments.timeline.empty() ? run(options, progress, recorders)
                                                : run_with_timeline(arguments, options, progress, recorders);
  if (!arguments.vcd.empty())
    config::write_file_atomically(arguments.vcd, [&](std::ostream& out) { waveform.write(out); });
  return result;
}

}  // namespace oscsim
