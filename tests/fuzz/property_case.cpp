// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/property_case.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "models/numerics/cast_targets.h"
#include "models/numerics/element.h"

namespace oscsim::numerics::property {
namespace {

constexpr Dtype kDtypes[] = {Dtype::bf16, Dtype::fp16, Dtype::fp32};

// Time of the scalar reference for one product, which bounds the size of a case; measured on one core of a server CPU.
constexpr double kCaseNanoseconds = 6e6;
constexpr double kBlockProduct = 6, kMixedProduct = 90, kFmaProduct = 5, kAccumulatedProduct = 100;

bool is_16bit(const FormatInfo& info) {
  return info.element_bits == 16;
}

std::int64_t draw_k(Random& random) {
  const std::int64_t kind = random.below(100);
  if (kind == 0) return 0;
  std::int64_t k = kind < 70   ? random.between(1, 130)
                   : kind < 93 ? random.between(131, 520)
                               : random.between(521, 2000);
  if (random.one_in(3)) {  // at a block's end, or next to it
    const std::int64_t block = std::int64_t{16} << random.below(4);
    k = std::max<std::int64_t>(1, round_up(k, block) + random.between(-1, 1));
  }
  return k;
}

struct Shape {
  std::int64_t m, n, k;
};

double nanoseconds_of_product(const FormatInfo& a, const FormatInfo& b, const Accumulator& accumulator) {
  if (accumulator.kind != AccumulatorKind::fp32_rne) return kAccumulatedProduct;
  if (is_16bit(a) && is_16bit(b)) return kFmaProduct;
  return is_16bit(a) || is_16bit(b) ? kMixedProduct : kBlockProduct;
}

Shape draw_shape(Random& random, double product) {
  const std::int64_t k = draw_k(random);
  const auto outputs = static_cast<std::int64_t>(kCaseNanoseconds / product / static_cast<double>(k + 8));
  const std::int64_t most = std::clamp<std::int64_t>(outputs, 4, 12000);
  // m from 1 (decode) to most, evenly in its logarithm; n takes the rest.
  const double exponent = static_cast<double>(random.below(1000)) / 1000 * std::log2(static_cast<double>(most));
  const auto m = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::exp2(exponent)));
  const std::int64_t n = std::max<std::int64_t>(1, most / m);
  return {m, n > 8 ? n - random.below(n / 4) : n, k};
}

// ------ numbers

float draw_number(Random& random, Source source) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  switch (source) {
    case Source::wide: {
      const auto exponent = static_cast<int>(random.between(-150, 127));
      return std::ldexp(random.one_in(2) ? 1.0F : -1.0F, exponent) *
             (1 + static_cast<float>(random.below(4096)) / 4096);
    }
    case Source::few:
      return static_cast<float>(random.between(-14, 14)) / 2;
    case Source::sparse:
      return random.one_in(10) ? random.normal() : random.one_in(2) ? 0.0F : -0.0F;
    case Source::special:
      if (random.one_in(400)) return random.one_in(3) ? kCanonicalNan : random.one_in(2) ? kInfinity : -kInfinity;
      return random.normal();
    default:
      return random.normal();
  }
}

void fill_row(Random& random, Source source, std::span<float> row, bool negates) {
  const float magnitude = std::ldexp(1.0F, static_cast<int>(random.between(-6, 6)));
  const std::size_t half = row.size() / 2;
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = draw_number(random, source);
    if (source == Source::numbers) row[i] *= magnitude * (i % 32 == 5 ? 50.0F : 1.0F);
    if (source == Source::mirrored && i >= half && i < 2 * half && !random.one_in(50))
      row[i] = negates ? -row[i - half] : row[i - half];
  }
  if (source == Source::sparse && random.one_in(4)) std::ranges::fill(row, 0.0F);
  if (source == Source::sparse && row.size() > 64 && random.one_in(4)) std::ranges::fill(row.subspan(32, 32), 0.0F);
}

// ------ bytes

void draw_codes(Random& random, QuantisedMatrix& matrix) {
  const FormatInfo& info = format(matrix.format);
  const bool is_any = random.one_in(12);  // Inf and NaN among them
  const bool checks = !is_any && !is_integer(info.element) && info.element_bits >= 8;
  const std::size_t width = info.element_bits == 16 ? 2 : 1;
  // A window of exponents for 16 bits, whose whole range would leave FP32's.
  const auto low = static_cast<std::uint32_t>(random.below(*kBf16.inf_code - 0x800));
  for (std::size_t i = 0; i + width <= matrix.codes.size(); i += width) {
    std::uint32_t code = 0;
    do {
      code = static_cast<std::uint32_t>(random.bits());
      if (info.element == ElementType::bf16 && !is_any) code = (low + (code & 0x7FF)) | (code & 0x8000);
    } while (checks && !std::isfinite(decode(layout_of(info.element), code & (width == 2 ? 0xFFFFU : 0xFFU))));
    std::memcpy(matrix.codes.data() + i, &code, width);
  }
}

