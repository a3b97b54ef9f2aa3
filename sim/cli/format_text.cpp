// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/format_text.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/quantise.h"
#include "sim/report/text_table.h"
#include "sim/workload/format_words.h"

namespace oscsim {
namespace {

using Json = nlohmann::ordered_json;
using numerics::BlockScale;
using numerics::FormatInfo;
using numerics::QuantisedMatrix;

constexpr auto kNearest = numerics::ElementRounding::nearest_even;

// The metadata of a block whose scales are all 1.
std::vector<std::uint8_t> unit_scale(BlockScale scale) {
  const auto code = [](const numerics::FloatLayout& layout) {
    return static_cast<std::uint8_t>(numerics::encode(layout, 1.0, kNearest));
  };
  switch (scale) {
    case BlockScale::none:
      return {};
    case BlockScale::e8m0:
      return {numerics::encode_e8m0(0)};
    case BlockScale::e4m3:
      return {code(numerics::kE4m3)};
    case BlockScale::hif4:
      return {numerics::encode_e6m2(1.0), 0, 0, 0};
    case BlockScale::signed_e5m2:
      return {code(numerics::kE5m2), code(numerics::kE5m2)};
    case BlockScale::bf16_zero: {
      const std::uint32_t one = numerics::encode(numerics::kBf16, 1.0, kNearest);
      return {static_cast<std::uint8_t>(one), static_cast<std::uint8_t>(one >> 8), 0};
    }
  }
  return {};
}

// A row that holds every code once, all scales 1.
QuantisedMatrix every_code(const FormatInfo& info) {
  const std::int64_t codes = std::int64_t{1} << info.element_bits;
  QuantisedMatrix matrix = numerics::empty_quantised(info.id, 1, codes);
  for (std::int64_t code = 0; code < codes; ++code) {
    const std::int64_t bit = code * info.element_bits;
    for (std::int64_t byte = 0; byte < std::max(1, info.element_bits / 8); ++byte) {
      std::uint8_t& target = matrix.codes[static_cast<std::size_t>(bit / 8 + byte)];
      target = static_cast<std::uint8_t>(target | (code >> 8 * byte & 0xFF) << bit % 8);
    }
  }
  const std::vector<std::uint8_t> scale = unit_scale(info.block_scale);
  for (std::size_t i = 0; i < matrix.block_scale.size(); ++i) matrix.block_scale[i] = scale[i % scale.size()];
  std::ranges::fill(matrix.outer_scale, 1.0F);
  return matrix;
}

// What the codes stand for when all scales are 1.
struct Grid {
  std::set<double> magnitudes;  // finite
  double largest = 0;           // that a cast gives
  double smallest = 0;          // above zero
  std::optional<double> smallest_normal;
  std::string special = "none";  // Inf and NaN
};

std::string code_range(std::uint32_t first, std::uint32_t last) {
  return first == last ? fmt::format("{:#x}", first) : fmt::format("{:#x}-{:#x}", first, last);
}

std::string special_words(const numerics::FloatLayout& layout) {
  std::vector<std::string> words;
  const std::uint32_t last = layout.magnitude_mask();
  std::uint32_t first_nan = layout.max_code + 1;
  if (layout.inf_code) {
    words.push_back(fmt::format("Inf {:#x}", *layout.inf_code));
    first_nan = *layout.inf_code + 1;
  }
  if (first_nan <= last) words.push_back("NaN " + code_range(first_nan, last));
  if (words.empty()) return "none";
  return joined(words) + ", each with either sign";
}

Grid grid_of(const FormatInfo& info) {
  const QuantisedMatrix matrix = every_code(info);
  Grid grid;
  for (std::int64_t col = 0; col < matrix.k; ++col)
    if (const double value = static_cast<double>(matrix.value(0, col)); std::isfinite(value))
      grid.magnitudes.insert(std::fabs(value));
  grid.smallest = *std::next(grid.magnitudes.begin());
  if (numerics::is_integer(info.element)) {
    // Casts are symmetric: they leave out the lowest code of two's complement.
    const bool is_unsigned = info.block_scale == BlockScale::bf16_zero;
    grid.largest = is_unsigned ? *grid.magnitudes.rbegin() : numerics::largest_value(info.element) * grid.smallest;
    std::erase_if(grid.magnitudes, [&grid](double magnitude) { return magnitude > grid.largest; });
  } else {
    const numerics::FloatLayout& layout = numerics::layout_of(info.element);
    grid.largest = *grid.magnitudes.rbegin();
    grid.smallest_normal = static_cast<double>(numerics::decode(layout, 1U << layout.mantissa_bits));
    grid.special = special_words(layout);
  }
  return grid;
}

std::string grid_words(const FormatInfo& info, const Grid& grid) {
  if (info.element_bits == 4) {
    std::vector<std::string> values;
    for (const double magnitude : grid.magnitudes) values.push_back(number_words(magnitude));
    return fmt::format("{}", fmt::join(values, " "));
  }
  const std::string normal =
      grid.smallest_normal ? fmt::format(", smallest normal {}", number_words(*grid.smallest_normal)) : "";
  return fmt::format("largest {}{}, smallest {}", number_words(grid.largest), normal, number_words(grid.smallest));
}

bool is_unsigned(const FormatInfo& info) {
  return info.block_scale == BlockScale::bf16_zero;
}

// How a cast rounds, and the switches that change it.
std::string rounding_words(const FormatInfo& info) {
  using numerics::ElementRounding;
  const bool is_even = info.rounding == ElementRounding::nearest_even;
  const auto other = is_even ? ElementRounding::half_away : ElementRounding::nearest_even;
  return fmt::format("to nearest, ties {}; --rounding {}: ties {}",
                     is_even ? "to even" : "away from zero, as the published quantisers", name_of(other),
                     is_even ? "away from zero" : "to even");
}

std::string overflow_words(const FormatInfo& info) {
  if (info.element_bits == 16)
    return "numbers beyond the largest become Inf (IEEE 754); --overflow saturate: the largest";
  return "numbers beyond the largest become the largest";
}

// How a block's scale follows from its elements, where there is a choice.
std::string scale_rule_words(const FormatInfo& info) {
  switch (info.block_scale) {
    case BlockScale::e8m0:
      return "floor(log2 amax) less the element's largest exponent (OCP MX); --scale-rule even, ceil, rceil";
    case BlockScale::e4m3:
      return fmt::format(
          "E4M3 of the real number amax S / 6, rounded once, S = {}; --nvfp4-scale te_main: "
          "amax FP32(S FP32(1/6)), te_2x: FP32(amax / 6) S, in FP32 as TransformerEngine main and 2.x",
          info.outer_scale == numerics::OuterScale::tensor ? "FP32(2688 / tensor amax)" : "1");
    case BlockScale::none:
    case BlockScale::hif4:
    case BlockScale::signed_e5m2:
    case BlockScale::bf16_zero:
      break;
  }
  return "";
}

std::string block_words(const FormatInfo& info) {
  if (info.block_scale == BlockScale::none) return "none";
  return fmt::format("{} elements along k, {} bits of metadata", info.block, info.block_scale_bits);
}

double bytes_per_element(const FormatInfo& info) {
  const double bits = info.block_scale == BlockScale::none
                          ? 0
                          : static_cast<double>(info.block_scale_bits) / static_cast<double>(info.block);
  return (info.element_bits + bits) / 8;
}

std::string storage_size_words(const FormatInfo& info) {
  const char* outer = info.outer_scale == numerics::OuterScale::row      ? ", and 4 for each row"
                      : info.outer_scale == numerics::OuterScale::tensor ? ", and 4 for the tensor"
                                                                         : "";
  const double bytes = bytes_per_element(info);
  return fmt::format("{:.9g} {} for each element{}", bytes, bytes == 1 ? "byte" : "bytes", outer);
}

// By itself: a product of two operands of this format, with the default accumulator.
std::string product_words(const FormatInfo& info) {
  std::string text;
  if (info.block == 0)
    text = "all of k summed exactly in INT32, converted to FP32 once";
  else if (info.block == 1)
    text = "each product exact, one FP32 rounding (to nearest even) for each addition";
  else
    text = fmt::format("blocks of {} summed exactly{}, one FP32 rounding (to nearest even) for each block", info.block,
                       info.block_scale == BlockScale::none ? "" : " and scaled exactly");
  if (info.outer_scale != numerics::OuterScale::none) text += "; then one FP32 rounding for the scale of each operand";
  return text;
}

}  // namespace

std::string formats_text(std::span<const FormatInfo> formats, std::size_t width) {
  TextTable table({{"format"}, {"bits", "", Align::right}, {"bytes each", "", Align::right}, {"meaning [source]"}});
  for (const FormatInfo& info : formats)
    table.add({std::string(info.name), fmt::format("{}", info.element_bits),
               fmt::format("{:.9g}", bytes_per_element(info)), fmt::format("{} [{}]", info.meaning, info.source)});
  return table.text(width);
}

std::string format_text(const FormatInfo& info, std::size_t width) {
  const Grid grid = grid_of(info);
  TextTable table({{""}, {""}});
  const auto line = [&table](const char* name, const std::string& text) {
    table.add({fmt::format("  {}", name), text});
  };
  line("meaning", std::string(info.meaning));
  line("element", element_words(info));
  line(is_unsigned(info) ? "codes" : "magnitudes", grid_words(info, grid));
  line("Inf, NaN", grid.special);
  line("block", block_words(info));
  line("block scale", block_scale_words(info));
  if (const std::string rule = scale_rule_words(info); !rule.empty()) line("scale rule", rule);
  line("outer scale", outer_scale_words(info));
  line("rounding", rounding_words(info));
  line("overflow", overflow_words(info));
  line("storage", storage_size_words(info));
  line("product", product_words(info));
  line("source", std::string(info.source));
  return fmt::format("format {}\n{}", info.name, table.text(width));
}

Json format_json(const FormatInfo& info) {
  const Grid grid = grid_of(info);
  Json json{{"name", info.name},
            {"meaning", info.meaning},
            {"element", name_of(info.element)},
            {"element_bits", info.element_bits},
            {"element_layout", element_words(info)},
            {"magnitudes", info.element_bits == 4 ? Json(grid.magnitudes) : Json()},
            {"largest", grid.largest},
            {"smallest_normal", grid.smallest_normal ? Json(*grid.smallest_normal) : Json()},
            {"smallest", grid.smallest},
            {"special", grid.special},
            {"block", info.block_scale == BlockScale::none ? Json() : Json(info.block)},
            {"block_scale", block_scale_words(info)},
            {"block_scale_bits", info.block_scale_bits},
            {"scale_rule", scale_rule_words(info)},
            {"outer_scale", outer_scale_words(info)},
            {"rounding", name_of(info.rounding)},
            {"overflow", overflow_words(info)},
            {"bytes_per_element", bytes_per_element(info)},
            {"product", product_words(info)},
            {"source", info.source}};
  return json;
}

}  // namespace oscsim
