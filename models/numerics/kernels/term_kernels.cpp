// SPDX-License-Identifier: Apache-2.0
// GCC's vectors, as wide as the registers of each target, columns of a panel across the lanes. Bodies are inlined into
// one function for each target.
#include "models/numerics/kernels/term_kernels.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "models/base/error.h"
#include "models/numerics/kernels/kernel.h"
#include "models/numerics/kernels/term_operand.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr std::int64_t kCols = kPanelCols;

// Vectors of a register's bytes, and those that convert to and from them lane by lane.
template <int kBytes>
struct Lanes {
  using Shorts [[gnu::vector_size(kBytes)]] = std::int16_t;
  using Floats [[gnu::vector_size(kBytes)]] = float;
  using Ints [[gnu::vector_size(kBytes)]] = std::int32_t;
  using IntShorts [[gnu::vector_size(kBytes / 2)]] = std::int16_t;
  using Doubles [[gnu::vector_size(kBytes)]] = double;
  using Longs [[gnu::vector_size(kBytes)]] = std::int64_t;
  using LongFloats [[gnu::vector_size(kBytes / 2)]] = float;
  using LongInts [[gnu::vector_size(kBytes / 2)]] = std::int32_t;
  using LongShorts [[gnu::vector_size(kBytes / 4)]] = std::int16_t;
  static constexpr std::int64_t kShorts = kBytes / 2;
  static constexpr std::int64_t kFloats = kBytes / 4;
  static constexpr std::int64_t kDoubles = kBytes / 8;
};

// Aligned, and of T's: vectors may alias their elements.
template <class Vector, class T>
[[gnu::always_inline]] inline const Vector& at(const T* data) {
  return *reinterpret_cast<const Vector*>(data);
}
template <class Vector, class T>
[[gnu::always_inline]] inline Vector& at(T* data) {
  return *reinterpret_cast<Vector*>(data);
}

// The arithmetic of one target, whose registers have kBytes. Vectors go by reference, whose ABI no target changes.
template <int kBytes>
struct Sums {
  using L = Lanes<kBytes>;
  using Shorts = typename L::Shorts;
  using Floats = typename L::Floats;
  using Ints = typename L::Ints;
  using Doubles = typename L::Doubles;
  using Longs = typename L::Longs;

  // 2^exponent of normal doubles.
  [[gnu::always_inline]] static void power_of_two(const Longs& exponent, Doubles& out) {
    const Longs bits = (exponent + 1023) << 52;
    out = __builtin_bit_cast(Doubles, bits);
  }

  // Toward zero; |x| < 2^51, or infinite.
  [[gnu::always_inline]] static void truncate(Doubles& x) {
    constexpr double kMagic = 0x1.8p52;
    const Longs sign = __builtin_bit_cast(Longs, x) & INT64_MIN;
    const Longs magnitude_bits = __builtin_bit_cast(Longs, x) & INT64_MAX;
    const Doubles magnitude = __builtin_bit_cast(Doubles, magnitude_bits);
    Doubles whole = (magnitude + kMagic) - kMagic;
    whole = whole > magnitude ? whole - 1.0 : whole;
    const Longs result = __builtin_bit_cast(Longs, whole) | sign;
    x = __builtin_bit_cast(Doubles, result);
  }

  // Toward zero to FP32's last bits, or to those of 13 fraction bits. Values are multiples of 2^-174: a subnormal and
  // 2^-126 have an exact sum, which has the exponent that its last bit goes by.
  [[gnu::always_inline]] static void round_to_zero(int dropped_bits, Doubles& value) {
    constexpr double kLeastNormal = 0x1p-126;
    const Longs sign = __builtin_bit_cast(Longs, value) & INT64_MIN;
    const Doubles magnitude = __builtin_bit_cast(Doubles, __builtin_bit_cast(Longs, value) & INT64_MAX);
    const Doubles based = magnitude < kLeastNormal ? magnitude + kLeastNormal : magnitude;
    const Longs kept_bits = __builtin_bit_cast(Longs, based) & -(std::int64_t{1} << dropped_bits);
    const Doubles kept = __builtin_bit_cast(Doubles, kept_bits);
    const Doubles result = magnitude < kLeastNormal ? kept - kLeastNormal : kept;
    value = __builtin_bit_cast(Doubles, __builtin_bit_cast(Longs, result) | sign);
  }

  // Of a double that is exact; what reaches 2^128 becomes Inf.
  [[gnu::always_inline]] static void round_to(FusedRounding rounding, Doubles& value, float* out) {
    constexpr int kDropped = 52 - 23;
    if (rounding != FusedRounding::rne) round_to_zero(rounding == FusedRounding::rz ? kDropped : kDropped + 10, value);
    using LongFloats = typename L::LongFloats;
    at<LongFloats>(out) = __builtin_convertvector(value, LongFloats);
  }

