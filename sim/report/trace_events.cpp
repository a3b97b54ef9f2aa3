// SPDX-License-Identifier: Apache-2.0
#include "sim/report/trace_events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/config/json_output.h"

namespace oscsim {
namespace {

constexpr std::int64_t kPicosecondsPerMicrosecond = 1'000'000;

std::string span_text(std::int64_t picoseconds) {
  return fmt::format("{}.{:06}", picoseconds / kPicosecondsPerMicrosecond, picoseconds % kPicosecondsPerMicrosecond);
}

// The middle of the picosecond: 1.001 us read as a double and cut to nanoseconds would be 1000 ns, and overlap with a
// slice that ends at 1001 ns.
std::string instant_text(std::int64_t picoseconds) {
  return span_text(picoseconds) + "5";
}

}  // namespace

std::string json_string(std::string_view text) {
  const auto is_plain = [](char c) { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; };
  if (std::ranges::all_of(text, is_plain)) return fmt::format("\"{}\"", text);
  return config::json_text(nlohmann::json(text));
}

JsonMembers& JsonMembers::raw(std::string_view name, std::string_view value) {
  text_ += fmt::format("{}\"{}\":{}", text_.empty() ? "" : ",", name, value);
  return *this;
}

TraceEvents::TraceEvents(std::ostream& out, const JsonMembers& about) : out_(out) {
  out_ << "{\"displayTimeUnit\":\"ns\",\n\"otherData\":" << about.object() << ",\n\"traceEvents\":[";
}

void TraceEvents::event(const std::string& members) {
  out_ << (is_first_ ? "\n{" : ",\n{") << members << "}";
  is_first_ = false;
}

void TraceEvents::name_process(std::int64_t process, std::string_view name, std::int64_t place) {
  event(fmt::format(R"("ph":"M","name":"process_name","pid":{},"args":{{"name":{}}})", process, json_string(name)));
  event(fmt::format(R"("ph":"M","name":"process_sort_index","pid":{},"args":{{"sort_index":{}}})", process, place));
}

void TraceEvents::name_thread(const Track& track, std::string_view name, std::int64_t place) {
  const std::string where = fmt::format(R"("pid":{},"tid":{})", track.process, track.thread);
  event(fmt::format(R"("ph":"M","name":"thread_name",{},"args":{{"name":{}}})", where, json_string(name)));
  event(fmt::format(R"("ph":"M","name":"thread_sort_index",{},"args":{{"sort_index":{}}})", where, place));
}

void TraceEvents::slice(const Track& track, std::string_view name, std::int64_t start, std::int64_t end,
                        const JsonMembers& args) {
  event(fmt::format(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":{},"args":{})", track.process, track.thread,
                    instant_text(start), span_text(end - start), json_string(name), args.object()));
}

void TraceEvents::counter(std::int64_t process, std::string_view name, std::int64_t at, const JsonMembers& values) {
  event(fmt::format(R"("ph":"C","pid":{},"ts":{},"name":{},"args":{})", process, instant_text(at), json_string(name),
                    values.object()));
}

void TraceEvents::close() {
  out_ << "\n]}\n";
}

}  // namespace oscsim
