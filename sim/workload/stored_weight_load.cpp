// SPDX-License-Identifier: Apache-2.0
#include <tbb/parallel_for.h>

#include <bit>
#include <cstring>

#include "models/base/error.h"
#include "models/numerics/element.h"
#include "sim/workload/stored_weight.h"

namespace oscsim {
namespace {

using numerics::FormatId;
using numerics::Matrix;
using numerics::QuantisedMatrix;

// Elements of a float tensor, one at a time.
class Floats {
 public:
  explicit Floats(const TensorPlace& place)
      : dtype_(place.entry->dtype->name), bytes_(place.file->bytes(*place.entry)) {}

  float operator[](std::int64_t index) const {
    if (dtype_ == "F8_E8M0")
      return static_cast<float>(
          numerics::decode_e8m0(std::to_integer<std::uint8_t>(bytes_[static_cast<std::size_t>(index)])));
    if (dtype_ == "F32") return std::bit_cast<float>(bits<std::uint32_t>(index));
    const auto half = bits<std::uint16_t>(index);
    return dtype_ == "BF16" ? numerics::bf16_to_float(half) : numerics::fp16_to_float(half);
  }

 private:
  template <class Bits>
  Bits bits(std::int64_t index) const {
    Bits value;
    std::memcpy(&value, bytes_.data() + static_cast<std::size_t>(index) * sizeof(Bits), sizeof(Bits));
    return value;
  }

