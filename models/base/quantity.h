// SPDX-License-Identifier: Apache-2.0
// Quantities are types: a Cycles is no Bytes, a span of time is no point in time. Construction and extraction are
// explicit; only operators that mean something exist; an integer quantity never becomes negative.
#pragma once

#include <cmath>
#include <compare>
#include <concepts>
#include <cstdint>

#include "models/base/error.h"

namespace oscsim {

template <class Tag, class Rep>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep count) : count_(count) {}
  constexpr Rep count() const { return count_; }
  constexpr double real() const { return static_cast<double>(count_); }

  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.count_ + b.count_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) {
    if constexpr (std::integral<Rep>) ensure(a.count_ >= b.count_, "quantity underflow: {} - {}", a.count_, b.count_);
    return Quantity(a.count_ - b.count_);
  }
  template <std::integral Factor>
  friend constexpr Quantity operator*(Quantity a, Factor factor) {
    return Quantity(a.count_ * static_cast<Rep>(factor));
  }
  // Quotient of two equal quantities: a plain number.
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.count_) / static_cast<double>(b.count_);
  }
  constexpr Quantity& operator+=(Quantity b) { return *this = *this + b; }
  constexpr Quantity& operator-=(Quantity b) { return *this = *this - b; }
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

 private:
  Rep count_{};
};

using Cycles = Quantity<struct CyclesTag, std::int64_t>;                  // a span of core clock cycles
using Bytes = Quantity<struct BytesTag, std::int64_t>;                    //
using Bits = Quantity<struct BitsTag, std::int64_t>;                      //
using Macs = Quantity<struct MacsTag, std::int64_t>;                      // multiply-accumulates
using Hertz = Quantity<struct HertzTag, double>;                          //
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;        //
using BytesPerCycle = Quantity<struct BytesPerCycleTag, double>;          // per core clock cycle
using Nanoseconds = Quantity<struct NanosecondsTag, double>;              //
using Picojoules = Quantity<struct PicojoulesTag, double>;                //
using SquareMicrometres = Quantity<struct SquareMicrometresTag, double>;  //
using PowerDensity = Quantity<struct PowerDensityTag, double>;            // mW/mm2

// A point in simulated time, in core clock cycles since the start of the program.
class Instant {
 public:
  constexpr Instant() = default;
  constexpr explicit Instant(std::int64_t cycle) : cycle_(cycle) {}
  constexpr std::int64_t cycle() const { return cycle_; }
  friend constexpr Instant operator+(Instant t, Cycles span) { return Instant(t.cycle_ + span.count()); }
  friend constexpr Cycles operator-(Instant later, Instant earlier) {
    ensure(later.cycle_ >= earlier.cycle_, "time runs backwards: {} - {}", later.cycle_, earlier.cycle_);
    return Cycles(later.cycle_ - earlier.cycle_);
  }
  friend constexpr auto operator<=>(Instant, Instant) = default;

 private:
  std::int64_t cycle_ = 0;
};

// Whole bytes that hold `bits`.
constexpr Bytes bytes_of(Bits bits) {
  return Bytes((bits.count() + 7) / 8);
}

// Bandwidth seen from the core's clock.
constexpr BytesPerCycle per_cycle(BytesPerSecond rate, Hertz clock) {
  return BytesPerCycle(rate.count() / clock.count());
}

// Time to move `bytes` at `rate`, rounded up to whole cycles.
inline Cycles transfer_time(Bytes bytes, BytesPerCycle rate) {
  return Cycles(static_cast<std::int64_t>(std::ceil(static_cast<double>(bytes.count()) / rate.count())));
}

// Smallest multiple count: how many tiles of `size` cover `extent`.
constexpr std::int64_t tiles_of(std::int64_t extent, std::int64_t size) {
  return (extent + size - 1) / size;
}

constexpr std::int64_t round_up(std::int64_t extent, std::int64_t granule) {
  return tiles_of(extent, granule) * granule;
}

// a * b, or InputError that names the product when it does not fit in 63 bits. Sizes come from the user.
inline std::int64_t checked_product(std::int64_t a, std::int64_t b, const char* what) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) input_error("{} overflows: {} x {} does not fit in 63 bits", what, a, b);
  return product;
}

}  // namespace oscsim
