// SPDX-License-Identifier: Apache-2.0
// Dot products of every ordered pair of formats on adversarial blocks, against exact integers of Boost.Multiprecision:
// operands are raw bytes, decoded by independent_values.h; nothing here calls a codec of models/numerics.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/numerics/gemm.h"
#include "tests/unit/numerics/exact.h"
#include "tests/unit/numerics/independent_values.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

using independent::ScaleKind;
using independent::Stored;
using independent::stored;

// ------ the oracle

constexpr std::uint32_t kNanBits = 0x7FC00000;

std::uint32_t bits_of(float value) {
  return std::isnan(value) ? kNanBits : std::bit_cast<std::uint32_t>(value);
}

// Both have at most 13 significant bits and lie between 2^-150 and 2^150: their product is exact in a double.
double product_of(double x, double w) {
  const double product = x * w;
  if (std::isfinite(product)) {
    EXPECT_EQ(std::fma(x, w, -product), 0.0);
  }
  return product;
}

// acc + the exact sum of finite products, rounded once. An exact zero is +0.
float add_block(float acc, const std::vector<double>& products) {
  if (!std::isfinite(acc)) return acc;
  exact::Integer sum = exact::of(static_cast<double>(acc));
  for (const double product : products) sum += exact::of(product);
  return exact::rounded(sum);
}

// One IEEE 754 fused multiply-add.
float add_product(float acc, double product) {
  if (!std::isfinite(product)) return acc + static_cast<float>(product);
  if (acc == 0 && product == 0) return std::signbit(acc) && std::signbit(product) ? -0.0F : 0.0F;
  return add_block(acc, {product});
}

// Rounded once: the product of two FP32 numbers is exact in a double.
float scaled(float acc, float scale) {
  return static_cast<float>(static_cast<double>(acc) * static_cast<double>(scale));
}

float expected_main(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  const std::int64_t a_summed = stored(a.format).summed;
  const std::int64_t b_summed = stored(b.format).summed;
  const bool chain = a_summed == 1 || b_summed == 1;
  std::int64_t block = a_summed == 0 || b_summed == 0 ? std::max(a_summed, b_summed) : std::min(a_summed, b_summed);
  if (block == 0) block = a.k;
  float acc = 0;
  std::vector<double> products;
  for (std::int64_t i = 0; i < a.k; ++i) {
    const double x = independent::value_at(a, row, i);
    const double w = independent::value_at(b, col, i);
    if (chain) {
      acc = add_product(acc, product_of(x, w));
      continue;
    }
    if (!std::isfinite(x) || !std::isfinite(w)) return std::numeric_limits<float>::quiet_NaN();
    products.push_back(product_of(x, w));
    if ((i + 1) % block == 0 || i + 1 == a.k) {
      acc = add_block(acc, products);
      products.clear();
    }
  }
  return acc;
}

float expected_output(const QuantisedMatrix& a, const QuantisedMatrix& b, std::int64_t row, std::int64_t col) {
  float acc = expected_main(a, b, row, col);
  for (const auto& [matrix, index] : {std::pair{&a, row}, std::pair{&b, col}}) {
    const std::vector<float>& scales = matrix->outer_scale;
    if (!scales.empty()) acc = scaled(acc, scales[scales.size() == 1 ? 0 : static_cast<std::size_t>(index)]);
  }
  return acc;
}

// ------ adversarial operands

enum class Scales : std::uint8_t { ordinary, any, lowest, highest, falling, not_a_number };
enum class Elements : std::uint8_t { any, extreme, cancelling, zero };

class Adversary {
 public:
  Adversary(FormatId id, Scales scales, Elements elements, std::mt19937& random)
      : format_(stored(id)), scales_(scales), elements_(elements), random_(random) {}

