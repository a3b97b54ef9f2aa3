// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/quantised_file.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "models/base/error.h"
#include "models/numerics/element.h"
#include "sim/config/units.h"
#include "sim/workload/format_words.h"
#include "sim/workload/matrix_file.h"

namespace oscsim {
namespace {

using numerics::BlockScale;
using numerics::ElementType;
using numerics::FormatInfo;
using numerics::OuterScale;
using numerics::QuantisedMatrix;

constexpr std::string_view kMark = "oscsim_quantised", kLayoutVersion = "1";
constexpr std::string_view kCodes = "codes", kScales = "scales", kOuterScale = "outer_scale", kDecoded = "decoded";

std::string named(const std::string& name, std::string_view part) {
  return name.empty() ? std::string(part) : fmt::format("{}.{}", name, part);
}

// The dtype that holds the format's codes one by one; empty where safetensors has none.
std::string_view code_dtype(const FormatInfo& info) {
  switch (info.element) {
    case ElementType::e2m1:
      return "F4";
    case ElementType::e4m3:
      return "F8_E4M3";
    case ElementType::e5m2:
      return "F8_E5M2";
    case ElementType::int8:
      return "I8";
    case ElementType::bf16:
      return "BF16";
    case ElementType::fp16:
      return "F16";
    case ElementType::e1m2:
    case ElementType::int4:
      break;
  }
  return "";
}

// Bytes of a row of codes in the file: whole rows of QuantisedMatrix as U8, else without the padding of blocks.
std::int64_t file_row_bytes(const FormatInfo& info, std::int64_t k) {
  if (code_dtype(info).empty()) return numerics::code_bytes(info, 1, k).count();
  return bytes_of(Bits(checked_product(k, info.element_bits, "row of codes"))).count();
}

SafetensorsSpec codes_spec(const FormatInfo& info, const std::string& name, std::int64_t rows, std::int64_t k) {
  const std::string_view dtype = code_dtype(info);
  if (dtype.empty()) return {named(name, kCodes), "U8", {rows, file_row_bytes(info, k)}};
  return {named(name, kCodes), std::string(dtype), {rows, info.element_bits == 4 ? round_up(k, 2) : k}};
}

SafetensorsSpec scales_spec(const FormatInfo& info, const std::string& name, std::int64_t rows, std::int64_t k) {
  const std::int64_t blocks = tiles_of(k, info.block);
  const std::int64_t bytes = info.block_scale_bits / 8;
  switch (info.block_scale) {
    case BlockScale::e8m0:
      return {named(name, kScales), "F8_E8M0", {rows, blocks}};
    case BlockScale::e4m3:
      return {named(name, kScales), "F8_E4M3", {rows, blocks}};
    case BlockScale::signed_e5m2:
      return {named(name, kScales), "F8_E5M2", {rows, blocks, bytes}};
    default:
      return {named(name, kScales), "U8", {rows, blocks, bytes}};
  }
}

// In the order of the file.
std::vector<SafetensorsSpec> specs_of(const FormatInfo& info, const std::string& name, std::int64_t rows,
                                      std::int64_t k) {
  std::vector<SafetensorsSpec> specs{{named(name, kDecoded), "F32", {rows, k}}};
  if (info.outer_scale != OuterScale::none)
    specs.push_back({named(name, kOuterScale), "F32", {info.outer_scale == OuterScale::row ? rows : 1}});
  specs.push_back(codes_spec(info, name, rows, k));
  if (info.block_scale != BlockScale::none) specs.push_back(scales_spec(info, name, rows, k));
  return specs;
}

// Columns of codes in the file that are no elements.
std::int64_t padding_of(const FormatInfo& info, std::int64_t k) {
  return file_row_bytes(info, k) * 8 / info.element_bits - k;
}

const std::string& metadata_of(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    input_error("{}: no '{}' in the metadata of a file that oscsim quantised", file.path(), key);
  return found->second;
}

// The name of the only operand when none is asked for.
std::string operand_name(const SafetensorsFile& file, const std::string& name) {
  if (file.tensors().contains(named(name, kCodes))) return name;
  const std::string ending = "." + std::string(kCodes);
  std::vector<std::string> names;
  for (const auto& [tensor, entry] : file.tensors())
    if (tensor.ends_with(ending)) names.push_back(tensor.substr(0, tensor.size() - ending.size()));
  if (!name.empty())
    input_error("{}: no quantised operand '{}'\n  operands: {}{}", file.path(), name,
                names.empty() ? "one without a name" : joined(names), did_you_mean(name, names));
  if (names.size() == 1) return names.front();
  input_error("{}: {} quantised operands; choose one with {}:NAME\n  operands: {}", file.path(), names.size(),
              file.path(), names.empty() ? "none" : joined(names));
}

std::span<const std::byte> checked_bytes(const SafetensorsFile& file, const SafetensorsSpec& spec) {
  const auto found = file.tensors().find(spec.name);
  if (found == file.tensors().end())
    input_error("{}: no tensor '{}'; expected {} {}", file.path(), spec.name, spec.dtype, shape_text(spec.shape));
  const SafetensorsEntry& entry = found->second;
  if (spec.dtype != entry.dtype->name || entry.shape != spec.shape)
    input_error("{}: tensor '{}' is {} {}; expected {} {}", file.path(), spec.name, entry.dtype->name,
                shape_text(entry.shape), spec.dtype, shape_text(spec.shape));
  return file.bytes(entry);
}

// Engines multiply whole blocks: what stands behind column k must be zero.
void check_padding(const std::string& what, const QuantisedMatrix& matrix) {
  const FormatInfo& info = numerics::format(matrix.format);
  if (info.element_bits != 4) return;
  const bool has_zero_point = info.block_scale == BlockScale::bf16_zero;
  constexpr int kLargestZeroPoint = 15;
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    for (std::int64_t block = 0; has_zero_point && block < matrix.blocks(); ++block)
      if (const int zero = matrix.scale_of(row, block)[2]; zero > kLargestZeroPoint)
        input_error("{}: the zero point of block {} in row {} is {}; allowed: 0 to {}", what, block, row, zero,
                    kLargestZeroPoint);
    const std::uint32_t zero = has_zero_point && matrix.k > 0 ? matrix.scale_of(row, matrix.blocks() - 1)[2] : 0;
    const std::uint8_t* codes = matrix.codes.data() + row * matrix.row_bytes;
    for (std::int64_t col = matrix.k; col < 2 * matrix.row_bytes; ++col)
      if (const std::uint32_t code = codes[col / 2] >> col % 2 * 4 & 0xFU; code != zero)
        input_error("{}: code {} at [{}, {}], behind the last of {} columns, where the code of zero, {}, is expected",
                    what, code, row, col, matrix.k, zero);
  }
}

}  // namespace

