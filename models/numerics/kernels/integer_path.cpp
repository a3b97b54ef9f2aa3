// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/integer_path.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "models/numerics/element.h"
#include "models/numerics/kernels/pack_integers.h"

namespace oscsim::numerics::kernels {
namespace {

using FactorTable = std::array<std::uint32_t, 256>;

bool is_power_of_two(BlockScale scale) {
  return scale == BlockScale::none || scale == BlockScale::e8m0;
}

// Scales that may be zero or negative have no bits that could be added.
bool is_positive(BlockScale scale) {
  return scale != BlockScale::e4m3;
}

Scaling scaling_of(const FormatInfo& a, const FormatInfo& b, Kernel kernel) {
  if (summed_block(a, b) == 0) return Scaling::none;
  const bool powers = is_power_of_two(a.block_scale) || is_power_of_two(b.block_scale);
  return kernel != Kernel::portable && powers && is_positive(a.block_scale) && is_positive(b.block_scale)
             ? Scaling::powers
             : Scaling::floats;
}

// FP32 bits of a positive number, without a limit to its exponent; modulo 2^32.
std::uint32_t wide_bits(double value) {
  int exponent = 0;
  const double significand = std::frexp(value, &exponent);  // in [0.5, 1)
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(significand));
  return bits + (static_cast<std::uint32_t>(exponent) << 23);
}

FactorTable make_table(const PackedIntegers& operand, Scaling scaling, Side side) {
  const std::uint32_t bias = side == Side::rows ? 127U << 23 : 0U;  // two numbers' exponents have two biases
  FactorTable table;
  for (std::size_t code = 0; code < table.size(); ++code) {
    const double factor = operand.factors()[code];
    table[code] = scaling == Scaling::powers ? wide_bits(factor) - bias
                                             : std::bit_cast<std::uint32_t>(static_cast<float>(factor));
  }
  return table;
}

// The largest magnitude of the codes. INT8's -128, which no cast gives, is looked for.
std::int64_t largest_magnitude(const QuantisedMatrix& matrix, const IntegerRange& range) {
  const bool lowest = range.smallest != -128 || std::ranges::find(matrix.codes, 0x80) != matrix.codes.end();
  return lowest ? -range.smallest : range.largest;
}

// Whether all of K, summed in any order, stays in INT32.
bool fits_int32(const QuantisedMatrix& a, const QuantisedMatrix& b, const IntegerTask& task) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
  return a.k * task.a.smallest * task.b.smallest <= kMax ||
         a.k * largest_magnitude(a, task.a) * largest_magnitude(b, task.b) <= kMax;
}

IntegerKernel pick(Kernel kernel, const IntegerTask& task) {
  switch (resolve(kernel)) {
    case Kernel::avx512_vnni:
      return avx512::integer_kernel(task);
    case Kernel::avx2:
      return avx2::integer_kernel(task);
    default:
      return portable::integer_kernel(task);
  }
}

class IntegerPath final : public MainPath {
 public:
  IntegerPath(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel)
      : a_(a, Side::rows),
        b_(b, Side::panels),
        task_{.scaling = scaling_of(format(a.format), format(b.format), kernel),
              .summed = summed_block(format(a.format), format(b.format)),
              .a = a_.range(),
              .b = b_.range()},
        kernel_(pick(kernel, task_)),
        a_factors_(make_table(a_, task_.scaling, Side::rows)),
        b_factors_(make_table(b_, task_.scaling, Side::panels)),
        fits_(task_.scaling != Scaling::none || fits_int32(a, b, task_)) {
    // At most 23 bits with the significands of two factors, 4 bits each: exact in FP32, and so is the factors' product.
    ensure(task_.summed * task_.a.smallest * task_.b.smallest <= 1 << 19,
           "block sums of {} x {} need more than 20 bits", name_of(a.format), name_of(b.format));
  }

  // Whether INT32 holds the sum over all of K, or FP32 the product of any two factors as a normal number or zero.
  bool exact() const {
    return fits_ && a_.smallest_factor() * b_.smallest_factor() >= 0x1p-126 &&
           a_.largest_factor() * b_.largest_factor() < 0x1p128;
  }

  void accumulate(const Strip& strip, float* acc) const override {
    std::fill_n(acc, strip.accumulators(), 0.0F);
    accumulate_tiles(kernel_, in_product(a_, a_factors_), in_product(b_, b_factors_), a_.padded_k(), strip, acc);
    if (task_.scaling == Scaling::none)
      for (std::int64_t i = 0; i < strip.accumulators(); ++i)
        acc[i] = static_cast<float>(std::bit_cast<std::int32_t>(acc[i]));
    spread_nan(strip, a_, b_, acc);
  }

 private:
  IntegerOperand in_product(const PackedIntegers& operand, const FactorTable& factors) const {
    IntegerOperand out = operand.operand();
    out.factors = factors.data();
    out.summed = task_.summed;
    out.bias = -task_.a.smallest;
    return out;
  }

  PackedIntegers a_;
  PackedIntegers b_;
  IntegerTask task_;
  IntegerKernel kernel_;
  FactorTable a_factors_;
  FactorTable b_factors_;
  bool fits_;
};

}  // namespace

std::unique_ptr<const MainPath> make_integer_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel) {
  const FormatInfo& a_info = format(a.format);
  const FormatInfo& b_info = format(b.format);
  if (!has_small_integers(a_info) || !has_small_integers(b_info)) return nullptr;
  auto path = std::make_unique<const IntegerPath>(a, b, resolve(kernel));
  return path->exact() ? std::move(path) : nullptr;
}

}  // namespace oscsim::numerics::kernels