  QuantisedMatrix operand(std::int64_t rows, std::int64_t k, bool negates) {
    QuantisedMatrix matrix = empty_quantised(format_.id, rows, k);
    for (std::int64_t row = 0; row < rows; ++row) {
      fill_codes(matrix, row, negates);
      fill_scales(matrix, row);
    }
    for (float& scale : matrix.outer_scale)
      scale = std::ldexp(static_cast<float>((1 << 23) + below(1 << 23)), exponent(-149, 127, 0) - 23);
    if (scales_ == Scales::not_a_number && !matrix.outer_scale.empty())
      matrix.outer_scale[0] = std::numeric_limits<float>::quiet_NaN();
    return matrix;
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  // An exponent of a scale as the mode wants it; blocks of a falling row lie about an FP32 mantissa apart.
  int exponent(int least, int most, std::int64_t block) {
    switch (scales_) {
      case Scales::ordinary:
      case Scales::not_a_number:
        return std::clamp(below(7) - 3, least, most);
      case Scales::any:
        return least + below(most - least + 1);
      case Scales::lowest:
        return least + below(std::min(12, most - least + 1));
      case Scales::highest:
        return most - below(std::min(12, most - least + 1));
      case Scales::falling:
        return std::clamp(13 - static_cast<int>(block) * 13 + below(3), least, most);
    }
    return 0;
  }

  // A code with the given exponent, a random mantissa, rarely a sign.
  unsigned float_code(const independent::Binary& binary, int scale_exponent) {
    const unsigned sign = below(16) == 0 ? 1U << (binary.bits() - 1) : 0;
    const auto field = static_cast<unsigned>(scale_exponent + binary.bias);
    unsigned mantissa = static_cast<unsigned>(below(1 << binary.mantissa_bits));
    if (std::isnan(binary.value(field << binary.mantissa_bits | mantissa))) mantissa = 0;
    return sign | field << binary.mantissa_bits | mantissa;
  }

  void fill_scales(QuantisedMatrix& matrix, std::int64_t row) {
    if (format_.scale == ScaleKind::none) return;
    for (std::int64_t block = 0; block < matrix.blocks(); ++block) {
      const bool nan = scales_ == Scales::not_a_number && block == matrix.blocks() - 1 && row == 0;
      std::uint8_t* scale =
          matrix.block_scale.data() + (row * matrix.blocks() + block) * static_cast<std::int64_t>(format_.scale_bytes);
      switch (format_.scale) {
        case ScaleKind::none:
          break;
        case ScaleKind::e8m0:
          scale[0] = static_cast<std::uint8_t>(nan ? 0xFF : exponent(-127, 127, block) + 127);
          break;
        case ScaleKind::e4m3:  // exponent -7: the field of subnormals
          scale[0] = static_cast<std::uint8_t>(nan ? 0x7F : float_code(independent::kE4m3, exponent(-7, 8, block)));
          break;
        case ScaleKind::hif4:
          scale[0] =
              static_cast<std::uint8_t>(nan ? 0xFF : std::min((exponent(-48, 15, block) + 48) * 4 + below(4), 254));
          for (int i = 1; i < 4; ++i) scale[i] = static_cast<std::uint8_t>(random_());
          break;
        case ScaleKind::amx:
          scale[0] = static_cast<std::uint8_t>(float_code(independent::kE5m2, exponent(-15, 15, block)));
          scale[1] = elements_ == Elements::cancelling
                         ? scale[0]
                         : static_cast<std::uint8_t>(float_code(independent::kE5m2, exponent(-15, 15, block)));
          if (nan) scale[below(2)] = static_cast<std::uint8_t>(below(2) == 0 ? 0x7E : 0x7C);
          break;
        case ScaleKind::asymmetric: {
          const unsigned code = nan ? 0x7F80U : float_code(independent::kBf16, exponent(-127, 127, block));
          scale[0] = static_cast<std::uint8_t>(code);
          scale[1] = static_cast<std::uint8_t>(code >> 8);
          scale[2] = static_cast<std::uint8_t>(zero_point());
          break;
        }
      }
    }
  }

  int zero_point() { return elements_ == Elements::cancelling || elements_ == Elements::zero ? 8 : below(16); }

  unsigned random_code() {
    if (format_.bits == 16) {
      const int bias = format_.element->bias;
      return float_code(*format_.element, exponent(-bias, bias, 0)) ^ static_cast<unsigned>(below(2) << 15);
    }
    const bool largest = below(2) == 0;
    const unsigned sign = static_cast<unsigned>(below(2)) << (format_.bits - 1);
    for (;;) {
      unsigned code = static_cast<unsigned>(below(1 << format_.bits));
      if (elements_ == Elements::extreme) {
        if (format_.element == nullptr)
          code = largest ? (sign != 0 ? 1U << (format_.bits - 1) : (1U << (format_.bits - 1)) - 1) : 1;
        else if (format_.bits == 4)
          code = sign | (largest ? 7 : 1);
        else
          code = sign | (largest ? (format_.element == &independent::kE5m2 ? 0x7B : 0x7E) : 1);
      }
      if (format_.element == nullptr || std::isfinite(format_.element->value(code))) return code;
    }
  }

  unsigned negated(unsigned code) const {
    const unsigned size = 1U << format_.bits;
    if (format_.scale == ScaleKind::asymmetric) return (size - code) % size;  // around the zero point 8
    if (format_.element == nullptr) return (size - code) % size;
    return code ^ size / 2;
  }

  // Cancelling: A negates every second element, B repeats it; only the last product of a row is left, and what
  // different scales of neighbouring blocks leave.
  unsigned next_code(unsigned previous, std::int64_t col, std::int64_t k, bool negates) {
    if (elements_ == Elements::zero) {
      if (format_.scale == ScaleKind::asymmetric) return 8;
      return format_.element != nullptr && below(2) == 0 ? 1U << (format_.bits - 1) : 0;  // also -0
    }
    if (elements_ == Elements::cancelling && col % 2 == 1 && col + 1 < k) return negates ? negated(previous) : previous;
    unsigned code = random_code();
    // Codes whose negation is not there: the lowest integer, and 0 with zero point 8.
    const unsigned alone = format_.scale == ScaleKind::asymmetric ? 0 : 1U << (format_.bits - 1);
    if (elements_ == Elements::cancelling && format_.element == nullptr && code == alone) code = 1;
    return code;
  }

  void fill_codes(QuantisedMatrix& matrix, std::int64_t row, bool negates) {
    std::uint8_t* bytes = matrix.codes.data() + row * independent::row_bytes(format_, matrix.k);
    unsigned code = 0;
    for (std::int64_t col = 0; col < matrix.k; ++col) {
      code = next_code(code, col, matrix.k, negates);
      if (format_.bits == 4) {
        bytes[col / 2] = static_cast<std::uint8_t>(bytes[col / 2] | code << col % 2 * 4);
      } else {
        bytes[col * format_.bits / 8] = static_cast<std::uint8_t>(code);
        if (format_.bits == 16) bytes[col * 2 + 1] = static_cast<std::uint8_t>(code >> 8);
      }
    }
  }

  const Stored& format_;
  Scales scales_;
  Elements elements_;
  std::mt19937& random_;
};

// ------ every ordered pair

struct Seen {
  int zeros = 0, subnormals = 0, infinities = 0, nans = 0, others = 0;