  // acc = round(acc + total), total being in units of 2^(alignment - fraction_bits).
  [[gnu::always_inline]] static void add_total(const Fusion& fusion, const Longs& alignment, const Doubles& total,
                                               float* acc) {
    Doubles up;
    Doubles down;
    power_of_two(fusion.fraction_bits - alignment, up);
    power_of_two(alignment - fusion.fraction_bits, down);
    Doubles own = __builtin_convertvector(at<typename L::LongFloats>(acc), Doubles) * up;
    truncate(own);
    Doubles value = (total + own) * down;
    round_to(fusion.rounding, value, acc);
  }

  // Of each column the largest alignment of a group's products and its accumulator.
  template <class T>
  [[gnu::always_inline]] static void align_products(std::int64_t terms, const TermChunk<T>& a, const TermChunk<T>& b,
                                                    const float* acc, std::int32_t* alignment) {
    alignas(64) std::array<std::int16_t, kCols> largest;
    for (std::int64_t c = 0; c < kCols; c += L::kShorts) {
      Shorts top = Shorts{} + kNoAlignment;
      for (std::int64_t j = 0; j < terms; ++j) {
        const Shorts own = at<Shorts>(b.alignments + j * kCols + c) + a.alignments[j];
        top = own > top ? own : top;
      }
      at<Shorts>(largest.data() + c) = top;
    }
    for (std::int64_t c = 0; c < kCols; c += L::kFloats) {
      const Ints own = (__builtin_bit_cast(Ints, at<Floats>(acc + c)) >> 23 & 0xFF) - 127;
      Ints top = __builtin_convertvector(at<typename L::IntShorts>(largest.data() + c), Ints);
      top = top > own ? top : own;
      at<Ints>(alignment + c) = top > kLeastAlignment ? top : kLeastAlignment + Ints{};
    }
  }

  // 2^(fraction_bits - alignment). Where it leaves FP32's range there are only zeros to scale (or the accumulator is
  // infinite).
  [[gnu::always_inline]] static void float_scale(int fraction_bits, const std::int32_t* alignment, Floats& out) {
    const Ints exponent = fraction_bits - at<Ints>(alignment) + 127;
    const Ints bounded = exponent < 254 ? exponent : 254 + Ints{};
    const Ints bits = (bounded > 0 ? bounded : Ints{}) << 23;
    out = __builtin_bit_cast(Floats, bits);
  }

  // Truncated products of FP32, which are exact, as integers; of two registers of columns.
  [[gnu::always_inline]] static void sum_products(const FusedStep& step, const TermChunk<float>& a,
                                                  const TermChunk<float>& b, const std::int32_t* alignment,
                                                  double* totals) {
    constexpr std::int64_t kSecond = L::kFloats;
    const std::int64_t terms = step.fusion.terms;
    for (std::int64_t c = 0; c < kCols; c += 2 * kSecond) {
      Floats scale0;
      Floats scale1;
      float_scale(step.fusion.fraction_bits, alignment + c, scale0);
      float_scale(step.fusion.fraction_bits, alignment + c + kSecond, scale1);
      for (std::int64_t q = c; q < c + 2 * kSecond; q += L::kDoubles) at<Doubles>(totals + q) = Doubles{};
      for (std::int64_t first = 0; first < terms; first += step.run) {
        const std::int64_t last = std::min(first + step.run, terms);
        Ints sum0{};
        Ints sum1{};
        for (std::int64_t j = first; j < last; ++j) {
          const Floats product0 = at<Floats>(b.values + j * kCols + c) * a.values[j] * scale0;
          const Floats product1 = at<Floats>(b.values + j * kCols + c + kSecond) * a.values[j] * scale1;
          sum0 += __builtin_convertvector(product0, Ints);
          sum1 += __builtin_convertvector(product1, Ints);
        }
        alignas(64) std::array<std::int32_t, 2 * kSecond> sums;
        at<Ints>(sums.data()) = sum0;
        at<Ints>(sums.data() + kSecond) = sum1;
        for (std::int64_t q = 0; q < 2 * kSecond; q += L::kDoubles)
          at<Doubles>(totals + c + q) += __builtin_convertvector(at<typename L::LongInts>(sums.data() + q), Doubles);
      }
    }
  }

  [[gnu::always_inline]] static void sum_products(const FusedStep& step, const TermChunk<double>& a,
                                                  const TermChunk<double>& b, const std::int32_t* alignment,
                                                  double* totals) {
    for (std::int64_t c = 0; c < kCols; c += L::kDoubles) {
      const Longs top = __builtin_convertvector(at<typename L::LongInts>(alignment + c), Longs);
      Doubles up;
      power_of_two(step.fusion.fraction_bits - top, up);
      Doubles total{};
      for (std::int64_t j = 0; j < step.fusion.terms; ++j) {
        Doubles term = at<Doubles>(b.values + j * kCols + c) * a.values[j] * up;
        truncate(term);
        total += term;
      }
      at<Doubles>(totals + c) = total;
    }
  }