void draw_scales(Random& random, QuantisedMatrix& matrix) {
  const FormatInfo& info = format(matrix.format);
  const auto bytes = static_cast<std::size_t>(info.block_scale_bits / 8);
  const bool is_any = random.one_in(12);  // NaN, infinities, signs
  const std::int64_t low = random.below(255);
  const std::int64_t high = std::min<std::int64_t>(254, low + random.between(0, 40));
  for (std::size_t i = 0; i < matrix.block_scale.size(); i += bytes) {
    std::uint8_t* scale = matrix.block_scale.data() + i;
    for (std::size_t j = 0; j < bytes; ++j) scale[j] = static_cast<std::uint8_t>(random.bits());
    if (info.block_scale == BlockScale::bf16_zero) scale[2] &= 0xF;
    if (is_any) continue;
    const auto window = static_cast<std::uint8_t>(random.between(low, high));
    switch (info.block_scale) {
      case BlockScale::none:
        break;
      case BlockScale::e8m0:
      case BlockScale::hif4:
        scale[0] = window;
        break;
      case BlockScale::e4m3:
        scale[0] = static_cast<std::uint8_t>(window / 2);
        break;
      case BlockScale::signed_e5m2:
        scale[0] = static_cast<std::uint8_t>(scale[0] % kE5m2.max_code);
        scale[1] = static_cast<std::uint8_t>(scale[1] % kE5m2.max_code);
        break;
      case BlockScale::bf16_zero:
        scale[1] = static_cast<std::uint8_t>(window / 2);
        break;
    }
  }
  for (float& scale : matrix.outer_scale) {
    scale = std::ldexp(1 + std::fabs(random.normal()), static_cast<int>(random.between(-20, 20)));
    if (is_any) scale = std::bit_cast<float>(static_cast<std::uint32_t>(random.bits()));
  }
}

// Rows are padded with the code of zero: with int4_asym that is the zero point.
void pad(QuantisedMatrix& matrix) {
  const FormatInfo& info = format(matrix.format);
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    std::uint8_t* bytes = matrix.codes.data() + row * matrix.row_bytes;
    for (std::int64_t col = matrix.k; col < matrix.row_bytes * 8 / info.element_bits; ++col) {
      const bool has_zero_point = info.block_scale == BlockScale::bf16_zero;
      const auto zero = has_zero_point ? matrix.scale_of(row, col / info.block)[2] : std::uint8_t{0};
      if (info.element_bits == 4)
        bytes[col / 2] = static_cast<std::uint8_t>((bytes[col / 2] & 0xF0 >> col % 2 * 4) | zero << col % 2 * 4);
      else
        bytes[col] = zero;
    }
  }
}

// ------ operands

bool same_bits(const std::vector<float>& x, const std::vector<float>& y) {
  return std::ranges::equal(x, y, {}, std::bit_cast<std::uint32_t, float>, std::bit_cast<std::uint32_t, float>);
}

struct Drawing {
  Random& random;
  Case& drawn;
  FormatId format;
  bool negates;  // of mirrored operands

  QuantisedMatrix cast(Source source, std::int64_t rows, std::int64_t k) const;
  QuantisedMatrix operand(Source source, std::int64_t rows, std::int64_t k) const;
};

// The fast cast of any instruction set must give the reference's bytes.
QuantisedMatrix Drawing::cast(Source source, std::int64_t rows, std::int64_t k) const {
  const Dtype dtype = kDtypes[random.below(std::ssize(kDtypes))];
  const Matrix matrix = draw_matrix(random, source, dtype, rows, k, negates);
  CastOptions options;
  options.scale_rule = EnumNames<ScaleRule>::kValues[random.below(4)].second;
  if (random.one_in(3)) options.rounding = ElementRounding::half_away;
  options.nvfp4_scale = EnumNames<Nvfp4Scale>::kValues[random.below(3)].second;
  options.overflow = EnumNames<Overflow>::kValues[random.below(2)].second;
  if (random.one_in(6)) options.tensor_amax = std::fabs(random.normal()) * 8;
  const CastTarget& target = cast_targets()[static_cast<std::size_t>(random.below(std::ssize(cast_targets())))];
  const ElementRounding rounding = rounding_of(numerics::format(format), options);
  drawn.text += fmt::format(", {} cast from {} {} by {}, scale rule {}, {}, {}, {}{}", name_of(format), name_of(source),
                            name_of(dtype), target.name, name_of(options.scale_rule), name_of(rounding),
                            name_of(options.nvfp4_scale), name_of(options.overflow),
                            options.tensor_amax ? fmt::format(", tensor amax {:a}", *options.tensor_amax) : "");
  const QuantisedMatrix fast = quantise_with(target, format, matrix.view(), options);
  QuantisedMatrix expected = reference::quantise(format, matrix.view(), options);
  drawn.elements_cast += rows * k;
  if (!same_bits(fast.outer_scale, expected.outer_scale)) throw Difference("outer scales of a cast differ");
  if (fast.block_scale != expected.block_scale) throw Difference("block scales of a cast differ");
  if (fast.codes != expected.codes) {
    const auto at = std::ranges::mismatch(fast.codes, expected.codes).in1 - fast.codes.begin();
    throw Difference(
        fmt::format("codes of a cast differ: row {}, byte {} of it", at / fast.row_bytes, at % fast.row_bytes));
  }
  return expected;
}