  void count(float value) {
    switch (std::fpclassify(value)) {
      case FP_ZERO:
        ++zeros;
        break;
      case FP_SUBNORMAL:
        ++subnormals;
        break;
      case FP_INFINITE:
        ++infinities;
        break;
      case FP_NAN:
        ++nans;
        break;
      default:
        ++others;
    }
  }
};

void compare(const QuantisedMatrix& a, const QuantisedMatrix& b, Seen& seen) {
  const GemmOperands operands{.a = &a, .b = &b};
  check_operands(operands);
  for (std::int64_t row = 0; row < a.rows; ++row)
    for (std::int64_t col = 0; col < b.rows; ++col) {
      const float expected = expected_output(a, b, row, col);
      seen.count(expected);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(reference::output(operands, row, col)), bits_of(expected)) << fmt::format(
          "k {} at ({}, {}): {:a}, expected {:a}", a.k, row, col, reference::output(operands, row, col), expected);
    }
}

// A's format is the parameter; B's runs over all formats.
class ExactDot : public testing::TestWithParam<FormatId> {
 protected:
  Seen compare_all(FormatId b_format, Scales a_scales, Scales b_scales, Elements elements) {
    Seen seen;
    for (const std::int64_t k : {1, 33, 150}) {
      const QuantisedMatrix a = Adversary(GetParam(), a_scales, elements, random_).operand(2, k, true);
      const QuantisedMatrix b = Adversary(b_format, b_scales, elements, random_).operand(2, k, false);
      SCOPED_TRACE(fmt::format("{} by {}, scales {} and {}, elements {}", name_of(GetParam()), name_of(b_format),
                               static_cast<int>(a_scales), static_cast<int>(b_scales), static_cast<int>(elements)));
      compare(a, b, seen);
      if (HasFatalFailure()) return seen;
    }
    return seen;
  }