  template <class T>
  [[gnu::always_inline]] static void fuse_products(const FusedStep& step, std::int64_t groups, TermChunk<T> a,
                                                   TermChunk<T> b, float* acc) {
    const std::int64_t terms = step.fusion.terms;
    alignas(64) std::array<std::int32_t, kCols> alignment;
    alignas(64) std::array<double, kCols> totals;
    for (std::int64_t group = 0; group < groups; ++group) {
      align_products(terms, a, b, acc, alignment.data());
      sum_products(step, a, b, alignment.data(), totals.data());
      for (std::int64_t c = 0; c < kCols; c += L::kDoubles) {
        const Longs top = __builtin_convertvector(at<typename L::LongInts>(alignment.data() + c), Longs);
        add_total(step.fusion, top, at<Doubles>(totals.data() + c), acc + c);
      }
      a.values += terms;
      a.alignments += terms;
      b.values += terms * kCols;
      b.alignments += terms * kCols;
    }
  }

  template <class T>
  using Values = std::conditional_t<std::is_same_v<T, float>, Floats, Doubles>;

  // Two registers of columns at a time.
  template <class T>
  [[gnu::always_inline]] static void sum_sub_block(int sub_block, const T* a, const T* b, T* sums) {
    constexpr auto kSecond = static_cast<std::int64_t>(kBytes / sizeof(T));
    for (std::int64_t c = 0; c < kCols; c += 2 * kSecond) {
      Values<T> sum0{};
      Values<T> sum1{};
      for (std::int64_t j = 0; j < sub_block; ++j) {
        sum0 += at<Values<T>>(b + j * kCols + c) * a[j];
        sum1 += at<Values<T>>(b + j * kCols + c + kSecond) * a[j];
      }
      at<Values<T>>(sums + c) = sum0;
      at<Values<T>>(sums + c + kSecond) = sum1;
    }
  }

  // Of each column the largest alignment of its accumulator and of sub-blocks, or of those whose sums are not zero.
  template <class T>
  [[gnu::always_inline]] static void align_blocks(const Fusion& fusion, const TermChunk<T>& a, const TermChunk<T>& b,
                                                  const T* sums, const float* acc, std::int32_t* alignment) {
    for (std::int64_t c = 0; c < kCols; ++c) {
      const auto field = static_cast<std::int32_t>(__builtin_bit_cast(std::uint32_t, acc[c]) >> 23 & 0xFF);
      alignment[c] = std::max(field - 127, kLeastAlignment);
    }
    const auto own = [&](std::int64_t t, std::int64_t c) { return b.alignments[t * kCols + c] + a.alignments[t]; };
    if (fusion.zeros == ZeroTerms::align) {
      for (std::int64_t t = 0; t < fusion.terms; ++t)
        for (std::int64_t c = 0; c < kCols; ++c) alignment[c] = std::max(alignment[c], own(t, c));
      return;
    }
    for (std::int64_t t = 0; t < fusion.terms; ++t)
      for (std::int64_t c = 0; c < kCols; ++c)
        alignment[c] = std::max(alignment[c], sums[t * kCols + c] != 0 ? own(t, c) : std::int32_t{kNoAlignment});
  }

  [[gnu::always_inline]] static void load_doubles(const float* data, Doubles& out) {
    out = __builtin_convertvector(at<typename L::LongFloats>(data), Doubles);
  }
  [[gnu::always_inline]] static void load_doubles(const double* data, Doubles& out) { out = at<Doubles>(data); }

  template <class T>
  [[gnu::always_inline]] static void fuse_blocks(const FusedStep& step, std::int64_t groups, TermChunk<T> a,
                                                 TermChunk<T> b, float* acc) {
    const Fusion& fusion = step.fusion;
    alignas(64) std::array<T, kMaxBlockTerms * kCols> sums;
    alignas(64) std::array<std::int32_t, kCols> alignment;
    for (std::int64_t group = 0; group < groups; ++group) {
      for (std::int64_t t = 0; t < fusion.terms; ++t)
        sum_sub_block(fusion.sub_block, a.values + t * fusion.sub_block, b.values + t * fusion.sub_block * kCols,
                      sums.data() + t * kCols);
      align_blocks(fusion, a, b, sums.data(), acc, alignment.data());
      for (std::int64_t c = 0; c < kCols; c += L::kDoubles) {
        const Longs top = __builtin_convertvector(at<typename L::LongInts>(alignment.data() + c), Longs);
        Doubles up;
        power_of_two(fusion.fraction_bits - top, up);
        Doubles total{};
        for (std::int64_t t = 0; t < fusion.terms; ++t) {
          Doubles term;
          load_doubles(sums.data() + t * kCols + c, term);
          term = term * (at<Doubles>(b.scales + t * kCols + c) * a.scales[t]) * up;
          truncate(term);
          total += term;
        }
        add_total(fusion, top, total, acc + c);
      }
      a.values += fusion.group();
      a.alignments += fusion.terms;
      a.scales += fusion.terms;
      b.values += fusion.group() * kCols;
      b.alignments += fusion.terms * kCols;
      b.scales += fusion.terms * kCols;
    }
  }

