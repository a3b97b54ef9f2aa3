// SPDX-License-Identifier: Apache-2.0
// Unquantised matrices: row-major, BF16, FP16 or FP32, owned or seen through a view (a mapped file, say).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/base/schema.h"

namespace oscsim::numerics {

enum class Dtype : std::uint8_t { bf16, fp16, fp32 };

constexpr std::size_t size_of(Dtype dtype) {
  return dtype == Dtype::fp32 ? 4 : 2;
}

// A read-only row-major matrix [rows, cols] without padding. Does not own its data.
class MatrixView {
 public:
  MatrixView() = default;
  MatrixView(const void* data, Dtype dtype, std::int64_t rows, std::int64_t cols)
      : data_(static_cast<const std::byte*>(data)), dtype_(dtype), rows_(rows), cols_(cols) {}

  const std::byte* data() const { return data_; }
  Dtype dtype() const { return dtype_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  const std::byte* row_data(std::int64_t row) const {
    return data_ + static_cast<std::size_t>(row * cols_) * size_of(dtype_);
  }
  // The value at (row, col); exact, every dtype is a subset of FP32.
  float at(std::int64_t row, std::int64_t col) const;
  // Elements [col, col + out.size()) of `row` as FP32, exact.
  void read(std::int64_t row, std::int64_t col, std::span<float> out) const;

 private:
  const std::byte* data_ = nullptr;
  Dtype dtype_ = Dtype::fp32;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

// An owned matrix. Move-only: these are hundreds of megabytes. Storage is 64-byte aligned and not initialised.
class Matrix {
 public:
  Matrix() = default;
  Matrix(Dtype dtype, std::int64_t rows, std::int64_t cols);  // InputError when the size overflows
  Matrix(Matrix&&) = default;
  Matrix& operator=(Matrix&&) = default;

  MatrixView view() const { return {data_.get(), dtype_, rows_, cols_}; }
  Dtype dtype() const { return dtype_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::byte* data() { return data_.get(); }
  std::span<float> row_f32(std::int64_t row);  // dtype fp32 only
  std::span<const float> row_f32(std::int64_t row) const;
  std::span<std::uint16_t> row_u16(std::int64_t row);  // dtype bf16 or fp16 only
  std::span<const std::uint16_t> row_u16(std::int64_t row) const;

 private:
  struct Free {
    void operator()(std::byte* pointer) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  Dtype dtype_ = Dtype::fp32;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

// Largest magnitude, found in parallel; NaN when an element is NaN or infinite. Zero of an empty matrix.
float amax(MatrixView matrix);

// The first NaN or infinity in row-major order, found in parallel.
struct NonFinite {
  std::int64_t row;
  std::int64_t col;
  float value;
};
std::optional<NonFinite> find_nonfinite(MatrixView matrix);

}  // namespace oscsim::numerics

template <>
struct oscsim::EnumNames<oscsim::numerics::Dtype> {
  static constexpr std::pair<std::string_view, oscsim::numerics::Dtype> kValues[] = {
      {"bf16", oscsim::numerics::Dtype::bf16},
      {"fp16", oscsim::numerics::Dtype::fp16},
      {"fp32", oscsim::numerics::Dtype::fp32}};
};
