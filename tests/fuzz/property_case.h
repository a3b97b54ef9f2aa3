// SPDX-License-Identifier: Apache-2.0
// One random case of the property test: two operands of any formats, perhaps a branch, and how the engine computes
// them. Everything follows from (seed, number).
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

#include "models/numerics/gemm.h"

namespace oscsim::numerics::property {

// Two results that must have the same bits have not.
class Difference : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t number);

  std::uint64_t bits() { return generator_(); }
  // 0 <= result < limit
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(limit));
  }
  std::int64_t between(std::int64_t least, std::int64_t most) { return least + below(most - least + 1); }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  float normal() { return static_cast<float>(normal_(generator_)); }

 private:
  std::mt19937_64 generator_;
  std::normal_distribution<double> normal_;
};

// How the numbers of a matrix are made.
enum class Source : std::uint8_t {
  numbers,   // normal, rows of different magnitude, an outlier channel
  wide,      // any exponent of FP32, subnormals too
  mirrored,  // the second half of K cancels the first when the other operand is mirrored too
  few,       // small integers and halves: ties everywhere
  sparse,    // zeros, whole rows and blocks of them
  special,   // numbers, and here and there NaN or an infinity
  bytes,     // no cast: random codes and scales, as a file might hold
};

struct Case {
  std::string text;  // what to print of it
  QuantisedMatrix a;
  QuantisedMatrix b;
  std::optional<QuantisedMatrix> branch_a;
  std::optional<QuantisedMatrix> branch_b;
  Join join = Join::add;
  Accumulator accumulator;
  Kernel kernel = Kernel::automatic;
  int threads = 1;
  bool in_regions = false;
  std::int64_t elements_cast = 0;  // by the fast cast and by the reference

  GemmOperands operands() const;
};

// Throws Difference when a fast cast differs from the reference's; `drawn.text` then tells how far the drawing came.
void draw_case(Random& random, Case& drawn);

// An unquantised matrix of any dtype.
Matrix draw_matrix(Random& random, Source source, Dtype dtype, std::int64_t rows, std::int64_t k, bool negates);

}  // namespace oscsim::numerics::property

template <>
struct oscsim::EnumNames<oscsim::numerics::property::Source> {
  using Source = oscsim::numerics::property::Source;
  static constexpr std::pair<std::string_view, Source> kValues[] = {
      {"numbers", Source::numbers}, {"wide", Source::wide},       {"mirrored", Source::mirrored}, {"few", Source::few},
      {"sparse", Source::sparse},   {"special", Source::special}, {"bytes", Source::bytes}};
};
