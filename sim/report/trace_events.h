// SPDX-License-Identifier: Apache-2.0
// Chrome's trace event format as https://ui.perfetto.dev reads it: processes, their threads with slices, and counters.
// Google, "Trace Event Format": ts and dur are in microseconds, args is any object.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace oscsim {

// As a JSON string, quotes included. Names need not be UTF-8; JSON must be.
std::string json_string(std::string_view text);

// The members of a JSON object, in the order in which they were added. Their names are ours: nothing to escape.
class JsonMembers {
 public:
  template <class Number>
  requires std::integral<Number> || std::floating_point<Number> JsonMembers& add(std::string_view name, Number value) {
    return raw(name, fmt::format("{}", value));
  }
  JsonMembers& add(std::string_view name, std::string_view text) { return raw(name, json_string(text)); }
  std::string object() const { return "{" + text_ + "}"; }

 private:
  JsonMembers& raw(std::string_view name, std::string_view value);
  std::string text_;
};

// A row of slices. Numbers are unique in the file: Perfetto takes thread numbers for global.
struct Track {
  std::int64_t process = 0, thread = 0;
};

// Slices of one track must not overlap. Readers cut times to whole nanoseconds; ones that meet still do then, and do
// not overlap.
class TraceEvents {
 public:
  // `about` is free information on the whole file.
  TraceEvents(std::ostream& out, const JsonMembers& about);

  // Perfetto shows processes, and threads in them, by rising `place`.
  void name_process(std::int64_t process, std::string_view name, std::int64_t place);
  void name_thread(const Track& track, std::string_view name, std::int64_t place);
  // Times are in picoseconds.
  void slice(const Track& track, std::string_view name, std::int64_t start, std::int64_t end, const JsonMembers& args);
  void counter(std::int64_t process, std::string_view name, std::int64_t at, const JsonMembers& values);
  // Completes the file.
  void close();

 private:
  void event(const std::string& members);

  std::ostream& out_;
  bool is_first_ = true;
};

}  // namespace oscsim