QuantisedFileSpec::QuantisedFileSpec(const QuantisedOrigin& origin) : info_(numerics::format(origin.format)) {
  metadata_ = {{std::string(kMark), std::string(kLayoutVersion)},
               {"format", std::string(info_.name)},
               {"layout", storage_words(info_)},
               {"rounding", std::string(name_of(rounding_of(info_, origin.options)))},
               {"source", origin.source},
               {"version", origin.version}};
  if (info_.block_scale == BlockScale::e8m0) metadata_["scale_rule"] = name_of(origin.options.scale_rule);
  if (info_.block_scale == BlockScale::e4m3) metadata_["nvfp4_scale"] = name_of(origin.options.nvfp4_scale);
  if (info_.element_bits == 16) metadata_["overflow"] = name_of(origin.options.overflow);
}

void QuantisedFileSpec::add(const std::string& name, std::int64_t rows, std::int64_t k) {
  for (SafetensorsSpec& spec : specs_of(info_, name, rows, k)) tensors_.push_back(std::move(spec));
  metadata_[named(name, "k")] = fmt::format("{}", k);
  metadata_[named(name, "padding_columns")] = fmt::format("{}", padding_of(info_, k));
}

void append_quantised(SafetensorsBody& body, const QuantisedMatrix& matrix) {
  const FormatInfo& info = numerics::format(matrix.format);
  body.append(std::as_bytes(std::span(matrix.outer_scale)));
  const auto row_bytes = static_cast<std::size_t>(file_row_bytes(info, matrix.k));
  const std::span<const std::uint8_t> codes(matrix.codes);
  for (std::int64_t row = 0; row < matrix.rows; ++row)
    body.append(std::as_bytes(codes.subspan(static_cast<std::size_t>(row * matrix.row_bytes), row_bytes)));
  body.append(std::as_bytes(std::span(matrix.block_scale)));
}

bool holds_quantised(const SafetensorsFile& file) {
  return file.metadata().contains(std::string(kMark));
}

numerics::FormatId quantised_format(const SafetensorsFile& file) {
  const std::string& layout = metadata_of(file, std::string(kMark));
  if (layout != kLayoutVersion)
    input_error("{}: version '{}' of the layout of quantised files; this program knows {}", file.path(), layout,
                kLayoutVersion);
  const std::string& name = metadata_of(file, "format");
  if (const auto id = enum_from<numerics::FormatId>(name)) return *id;
  const std::vector<std::string> names = names_of<numerics::FormatId>();
  input_error("{}: unknown format '{}' in the metadata\n  allowed: {}{}", file.path(), name, joined(names),
              did_you_mean(name, names));
}

