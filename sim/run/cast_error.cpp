// SPDX-License-Identifier: Apache-2.0
#include "sim/run/cast_error.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "models/numerics/element.h"

namespace oscsim {
namespace {

using numerics::FormatInfo;
using numerics::MatrixView;
using numerics::QuantisedMatrix;

constexpr std::int64_t kChunk = std::int64_t{1} << 20;  // elements decoded at a time

struct RowError {
  double signal = 0, noise = 0, sum = 0, largest = 0;
  std::int64_t clipped = 0, zeroed = 0;
};

// The ends of an element's grid.
class Clipping {
 public:
  explicit Clipping(const FormatInfo& info) : has_zero_point_(info.block_scale == numerics::BlockScale::bf16_zero) {
    if (numerics::is_integer(info.element)) {
      const auto largest = static_cast<std::uint32_t>(numerics::largest_value(info.element));
      const std::uint32_t mask = (1U << info.element_bits) - 1;
      ends_[0] = has_zero_point_ ? 0 : (0 - largest) & mask;
      ends_[1] = has_zero_point_ ? mask : largest;
      half_step_ = 0.5 / static_cast<double>(largest);
    } else {
      const numerics::FloatLayout& layout = numerics::layout_of(info.element);
      ends_[0] = layout.max_code;
      ends_[1] = layout.max_code | 1U << layout.sign_shift();
      const double below = static_cast<double>(numerics::decode(layout, layout.max_code - 1));
      half_step_ = 0.5 - 0.5 * below / numerics::largest_value(info.element);
    }
  }

  bool operator()(const QuantisedMatrix& matrix, std::int64_t row, std::int64_t col, double error,
                  double decoded) const {
    const std::uint32_t code = matrix.code(row, col);
    if (code != ends_[0] && code != ends_[1]) return false;
    if (!has_zero_point_) return error > half_step_ * std::fabs(decoded);
    const std::uint8_t* scale = matrix.scale_of(row, col / numerics::format(matrix.format).block);
    const auto step = static_cast<std::uint16_t>(scale[0] | scale[1] << 8);
    return error > 0.5 * static_cast<double>(numerics::bf16_to_float(step));
  }

 private:
  bool has_zero_point_;
  std::uint32_t ends_[2]{};
  double half_step_ = 0;  // relative to the largest magnitude
};

RowError row_error(MatrixView original, const QuantisedMatrix& cast, const Clipping& is_clipped, std::int64_t row,
                   std::span<float> decoded) {
  RowError error;
  std::vector<float> wanted(decoded.size());
  original.read(row, 0, wanted);
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const auto col = static_cast<std::int64_t>(i);
    decoded[i] = cast.value(row, col);
    const double want = static_cast<double>(wanted[i]);
    const double have = static_cast<double>(decoded[i]);
    const double difference = want == have ? 0 : std::fabs(want - have);  // Inf stays Inf in 16 bits: no error
    error.signal += want * want;
    error.noise += difference * difference;
    error.sum += difference;
    error.largest = std::isnan(difference) ? difference : std::max(error.largest, difference);
    const bool has_overflowed = std::isinf(have) && std::isfinite(want);
    error.clipped += has_overflowed || is_clipped(cast, row, col, difference, have) ? 1 : 0;
    error.zeroed += want != 0 && have == 0 ? 1 : 0;
  }
  return error;
}

}  // namespace

CastError measure_cast(MatrixView original, const QuantisedMatrix& cast,
                       const std::function<void(std::span<const float>)>& take) {
  const Clipping is_clipped(numerics::format(cast.format));
  const std::int64_t chunk_rows = std::max<std::int64_t>(1, kChunk / std::max<std::int64_t>(1, cast.k));
  const auto cols = static_cast<std::size_t>(cast.k);
  CastError error;
  RowError total;
  for (std::int64_t first = 0; first < cast.rows; first += chunk_rows) {
    const auto count = static_cast<std::size_t>(std::min(chunk_rows, cast.rows - first));
    std::vector<float> decoded(count * cols);
    std::vector<RowError> rows(count);
    tbb::parallel_for(std::size_t{0}, count, [&](std::size_t i) {
      rows[i] = row_error(original, cast, is_clipped, first + static_cast<std::int64_t>(i),
                          std::span(decoded).subspan(i * cols, cols));
    });
    take(decoded);
    for (const RowError& row : rows) {
      total.signal += row.signal;
      total.noise += row.noise;
      total.sum += row.sum;
      total.largest = std::isnan(row.largest) || std::isnan(total.largest) ? std::numeric_limits<double>::quiet_NaN()
                                                                           : std::max(total.largest, row.largest);
      error.clipped += row.clipped;
      error.zeroed += row.zeroed;
    }
  }
  error.sqnr_db =
      total.noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(total.signal / total.noise);
  error.max_abs_error = total.largest;
  const double elements = static_cast<double>(cast.rows) * static_cast<double>(cast.k);
  error.mean_abs_error = elements == 0 ? 0 : total.sum / elements;
  return error;
}

}  // namespace oscsim
