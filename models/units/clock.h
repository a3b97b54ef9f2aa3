// SPDX-License-Identifier: Apache-2.0
// The clock domain of the cores: the one place where cycles become sc_time and back.
#pragma once

#include <algorithm>
#include <cmath>
#include <systemc>

#include "models/base/quantity.h"

namespace oscsim::units {

// Contract
//   Time: the kernel's resolution is 1 fs (simulation.h sets it); a cycle is a whole number of femtoseconds, so that
//   cycles survive the way to sc_time and back exactly. The rounding of the period (below 1e-6) stays inside the
//   kernel: reported times are cycles divided by the exact clock.
//   Capacity: 9000 s, or kMostCycles where that is less; what would end later is an InputError.
class ClockDomain {
 public:
  // sc_time counts femtoseconds in 64 bits: the sum of two of these still fits.
  static constexpr std::int64_t kMostFemtoseconds = 9'000'000'000'000'000'000;
  static constexpr std::int64_t kMostCycles = 1'000'000'000'000'000;  // summed over 4096 cores they fit in 63 bits

  explicit ClockDomain(Hertz clock)
      : clock_(clock),
        period_(std::llround(1e15 / clock.count())),
        last_(std::min(kMostFemtoseconds / period_, kMostCycles)) {}

  Hertz clock() const { return clock_; }
  Instant now() const { return Instant(static_cast<std::int64_t>(sc_core::sc_time_stamp().value()) / period_); }
  // From now until `instant`, which does not lie in the past.
  sc_core::sc_time until(Instant instant) const {
    check(static_cast<double>(instant.cycle()));
    return span(instant - now());
  }
  sc_core::sc_time span(Cycles cycles) const {
    check(cycles.real());
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(cycles.count() * period_));
  }
  // A fraction of cycles, as memory models need it.
  sc_core::sc_time span(double cycles) const {
    check(cycles);
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
  void check(double cycles) const {
    if (!(cycles <= static_cast<double>(last_)))
      input_error("its simulated time passes {} cycles ({:.4g} s at {:.4g} GHz), the most that can be simulated", last_,
                  static_cast<double>(last_) / clock_.count(), clock_.count() * 1e-9);
  }

  Hertz clock_;
  std::int64_t period_;  // fs
  std::int64_t last_;    // cycle
};

}  // namespace oscsim::units