  std::mt19937 random_{17};
};

INSTANTIATE_TEST_SUITE_P(All, ExactDot, testing::ValuesIn(all_formats()),
                         [](const auto& test) { return std::string(name_of(test.param)); });

constexpr Elements kNonZero[] = {Elements::any, Elements::extreme, Elements::cancelling};

TEST_P(ExactDot, OrdinaryAndArbitraryScalesRoundOncePerBlock) {
  for (const FormatId b : all_formats())
    for (const Elements elements : kNonZero)
      for (const Scales scales : {Scales::ordinary, Scales::any})
        EXPECT_GT(compare_all(b, scales, scales, elements).others + (scales == Scales::any ? 1 : 0), 0);
}

TEST_P(ExactDot, ExtremeScalesGiveSubnormalsAndInfinities) {
  Seen seen;
  const auto add = [&](const Seen& more) {
    seen.subnormals += more.subnormals;
    seen.infinities += more.infinities;
  };
  for (const FormatId b : all_formats())
    for (const Elements elements : kNonZero)
      for (const Scales a_scales : {Scales::lowest, Scales::highest})
        for (const Scales b_scales : {Scales::lowest, Scales::ordinary, Scales::highest})
          add(compare_all(b, a_scales, b_scales, elements));
  EXPECT_GT(seen.subnormals, 0);
  EXPECT_GT(seen.infinities, 0);
}

TEST_P(ExactDot, BlocksAMantissaApartMeetTiesAndTheirNeighbours) {
  for (const FormatId b : all_formats())
    for (const Elements elements : kNonZero)
      for (const Scales b_scales : {Scales::falling, Scales::ordinary})
        compare_all(b, Scales::falling, b_scales, elements);
}

TEST_P(ExactDot, NanScalesMeetAnyElement) {
  const Stored& a = stored(GetParam());
  const bool can_be_nan = a.scale != ScaleKind::none || !empty_quantised(GetParam(), 1, 1).outer_scale.empty();
  for (const FormatId b : all_formats())
    for (const Elements elements : {Elements::any, Elements::zero}) {
      EXPECT_GE(compare_all(b, Scales::not_a_number, Scales::ordinary, elements).nans, can_be_nan ? 6 : 0);
      compare_all(b, Scales::ordinary, Scales::not_a_number, elements);
    }
}

TEST_P(ExactDot, AllZeroIsPositiveZeroAtAnyScale) {
  for (const FormatId b : all_formats())
    for (const Scales scales : {Scales::ordinary, Scales::any, Scales::lowest, Scales::highest}) {
      const Seen seen = compare_all(b, scales, scales, Elements::zero);
      EXPECT_EQ(seen.zeros, 12);
    }
}

// Infinities and NaN among the elements themselves.
TEST_P(ExactDot, AnyBytesAtAll) {
  for (const FormatId b_format : all_formats())
    for (const std::int64_t k : {1, 16, 70}) {
      QuantisedMatrix a = empty_quantised(GetParam(), 3, k);
      QuantisedMatrix b = empty_quantised(b_format, 3, k);
      for (QuantisedMatrix* matrix : {&a, &b}) {
        for (std::uint8_t& byte : matrix->codes) byte = static_cast<std::uint8_t>(random_());
        for (std::uint8_t& byte : matrix->block_scale) byte = static_cast<std::uint8_t>(random_());
        for (float& scale : matrix->outer_scale) scale = std::bit_cast<float>(static_cast<std::uint32_t>(random_()));
      }
      SCOPED_TRACE(fmt::format("{} by {}", name_of(GetParam()), name_of(b_format)));
      Seen seen;
      compare(a, b, seen);
    }
}

}  // namespace
}  // namespace oscsim::numerics
