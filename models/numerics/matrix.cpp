// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/matrix.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "models/base/quantity.h"
#include "models/numerics/element.h"

namespace oscsim::numerics {
namespace {

constexpr std::int64_t kAlignment = 64;  // bytes: a cache line, and the widest vector

// Reads a stored code without assuming that mapped files are aligned.
template <class Code>
Code load(const std::byte* source) {
  Code code;
  std::memcpy(&code, source, sizeof code);
  return code;
}

std::size_t storage_bytes(Dtype dtype, std::int64_t rows, std::int64_t cols) {
  if (rows < 0 || cols < 0) input_error("matrix size [{}, {}] is negative", rows, cols);
  const std::int64_t elements = checked_product(rows, cols, "matrix size");
  const std::int64_t bytes = checked_product(elements, static_cast<std::int64_t>(size_of(dtype)), "matrix size");
  return static_cast<std::size_t>(
      checked_product(tiles_of(bytes, kAlignment), kAlignment, "matrix size"));  // aligned_alloc wants a multiple
}

// The largest of elements without their sign bits. Codes order like magnitudes, and Inf and NaN above all numbers.
// Signed integers: their maximum is what SSE2 has.
template <class Code>
Code largest_code(const std::byte* source, std::int64_t count) {
  Code largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto magnitude = static_cast<Code>(load<Code>(source + i * static_cast<std::int64_t>(sizeof(Code))) &
                                             std::numeric_limits<Code>::max());
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

// FP32 bits of the largest magnitude of elements; kInfinity or more when one is Inf or NaN.
std::uint32_t largest_magnitude(MatrixView matrix, std::int64_t first, std::int64_t count) {
  const std::byte* source = matrix.data() + static_cast<std::size_t>(first) * size_of(matrix.dtype());
  switch (matrix.dtype()) {
    case Dtype::bf16:
      return static_cast<std::uint32_t>(largest_code<std::int16_t>(source, count)) << 16;
    case Dtype::fp16:
      return std::bit_cast<std::uint32_t>(
          fp16_to_float(static_cast<std::uint16_t>(largest_code<std::int16_t>(source, count))));
    case Dtype::fp32:
      return static_cast<std::uint32_t>(largest_code<std::int32_t>(source, count));
  }
  return 0;
}

constexpr std::uint32_t kInfinity = 0x7F800000;  // FP32 bits
constexpr std::int64_t kTaskElements = 1 << 16;  // searched by one task

}  // namespace

float MatrixView::at(std::int64_t row, std::int64_t col) const {
  float value = 0;
  read(row, col, {&value, 1});
  return value;
}

void MatrixView::read(std::int64_t row, std::int64_t col, std::span<float> out) const {
  ensure(row >= 0 && row < rows_ && col >= 0 && col + std::ssize(out) <= cols_,
         "read of [{}, {}..{}) outside a matrix of [{}, {}]", row, col, col + std::ssize(out), rows_, cols_);
  const std::byte* source = row_data(row) + static_cast<std::size_t>(col) * size_of(dtype_);
  switch (dtype_) {
    case Dtype::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_float(load<std::uint16_t>(source + 2 * i));
      break;
    case Dtype::fp16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = fp16_to_float(load<std::uint16_t>(source + 2 * i));
      break;
    case Dtype::fp32:
      if (!out.empty()) std::memcpy(out.data(), source, out.size_bytes());
      break;
  }
}

Matrix::Matrix(Dtype dtype, std::int64_t rows, std::int64_t cols) : dtype_(dtype), rows_(rows), cols_(cols) {
  const std::size_t bytes = storage_bytes(dtype, rows, cols);
  if (bytes == 0) return;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)));
  if (!data_) input_error("matrix [{}, {}] needs {} bytes, more than this machine can give", rows, cols, bytes);
}

void Matrix::Free::operator()(std::byte* pointer) const {
  std::free(pointer);
}

std::span<float> Matrix::row_f32(std::int64_t row) {
  ensure(dtype_ == Dtype::fp32 && row >= 0 && row < rows_, "row {} of [{}, {}] {} taken as fp32", row, rows_, cols_,
         name_of(dtype_));
  return {reinterpret_cast<float*>(data_.get()) + row * cols_, static_cast<std::size_t>(cols_)};
}

std::span<const float> Matrix::row_f32(std::int64_t row) const {
  ensure(dtype_ == Dtype::fp32 && row >= 0 && row < rows_, "row {} of [{}, {}] {} taken as fp32", row, rows_, cols_,
         name_of(dtype_));
  return {reinterpret_cast<const float*>(data_.get()) + row * cols_, static_cast<std::size_t>(cols_)};
}

std::span<std::uint16_t> Matrix::row_u16(std::int64_t row) {
  ensure(dtype_ != Dtype::fp32 && row >= 0 && row < rows_, "row {} of [{}, {}] {} taken as 16 bit", row, rows_, cols_,
         name_of(dtype_));
  return {reinterpret_cast<std::uint16_t*>(data_.get()) + row * cols_, static_cast<std::size_t>(cols_)};
}

std::span<const std::uint16_t> Matrix::row_u16(std::int64_t row) const {
  ensure(dtype_ != Dtype::fp32 && row >= 0 && row < rows_, "row {} of [{}, {}] {} taken as 16 bit", row, rows_, cols_,
         name_of(dtype_));
  return {reinterpret_cast<const std::uint16_t*>(data_.get()) + row * cols_, static_cast<std::size_t>(cols_)};
}

float amax(MatrixView matrix) {
  const std::uint32_t largest = tbb::parallel_reduce(
      tbb::blocked_range<std::int64_t>(0, matrix.rows() * matrix.cols(), kTaskElements), std::uint32_t{0},
      [&](const tbb::blocked_range<std::int64_t>& range, std::uint32_t known) {
        return std::max(known, largest_magnitude(matrix, range.begin(), range.end() - range.begin()));
      },
      [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
  return largest < kInfinity ? std::bit_cast<float>(largest) : std::numeric_limits<float>::quiet_NaN();
}

std::optional<NonFinite> find_nonfinite(MatrixView matrix) {
  const std::int64_t elements = matrix.rows() * matrix.cols();
  const std::int64_t chunks = tiles_of(elements, kTaskElements);
  std::atomic<std::int64_t> first_chunk{chunks};
  tbb::parallel_for(std::int64_t{0}, chunks, [&](std::int64_t chunk) {
    std::int64_t known = first_chunk.load();
    const std::int64_t first = chunk * kTaskElements;
    if (chunk >= known || largest_magnitude(matrix, first, std::min(kTaskElements, elements - first)) < kInfinity)
      return;
    while (chunk < known && !first_chunk.compare_exchange_weak(known, chunk)) {
    }
  });
  for (std::int64_t i = first_chunk * kTaskElements; i < elements; ++i) {
    const NonFinite candidate{i / matrix.cols(), i % matrix.cols(), matrix.at(i / matrix.cols(), i % matrix.cols())};
    if (!std::isfinite(candidate.value)) return candidate;
  }
  return std::nullopt;
}

}  // namespace oscsim::numerics
