// SPDX-License-Identifier: Apache-2.0
// Counters of a timeline.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace oscsim {

// Cycles of a time axis, from included, to not.
struct CycleWindow {
  std::int64_t from = 0, to = 0;
};

using TwoValues = std::array<double, 2>;

// A counter of two series. Emits a value when it has changed, the last one of an instant; within the window, and where
// the window begins.
class CounterTrack {
 public:
  using Emit = std::function<void(std::int64_t cycle, const TwoValues& values)>;

  CounterTrack(CycleWindow window, Emit emit) : window_(window), emit_(std::move(emit)) {}

  // Cycles do not fall.
  void set(std::int64_t cycle, const TwoValues& values);
  // Emits what is pending.
  void flush();

 private:
  CycleWindow window_;
  Emit emit_;
  std::optional<std::int64_t> pending_at_;
  TwoValues pending_{};
  std::optional<TwoValues> emitted_;
};

// Bytes that pass a memory, per bin of equal length. Keeps the bins from now on only: its memory does not grow with
// the run.
class TransferBins {
 public:
  // assumed: short against a tile, long enough that a bin holds several transfers
  static constexpr std::int64_t kCycles = 256;
  using Emit = std::function<void(std::int64_t cycle, const TwoValues& bytes)>;

  explicit TransferBins(Emit emit) : emit_(std::move(emit)) {}

  // `bytes` pass evenly from cycle `from` to `until`; `series` is 0 or 1.
  void add(double from, double until, double bytes, std::size_t series);
  // No further transfer begins before `cycle`: emits the bins that end by then, and 0 after the last.
  void complete(std::int64_t cycle);
  void finish();

 private:
  void emit(std::int64_t bin, const TwoValues& bytes);

  Emit emit_;
  std::map<std::int64_t, TwoValues> bins_;
  std::optional<std::int64_t> emitted_;  // the last bin
};

}  // namespace oscsim