  std::string_view dtype_;
  std::span<const std::byte> bytes_;
};

// Rows of `bytes` bytes each, out of a tensor, to rows of `pitch` bytes.
void copy_rows(const TensorPlace& place, const StoredRows& from, std::int64_t rows, std::int64_t bytes,
               std::int64_t pitch, std::vector<std::uint8_t>& to) {
  const std::span<const std::byte> all = place.file->bytes(*place.entry);
  for (std::int64_t row = 0; row < rows && bytes > 0; ++row)
    std::memcpy(to.data() + row * pitch, all.data() + (from.first + row * from.step) * bytes,
                static_cast<std::size_t>(bytes));
}

// The sign of a scale has no meaning: an engine may drop it.
void check_scales(const StoredWeight& weight, const QuantisedMatrix& matrix) {
  if (numerics::format(matrix.format).block_scale != numerics::BlockScale::e4m3) return;
  const std::int64_t blocks = matrix.blocks();
  for (std::size_t i = 0; i < matrix.block_scale.size(); ++i)
    if ((matrix.block_scale[i] & 0x80U) != 0)
      input_error("{}: tensor '{}' has {:#04x} at [{}, {}]: a negative scale", weight.scale->file->path(),
                  weight.scale->name, matrix.block_scale[i], static_cast<std::int64_t>(i) / blocks,
                  static_cast<std::int64_t>(i) % blocks);
}

void read_outer_scales(const StoredWeight& weight, QuantisedMatrix& matrix) {
  const bool is_tensor = numerics::format(matrix.format).outer_scale == numerics::OuterScale::tensor;
  const TensorPlace& place = weight.outer_scale ? *weight.outer_scale : *weight.scale;
  const Floats scales(place);
  const bool is_one = place.entry->end - place.entry->begin == static_cast<std::uint64_t>(place.entry->dtype->bits / 8);
  for (std::size_t row = 0; row < matrix.outer_scale.size(); ++row) {
    const float scale = scales[is_tensor || is_one ? 0 : static_cast<std::int64_t>(row)];
    if (weight.divides && scale == 0)
      input_error("{}: tensor '{}' is 0; the weight is divided by it", place.file->path(), place.name);
    matrix.outer_scale[row] = weight.divides ? 1.0F / scale : scale;
  }
}

// One element of `size` bytes after the other, across the rows of the tensor.
Tensor gathered(const StoredWeight& weight, numerics::Dtype dtype) {
  const auto& [n, k] = weight.shape;
  const std::size_t size = numerics::size_of(dtype);
  const std::byte* data =
      weight.place.file->bytes(*weight.place.entry).data() + static_cast<std::size_t>(weight.begin) * size;
  const auto copy = std::make_shared<Matrix>(dtype, n, k);
  tbb::parallel_for(std::int64_t{0}, n, [&, k = k](std::int64_t row) {
    const std::int64_t stored = weight.rows.first + row * weight.rows.step;
    for (std::int64_t col = 0; col < k; ++col)
      std::memcpy(copy->data() + static_cast<std::size_t>(row * k + col) * size,
                  data + static_cast<std::size_t>(col * weight.columns + stored) * size, size);
  });
  return {copy->view(), copy};
}

}  // namespace

Tensor load_plain(const StoredWeight& weight) {
  if (weight.columns == 0) return tensor_in(weight.place.file, *weight.place.entry);
  const numerics::Dtype dtype = *matrix_dtype(*weight.place.entry->dtype);
  if (weight.is_transposed) return gathered(weight, dtype);
  const auto& [n, k] = weight.shape;
  SafetensorsEntry part = *weight.place.entry;
  const auto size = static_cast<std::int64_t>(numerics::size_of(dtype));
  part.begin += static_cast<std::uint64_t>((weight.begin + weight.rows.first * k) * size);
  part.end = part.begin + static_cast<std::uint64_t>(n * k * size);
  part.shape = {n, k};
  return tensor_in(weight.place.file, part);
}

QuantisedMatrix load_quantised(const StoredWeight& weight) {
  const auto& [n, k] = weight.shape;
  QuantisedMatrix matrix = numerics::empty_quantised(*weight.format, n, k);
  const numerics::FormatInfo& info = numerics::format(matrix.format);
  copy_rows(weight.place, weight.rows, n, k * info.element_bits / 8, matrix.row_bytes, matrix.codes);
  if (info.block_scale != numerics::BlockScale::none) {
    copy_rows(*weight.scale, weight.rows, n, matrix.blocks(), matrix.blocks(), matrix.block_scale);
    check_scales(weight, matrix);
  }
  if (info.outer_scale != numerics::OuterScale::none) read_outer_scales(weight, matrix);
  return matrix;
}

Matrix load_decoded(const StoredWeight& weight) {
  const auto& [n, k] = weight.shape;
  const std::int64_t blocks = tiles_of(k, kFp8Block);
  const std::span<const std::byte> codes = weight.place.file->bytes(*weight.place.entry);
  const bool is_e5m2 = std::string_view(weight.place.entry->dtype->name) == "F8_E5M2";
  const numerics::FloatLayout& layout = is_e5m2 ? numerics::kE5m2 : numerics::kE4m3;
  const Floats scales(*weight.scale);
  Matrix matrix(numerics::Dtype::fp32, n, k);
  tbb::parallel_for(std::int64_t{0}, n, [&, k = k](std::int64_t row) {
    const std::span<float> to = matrix.row_f32(row);
    for (std::int64_t col = 0; col < k; ++col) {
      const auto code = std::to_integer<std::uint32_t>(codes[static_cast<std::size_t>(row * k + col)]);
      to[static_cast<std::size_t>(col)] =
          numerics::decode(layout, code) * scales[row / kFp8Block * blocks + col / kFp8Block];
    }
  });
  return matrix;
}

Matrix decoded(const QuantisedMatrix& matrix) {
  Matrix values(numerics::Dtype::fp32, matrix.rows, matrix.k);
  tbb::parallel_for(std::int64_t{0}, matrix.rows, [&](std::int64_t row) {
    const std::span<float> to = values.row_f32(row);
    for (std::int64_t col = 0; col < matrix.k; ++col) to[static_cast<std::size_t>(col)] = matrix.value(row, col);
  });
  return values;
}

std::optional<QuantisedMatrix> as_format(const QuantisedMatrix& matrix, FormatId format) {
  if (matrix.format == format) return matrix;
  const auto is = [&](FormatId from, FormatId to) { return matrix.format == from && format == to; };
  QuantisedMatrix same = matrix;
  same.format = format;
  if (is(FormatId::fp8_tensor, FormatId::fp8) || is(FormatId::fp8_e5m2_tensor, FormatId::fp8_e5m2))
    same.outer_scale.assign(static_cast<std::size_t>(matrix.rows), matrix.outer_scale.front());
  else if (is(FormatId::nvfp4_single, FormatId::nvfp4))
    same.outer_scale = {1.0F};
  else
    return std::nullopt;
  return same;
}

}  // namespace oscsim
