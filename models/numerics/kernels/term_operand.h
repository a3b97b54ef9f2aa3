// SPDX-License-Identifier: Apache-2.0
// One operand of a fused or exact sum: a copy of its codes and scales, what unpacks them into terms' factors, and the
// range of its values, from which AccumulatorPath knows which arithmetic is exact.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/numerics/terms.h"

namespace oscsim::numerics::kernels {

// Alignment exponent of what takes no part: below everything, also when two are added.
inline constexpr std::int16_t kNoAlignment = -8192;

// Of numbers that are finite and not zero: multiples of 2^low, below 2^high in magnitude, of at most `width` bits.
struct ValueRange {
  int low = 0;
  int high = 0;
  int width = 0;  // 0: there are none

  void include(double value);
  void include(const ValueRange& other);
};

class TermOperand {
 public:
  // Elements are unpacked with their block scales where sub_block is 1, without them elsewhere.
  TermOperand(const QuantisedMatrix& matrix, int sub_block, ZeroTerms zeros);

  const QuantisedMatrix& matrix() const { return matrix_; }
  // The row has an Inf or a NaN; they are unpacked as zeros.
  bool is_special(std::int64_t row) const { return special_[static_cast<std::size_t>(row)] != 0; }
  bool any_special() const;
  const ValueRange& range(std::int64_t row) const { return ranges_[static_cast<std::size_t>(row)]; }
  const ValueRange& range() const { return range_; }
  // An element and its scale, both in [1, 2), make less than 2^headroom of the power of two that aligns them.
  int headroom() const;

  // Elements [k, k + count) of a row to values[0], values[stride], ..., with zeros past the end.
  template <class T>
  void unpack(std::int64_t row, std::int64_t k, std::int64_t count, T* values, std::int16_t* alignments,
              std::int64_t stride) const;
  // Scales of the sub-blocks of the same elements, one after the other, `stride` apart.
  void unpack_scales(std::int64_t row, std::int64_t k, std::int64_t count, double* scales, std::int16_t* alignments,
                     std::int64_t stride) const;

 private:
  template <class Visit>
  void visit(std::int64_t row, std::int64_t k, std::int64_t count, const Visit& each) const;
  template <class Visit>
  void visit_block(std::int64_t row, std::int64_t k, std::int64_t count, const Visit& each) const;
  Factor wide_element(std::int64_t row, std::int64_t col) const;
  void find_range(std::int64_t row);
  std::int16_t alignment_of(const Factor& factor) const;

  QuantisedMatrix matrix_;
  const FormatInfo* info_;
  int sub_block_;
  ZeroTerms zeros_;
  std::array<Factor, 256> elements_;  // by code, without what depends on the block
  std::vector<ValueRange> ranges_;
  ValueRange range_;
  std::vector<std::uint8_t> special_;
};

}  // namespace oscsim::numerics::kernels