QuantisedMatrix read_quantised(const SafetensorsFile& file, const std::string& asked) {
  const FormatInfo& info = numerics::format(quantised_format(file));
  const std::string name = operand_name(file, asked);
  const std::string key = named(name, "k");
  const auto [k, problem] = config::parse_integer(metadata_of(file, key));
  if (!k) input_error("{}: metadata '{}': {}", file.path(), key, problem);
  if (*k < 0 || *k > kMostColumns)
    input_error("{}: metadata '{}' is {}; allowed: 0 to {}", file.path(), key, *k, kMostColumns);
  const std::vector<std::int64_t>& shape = file.tensors().at(named(name, kCodes)).shape;
  const std::int64_t rows = shape.empty() ? 0 : shape.front();

  // Shapes first: only what the file holds is allocated.
  const auto codes = checked_bytes(file, codes_spec(info, name, rows, *k));
  std::vector<std::span<const std::byte>> parts(2);
  for (const SafetensorsSpec& spec : specs_of(info, name, rows, *k)) {
    if (spec.name == named(name, kOuterScale)) parts[0] = checked_bytes(file, spec);
    if (spec.name == named(name, kScales)) parts[1] = checked_bytes(file, spec);
  }
  QuantisedMatrix matrix = numerics::empty_quantised(info.id, rows, *k);
  ensure(parts[0].size() == matrix.outer_scale.size() * sizeof(float) && parts[1].size() == matrix.block_scale.size(),
         "{}: scales of {} and {} bytes", file.path(), parts[0].size(), parts[1].size());
  const auto to = std::as_writable_bytes(std::span(matrix.codes));
  const auto row_bytes = static_cast<std::size_t>(file_row_bytes(info, *k));
  for (std::int64_t row = 0; row < rows; ++row)
    std::ranges::copy(codes.subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes),
                      to.subspan(static_cast<std::size_t>(row * matrix.row_bytes)).begin());
  std::ranges::copy(parts[0], std::as_writable_bytes(std::span(matrix.outer_scale)).begin());
  std::ranges::copy(parts[1], std::as_writable_bytes(std::span(matrix.block_scale)).begin());
  check_padding(fmt::format("{}: tensor '{}'", file.path(), named(name, kCodes)), matrix);
  require_unsigned_scales(fmt::format("{}: tensor '{}'", file.path(), named(name, kScales)), matrix);
  return matrix;
}

void require_unsigned_scales(const std::string& what, const QuantisedMatrix& matrix) {
  const FormatInfo& info = numerics::format(matrix.format);
  if (info.block_scale != BlockScale::e4m3 && info.block_scale != BlockScale::signed_e5m2) return;
  constexpr std::uint8_t kSignBit = 0x80;
  const auto is_negative = [](std::uint8_t byte) { return (byte & kSignBit) != 0; };
  const auto found = std::ranges::find_if(matrix.block_scale, is_negative);
  if (found == matrix.block_scale.end()) return;
  const std::int64_t bytes = info.block_scale_bits / 8;
  const std::int64_t block = (found - matrix.block_scale.begin()) / bytes;
  input_error(
      "{}: the scale {:#04x} of block {} in row {} has its sign bit set; allowed: 0x00 to 0x7f, scales are "
      "unsigned",
      what, *found, block % matrix.blocks(), block / matrix.blocks());
}

void require_finite(const std::string& what, const QuantisedMatrix& matrix) {
  const bool is_wide = numerics::format(matrix.format).element_bits == 16;
  const auto is_bad = [&](std::int64_t row, std::int64_t col) {
    const float value = matrix.value(row, col);
    return std::isnan(value) || (is_wide && std::isinf(value));
  };
  std::atomic<std::int64_t> first_row{matrix.rows};
  tbb::parallel_for(std::int64_t{0}, matrix.rows, [&](std::int64_t row) {
    std::int64_t known = first_row.load();
    for (std::int64_t col = 0; row < known && col < matrix.k; ++col) {
      if (!is_bad(row, col)) continue;
      while (row < known && !first_row.compare_exchange_weak(known, row)) {
      }
      return;
    }
  });
  const std::int64_t row = first_row;
  for (std::int64_t col = 0; row < matrix.rows && col < matrix.k; ++col)
    if (is_bad(row, col))
      input_error("{} has {} at [{}, {}]; --allow-nonfinite goes on and propagates NaN", what,
                  std::isnan(matrix.value(row, col)) ? "NaN" : "Inf", row, col);
}

}  // namespace oscsim
