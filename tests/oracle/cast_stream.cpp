// SPDX-License-Identifier: Apache-2.0
// Casts float bit patterns to an element type and writes the codes, for a comparison with other implementations
// (exhaustive_casts.py). The path `scalar` is the definition (element.h); every other path is a format's quantise(),
// compiled for one instruction set, in blocks whose scale is made 1.
//
//   oscsim_cast_stream paths TYPE                                      lines: path, largest magnitude it takes (hex)
//   oscsim_cast_stream list TYPE PATH ROUNDING                         patterns on stdin, 4 bytes each
//   oscsim_cast_stream range TYPE PATH ROUNDING FIRST STEP COUNT       FIRST, FIRST + STEP, ...
// Codes on stdout, one byte each, two for 16-bit types; little-endian. One thread: the caller runs several of these.
#include <tbb/global_control.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/base/error.h"
#include "models/numerics/cast_targets.h"
#include "models/numerics/element.h"

namespace oscsim::numerics {
namespace {

constexpr std::uint32_t kEveryPattern = 0x7FFFFFFF;
constexpr std::uint32_t kFinite = 0x7F7FFFFF;

// A format that casts the element alone once every block starts with `anchors`, which make its scale 1 (HiF4: without
// micro-exponents from the ninth element on), up to the magnitude `limit`.
struct FormatPath {
  FormatId format;
  std::vector<float> anchors;
  float limit;
  std::optional<float> tensor_amax = std::nullopt;
};

struct CastType {
  std::string_view name;
  int code_bytes;
  std::uint32_t (*encode)(float value, ElementRounding rounding);
  std::vector<FormatPath> paths;
  Overflow overflow = Overflow::infinity;
};

template <const FloatLayout& kLayout, Overflow kOverflow = Overflow::infinity>
std::uint32_t encode_as(float value, ElementRounding rounding) {
  return encode(kLayout, static_cast<double>(value), rounding, kOverflow);
}

template <int kLimit, int kSteps>
std::uint32_t encode_steps(float value, ElementRounding rounding) {
  const int code = encode_integer(static_cast<double>(value) * kSteps, kLimit, rounding);
  return static_cast<std::uint32_t>(code) & (kLimit == 7 ? 0xFU : 0xFFU);
}

// encode_e6m2 takes numbers: the cast of a block writes the NaN scale itself.
std::uint32_t encode_scale(float value, ElementRounding) {
  return std::isnan(value) ? kE6m2Nan : encode_e6m2(static_cast<double>(value));
}

const std::vector<CastType>& cast_types() {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kAll = std::numeric_limits<float>::quiet_NaN();
  const auto below = [](float value) { return std::nextafter(value, 0.0F); };
  static const std::vector<CastType> kTypes = {
      {"e2m1",
       1,
       encode_as<kE2m1>,
       {{FormatId::mxfp4, {4}, below(8)},
        {FormatId::nvfp4, {6}, 6, 2688.0F},
        {FormatId::nvfp4_single, {6}, 6},
        {FormatId::amxfp4, {6, -6}, 6}}},
      {"e1m2",
       1,
       encode_as<kE1m2>,
       {{FormatId::mx_e1m2, {1}, below(2)}, {FormatId::hif4, {7, 0, 0, 0, 0, 0, 0, 0}, below(2)}}},
      {"e4m3",
       1,
       encode_as<kE4m3>,
       {{FormatId::mxfp8, {256}, below(512)},
        {FormatId::fp8, {448}, 448},
        {FormatId::fp8_tensor, {}, kLargest, 448.0F}}},
      {"e5m2",
       1,
       encode_as<kE5m2>,
       {{FormatId::mxfp8_e5m2, {32768}, below(65536)},
        {FormatId::fp8_e5m2, {57344}, 57344},
        {FormatId::fp8_e5m2_tensor, {}, kLargest, 57344.0F}}},
      {"int8", 1, encode_steps<127, 1>, {{FormatId::int8, {127}, 127}}},
      {"mxint8", 1, encode_steps<127, 64>, {{FormatId::mxint8, {1}, below(2)}}},
      {"int4", 1, encode_steps<7, 1>, {{FormatId::int4, {7}, 7}}},
      {"e6m2", 1, encode_scale, {}},
      {"bf16", 2, encode_as<kBf16>, {{FormatId::bf16, {}, kAll}}},
      {"fp16", 2, encode_as<kFp16>, {{FormatId::fp16, {}, kAll}}},
      {"bf16_saturate", 2, encode_as<kBf16, Overflow::saturate>, {{FormatId::bf16, {}, kAll}}, Overflow::saturate},
      {"fp16_saturate", 2, encode_as<kFp16, Overflow::saturate>, {{FormatId::fp16, {}, kAll}}, Overflow::saturate},
  };
  return kTypes;
}

// Row-major groups: the anchors, then patterns; zeros fill the last row.
class AnchoredCast {
 public:
  AnchoredCast(const FormatPath& path, const CastTarget& target, ElementRounding rounding, Overflow overflow)
      : path_(path),
        target_(target),
        options_{.rounding = rounding, .tensor_amax = path.tensor_amax, .overflow = overflow},
        group_(format(path.format).block_scale == BlockScale::none ? kGroup : format(path.format).block),
        values_(group_ - std::ssize(path.anchors)) {}

