// SPDX-License-Identifier: Apache-2.0
// Operands in the layouts that kernels read (kernel.h), packed in parallel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/numerics/gemm.h"
#include "models/numerics/kernels/kernel.h"

namespace oscsim::numerics::kernels {

// Bytes at a 64-byte boundary, not initialised.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::int64_t size);
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* pointer) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::int64_t size_ = 0;
};

// What is packed: an operand in its plain layout.
struct PlainOperand {
  Element element;
  const std::uint8_t* codes;
  std::int64_t row_bytes;
  const std::uint8_t* block_scale;  // E8M0 [rows, ceil(k / 32)], or null
  std::int64_t rows;
  std::int64_t k;
};
PlainOperand plain(const QuantisedMatrix& matrix);
PlainOperand plain(MatrixView matrix);

enum class Side : std::uint8_t { rows, panels };  // operand A, operand B

class PackedMatrix {
 public:
  PackedMatrix(const PlainOperand& source, Side side);

  PackedOperand operand() const;
  std::int64_t rows() const { return rows_; }
  std::int64_t k() const { return k_; }
  // The row has a NaN scale or a NaN element (E4M3 only): every output of it is NaN.
  bool row_is_nan(std::int64_t row) const { return nan_rows_[static_cast<std::size_t>(row)] != 0; }

 private:
  void pack_codes(const PlainOperand& source, Side side);
  void pack_blocks(const PlainOperand& source, Side side);

  Element element_;
  std::int64_t rows_;
  std::int64_t k_;
  std::int64_t stride_ = 0;
  std::int64_t blocks_ = 0;
  AlignedBytes codes_;
  std::vector<std::uint8_t> exponents_;
  std::vector<std::uint8_t> shifts_;
  std::vector<std::uint8_t> nan_rows_;
};

}  // namespace oscsim::numerics::kernels