QuantisedMatrix Drawing::operand(Source source, std::int64_t rows, std::int64_t k) const {
  if (source != Source::bytes) return cast(source, rows, k);
  drawn.text += fmt::format(", {} from bytes", name_of(format));
  QuantisedMatrix matrix = empty_quantised(format, rows, k);
  draw_codes(random, matrix);
  draw_scales(random, matrix);
  pad(matrix);
  return matrix;
}

// A published one, or any fusion.
Accumulator draw_accumulator(Random& random) {
  if (!random.one_in(4)) return {};
  if (random.one_in(2))
    return accumulators()[static_cast<std::size_t>(random.below(std::ssize(accumulators())))].accumulator;
  const std::string_view rounding = EnumNames<FusedRounding>::kValues[random.below(3)].first;
  const std::string sub_block = random.one_in(3) ? fmt::format(",{}", 4 << random.below(3)) : "";
  return accumulator(
      fmt::format("fused({},{},{}{})", random.between(8, 48), random.between(1, 70), rounding, sub_block));
}

// Some accumulators need block scales that others do not have.
bool is_allowed(const Case& drawn) {
  try {
    check_operands(drawn.operands());
  } catch (const InputError&) {
    return false;
  }
  return true;
}

Source draw_source(Random& random) {
  const auto& values = EnumNames<Source>::kValues;
  return random.one_in(3) ? Source::bytes : values[random.below(std::ssize(values))].second;
}

void draw_branch(Random& random, Case& drawn, Source source) {
  const FormatId format = random.one_in(2) ? FormatId::bf16 : FormatId::fp16;
  const std::int64_t groups = random.between(1, 40);
  drawn.branch_a = Drawing{random, drawn, format, true}.operand(source, drawn.a.rows, groups);
  drawn.branch_b = Drawing{random, drawn, format, false}.operand(source, drawn.b.rows, groups);
  const bool can_chain = drawn.a.outer_scale.empty() && drawn.b.outer_scale.empty();
  drawn.join = can_chain && random.one_in(2) ? Join::chain : Join::add;
  drawn.text += fmt::format(", branch {} [{}] joins by {}", name_of(format), groups, name_of(drawn.join));
}

std::uint64_t mixed(std::uint64_t seed, std::uint64_t number) {
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)};
  std::uint32_t words[2];
  sequence.generate(std::begin(words), std::end(words));
  return words[0] | static_cast<std::uint64_t>(words[1]) << 32;
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t number) : generator_(mixed(seed, number)) {}

Matrix draw_matrix(Random& random, Source source, Dtype dtype, std::int64_t rows, std::int64_t k, bool negates) {
  Matrix numbers(Dtype::fp32, rows, k);
  for (std::int64_t row = 0; row < rows; ++row) fill_row(random, source, numbers.row_f32(row), negates);
  if (dtype == Dtype::fp32) return numbers;
  const QuantisedMatrix narrow =
      reference::quantise(dtype == Dtype::bf16 ? FormatId::bf16 : FormatId::fp16, numbers.view(), {});
  Matrix matrix(dtype, rows, k);
  std::ranges::copy(std::as_bytes(std::span(narrow.codes)), matrix.data());
  return matrix;
}

GemmOperands Case::operands() const {
  return {.a = &a,
          .b = &b,
          .branch_a = branch_a ? &*branch_a : nullptr,
          .branch_b = branch_b ? &*branch_b : nullptr,
          .join = join,
          .accumulator = accumulator};
}

void draw_case(Random& random, Case& drawn) {
  const FormatInfo& a = formats()[static_cast<std::size_t>(random.below(std::ssize(formats())))];
  const FormatInfo& b = formats()[static_cast<std::size_t>(random.below(std::ssize(formats())))];
  drawn.accumulator = draw_accumulator(random);
  const auto [m, n, k] = draw_shape(random, nanoseconds_of_product(a, b, drawn.accumulator));
  drawn.kernel = available_kernels()[static_cast<std::size_t>(random.below(std::ssize(available_kernels())))];
  drawn.threads = static_cast<int>(random.between(1, 4));
  drawn.in_regions = random.one_in(2);
  drawn.text = fmt::format("{} [{}, {}] by {} [{}, {}], kernel {}, {} threads{}", a.name, m, k, b.name, n, k,
                           name_of(drawn.kernel), drawn.threads, drawn.in_regions ? ", in regions" : "");
  const Source source = draw_source(random);
  drawn.a = Drawing{random, drawn, a.id, true}.operand(source, m, k);
  drawn.b = Drawing{random, drawn, b.id, false}.operand(random.one_in(4) ? draw_source(random) : source, n, k);
  if (random.one_in(3)) draw_branch(random, drawn, source);
  if (!is_allowed(drawn)) drawn.accumulator = {};
  drawn.text += fmt::format(", accumulator {}", text_of(drawn.accumulator));
}

}  // namespace oscsim::numerics::property