  void cast(std::span<const std::uint32_t> patterns, std::vector<std::uint32_t>& codes) const {
    const auto count = static_cast<std::int64_t>(patterns.size());
    const std::int64_t cols = group_ * kGroupsInRow;
    const std::int64_t rows = tiles_of(tiles_of(count, values_), kGroupsInRow);
    Matrix matrix(Dtype::fp32, rows, cols);
    auto* bits = reinterpret_cast<std::uint32_t*>(matrix.data());
    std::int64_t next = 0;
    for (std::int64_t first = 0; first < rows * cols; first += group_) {
      std::int64_t at = first;
      for (const float anchor : path_.anchors) bits[at++] = std::bit_cast<std::uint32_t>(anchor);
      for (; at < first + group_; ++at, ++next) bits[at] = next < count ? patterns[static_cast<std::size_t>(next)] : 0;
    }
    const QuantisedMatrix out = quantise_with(target_, path_.format, matrix.view(), options_);
    const int element_bits = format(path_.format).element_bits;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = i / values_ * group_ + (group_ - values_) + i % values_;  // rows have no padding
      codes[static_cast<std::size_t>(i)] =
          element_bits == 4   ? out.codes[at / 2] >> at % 2 * 4 & 0xFU
          : element_bits == 8 ? out.codes[at]
                              : out.codes[2 * at] | static_cast<std::uint32_t>(out.codes[2 * at + 1]) << 8;
    }
  }

 private:
  static constexpr std::int64_t kGroup = 32;  // of formats without block scales
  static constexpr std::int64_t kGroupsInRow = 64;

  const FormatPath& path_;
  const CastTarget& target_;
  CastOptions options_;
  std::int64_t group_;
  std::int64_t values_;  // patterns in a group
};

std::string path_name(const FormatPath& path, const CastTarget& target) {
  return fmt::format("{}/{}", name_of(path.format), target.name);
}

void print_paths(const CastType& type) {
  fmt::print("scalar {:x}\n", kEveryPattern);
  for (const FormatPath& path : type.paths) {
    const std::uint32_t limit = std::isnan(path.limit) ? kEveryPattern : std::bit_cast<std::uint32_t>(path.limit);
    ensure(limit == kEveryPattern || limit <= kFinite, "a path takes all patterns or finite ones");
    for (const CastTarget& target : cast_targets()) fmt::print("{} {:x}\n", path_name(path, target), limit);
  }
}

class Stream {
 public:
  Stream(const CastType& type, std::string_view path, ElementRounding rounding) : type_(type), rounding_(rounding) {
    if (path == "scalar") return;
    for (const FormatPath& candidate : type.paths)
      for (const CastTarget& target : cast_targets())
        if (path == path_name(candidate, target)) anchored_.emplace(candidate, target, rounding, type.overflow);
    if (!anchored_) input_error("unknown path '{}' of {}", path, type.name);
  }

  void write(std::span<const std::uint32_t> patterns) {
    codes_.resize(patterns.size());
    if (anchored_)
      anchored_->cast(patterns, codes_);
    else
      for (std::size_t i = 0; i < patterns.size(); ++i)
        codes_[i] = type_.encode(std::bit_cast<float>(patterns[i]), rounding_);
    const auto width = static_cast<std::size_t>(type_.code_bytes);
    bytes_.resize(codes_.size() * width);
    for (std::size_t i = 0; i < codes_.size(); ++i) {
      bytes_[i * width] = static_cast<std::uint8_t>(codes_[i]);
      if (width == 2) bytes_[i * 2 + 1] = static_cast<std::uint8_t>(codes_[i] >> 8);
    }
    if (std::fwrite(bytes_.data(), 1, bytes_.size(), stdout) != bytes_.size()) input_error("cannot write the codes");
  }

 private:
  const CastType& type_;
  ElementRounding rounding_;
  std::optional<AnchoredCast> anchored_;
  std::vector<std::uint32_t> codes_;
  std::vector<std::uint8_t> bytes_;
};

constexpr std::size_t kChunk = 1 << 17;

void write_range(Stream& stream, std::uint64_t first, std::uint64_t step, std::uint64_t count) {
  std::vector<std::uint32_t> patterns;
  for (std::uint64_t i = 0; i < count; ++i) {
    patterns.push_back(static_cast<std::uint32_t>(first + i * step));
    if (patterns.size() == kChunk || i + 1 == count) {
      stream.write(patterns);
      patterns.clear();
    }
  }
}

void write_list(Stream& stream) {
  std::vector<std::uint32_t> patterns(kChunk);
  while (const std::size_t count = std::fread(patterns.data(), 4, kChunk, stdin))
    stream.write(std::span(patterns).first(count));
}

void run(const std::vector<std::string>& arguments) {
  const auto argument = [&](std::size_t i) -> const std::string& {
    if (i >= arguments.size()) input_error("too few arguments: the head of cast_stream.cpp lists them");
    return arguments[i];
  };
  const CastType* type = nullptr;
  for (const CastType& candidate : cast_types())
    if (candidate.name == argument(1)) type = &candidate;
  if (type == nullptr) input_error("unknown type '{}'", argument(1));
  if (argument(0) == "paths") return print_paths(*type);
  std::optional<ElementRounding> rounding;
  for (const auto& [name, value] : EnumNames<ElementRounding>::kValues)
    if (argument(3) == name) rounding = value;
  if (!rounding) input_error("unknown rounding '{}'", argument(3));
  Stream stream(*type, argument(2), *rounding);
  if (argument(0) == "list") return write_list(stream);
  if (argument(0) != "range") input_error("unknown mode '{}'", argument(0));
  write_range(stream, std::stoull(argument(4)), std::stoull(argument(5)), std::stoull(argument(6)));
}

}  // namespace
}  // namespace oscsim::numerics

int main(int argc, char** argv) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  try {
    oscsim::numerics::run({argv + 1, argv + argc});
  } catch (const oscsim::InputError& error) {
    fmt::print(stderr, "oscsim_cast_stream: {}\n", error.what());
    return 2;
  }
  return 0;
}
