// SPDX-License-Identifier: Apache-2.0
// The clock domain of the cores: the one place where cycles become sc_time and back.
#pragma once

#include <cmath>
#include <systemc>

#include "models/base/quantity.h"

namespace oscsim::units {

// Contract
//   Time: the kernel's resolution is 1 fs (simulation.h sets it); a cycle is a whole number of femtoseconds, so that
//   cycles survive the way to sc_time and back exactly. The rounding of the period (below 1e-6) stays inside the
//   kernel: reported times are cycles divided by the exact clock.
class ClockDomain {
 public:
  explicit ClockDomain(Hertz clock) : clock_(clock), period_(std::llround(1e15 / clock.count())) {}

  Hertz clock() const { return clock_; }
  Instant now() const { return Instant(static_cast<std::int64_t>(sc_core::sc_time_stamp().value()) / period_); }
  // From now until `instant`, which does not lie in the past.
  sc_core::sc_time until(Instant instant) const { return span(instant - now()); }
  sc_core::sc_time span(Cycles cycles) const {
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(cycles.count() * period_));
  }
  // A fraction of cycles, as memory models need it.
  sc_core::sc_time span(double cycles) const {
    return sc_core::sc_time::from_value(
        static_cast<sc_dt::uint64>(std::llround(cycles * static_cast<double>(period_))));
  }
  double cycles(sc_core::sc_time time) const {
    return static_cast<double>(time.value()) / static_cast<double>(period_);
  }
  // Whole cycles that cover `time`.
  Cycles cycles_covering(sc_core::sc_time time) const {
    return Cycles(tiles_of(static_cast<std::int64_t>(time.value()), period_));
  }
  double cycles_of(Nanoseconds time) const { return time.count() * 1e-9 * clock_.count(); }

 private:
  Hertz clock_;
  std::int64_t period_;  // fs
};

}  // namespace oscsim::units
