// SPDX-License-Identifier: Apache-2.0
#include "sim/run/accuracy.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>

#include <cmath>
#include <limits>

#include "sim/workload/sha256.h"

namespace oscsim {
namespace {

struct RowError {
  double signal = 0, noise = 0, largest = 0;
};

RowError row_error(std::span<const float> output, std::span<const float> exact) {
  RowError error;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double want = exact[i];
    const double difference = static_cast<double>(output[i]) - want;
    error.signal += want * want;
    error.noise += difference * difference;
    error.largest = std::isnan(difference) ? difference : std::max(error.largest, std::abs(difference));
  }
  return error;
}

}  // namespace

Accuracy measure_accuracy(const numerics::Matrix& output, const numerics::Matrix& exact) {
  Accuracy accuracy;
  std::vector<RowError> rows(static_cast<std::size_t>(output.rows()));
  tbb::parallel_invoke(
      [&] {
        tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, output.rows()), [&](const auto& range) {
          for (std::int64_t row = range.begin(); row < range.end(); ++row)
            rows[static_cast<std::size_t>(row)] = row_error(output.row_f32(row), exact.row_f32(row));
        });
      },
      [&] {
        Sha256 hash;
        for (std::int64_t row = 0; row < output.rows(); ++row) hash.update(std::as_bytes(output.row_f32(row)));
        accuracy.output_sha256 = hash.finish();
      });
  RowError total;
  for (const RowError& row : rows) {
    total.signal += row.signal;
    total.noise += row.noise;
    total.largest = std::isnan(row.largest) || std::isnan(total.largest) ? std::numeric_limits<double>::quiet_NaN()
                                                                         : std::max(total.largest, row.largest);
  }
  accuracy.sqnr_db =
      total.noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(total.signal / total.noise);
  accuracy.max_abs_error = total.largest;
  return accuracy;
}

}  // namespace oscsim