  [[gnu::always_inline]] static void split(const Doubles& product, double splitter, Doubles& high, Doubles& low) {
    const Doubles upper = (product + splitter) - splitter;
    high += upper;
    low += product - upper;
  }

  // Two registers of columns at a time.
  [[gnu::always_inline]] static void sum_exactly(std::int64_t count, const double* a, const double* b, double splitter,
                                                 double* high, double* low) {
    constexpr std::int64_t kSecond = L::kDoubles;
    for (std::int64_t c = 0; c < kCols; c += 2 * kSecond) {
      Doubles high0 = at<Doubles>(high + c);
      Doubles high1 = at<Doubles>(high + c + kSecond);
      Doubles low0 = at<Doubles>(low + c);
      Doubles low1 = at<Doubles>(low + c + kSecond);
      for (std::int64_t j = 0; j < count; ++j) {
        split(at<Doubles>(b + j * kCols + c) * a[j], splitter, high0, low0);
        split(at<Doubles>(b + j * kCols + c + kSecond) * a[j], splitter, high1, low1);
      }
      at<Doubles>(high + c) = high0;
      at<Doubles>(high + c + kSecond) = high1;
      at<Doubles>(low + c) = low0;
      at<Doubles>(low + c + kSecond) = low1;
    }
  }
};

struct Avx512 {
  template <class T>
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] static void products(const FusedStep& step, std::int64_t groups,
                                                                             const TermChunk<T>& a,
                                                                             const TermChunk<T>& b, float* acc) {
    Sums<64>::fuse_products<T>(step, groups, a, b, acc);
  }
  template <class T>
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] static void blocks(const FusedStep& step, std::int64_t groups,
                                                                           const TermChunk<T>& a, const TermChunk<T>& b,
                                                                           float* acc) {
    Sums<64>::fuse_blocks<T>(step, groups, a, b, acc);
  }
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] static void exact(std::int64_t count, const double* a,
                                                                          const double* b, double splitter,
                                                                          double* high, double* low) {
    Sums<64>::sum_exactly(count, a, b, splitter, high, low);
  }
};

struct Avx2 {
  template <class T>
  [[gnu::target("avx2")]] static void products(const FusedStep& step, std::int64_t groups, const TermChunk<T>& a,
                                               const TermChunk<T>& b, float* acc) {
    Sums<32>::fuse_products<T>(step, groups, a, b, acc);
  }
  template <class T>
  [[gnu::target("avx2")]] static void blocks(const FusedStep& step, std::int64_t groups, const TermChunk<T>& a,
                                             const TermChunk<T>& b, float* acc) {
    Sums<32>::fuse_blocks<T>(step, groups, a, b, acc);
  }
  [[gnu::target("avx2")]] static void exact(std::int64_t count, const double* a, const double* b, double splitter,
                                            double* high, double* low) {
    Sums<32>::sum_exactly(count, a, b, splitter, high, low);
  }
};

struct Portable {
  template <class T>
  static void products(const FusedStep& step, std::int64_t groups, const TermChunk<T>& a, const TermChunk<T>& b,
                       float* acc) {
    Sums<16>::fuse_products<T>(step, groups, a, b, acc);
  }
  template <class T>
  static void blocks(const FusedStep& step, std::int64_t groups, const TermChunk<T>& a, const TermChunk<T>& b,
                     float* acc) {
    Sums<16>::fuse_blocks<T>(step, groups, a, b, acc);
  }
  static void exact(std::int64_t count, const double* a, const double* b, double splitter, double* high, double* low) {
    Sums<16>::sum_exactly(count, a, b, splitter, high, low);
  }
};

template <class Target>
constexpr TermKernels kKernels{Target::template products<float>, Target::template products<double>,
                               Target::template blocks<float>, Target::template blocks<double>, Target::exact};

}  // namespace

const TermKernels& term_kernels(Kernel kernel) {
  switch (kernel) {
    case Kernel::avx512_vnni:
      return kKernels<Avx512>;
    case Kernel::avx2:
      return kKernels<Avx2>;
    case Kernel::portable:
      return kKernels<Portable>;
    case Kernel::automatic:
      break;
  }
  ensure(false, "kernel {} is not resolved", name_of(kernel));
  return kKernels<Portable>;
}

}  // namespace oscsim::numerics::kernels
