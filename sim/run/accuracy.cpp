// SPDX-License-Identifier: Apache-2.0
#include "sim/run/accuracy.h"

#include <tbb/parallel_for.h>

#include <cmath>
#include <limits>

#include "sim/run/row_sample.h"

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

ExactRows exact_rows(numerics::MatrixView x, numerics::MatrixView w, std::vector<std::int64_t> rows,
                     numerics::Kernel kernel) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const bool is_sample = count < x.rows();
  const numerics::Matrix chosen = is_sample ? rows_of(x, rows) : numerics::Matrix();
  ExactRows exact{std::move(rows), numerics::Matrix(numerics::Dtype::fp32, count, w.rows())};
  numerics::compute_all(numerics::Fp32Product(is_sample ? chosen.view() : x, w, kernel),
                        {reinterpret_cast<float*>(exact.values.data()), count, w.rows()});
  return exact;
}

Accuracy measure_accuracy(const numerics::Matrix& output, const ExactRows& exact) {
  std::vector<RowError> errors(exact.rows.size());
  tbb::parallel_for(std::size_t{0}, errors.size(), [&](std::size_t i) {
    errors[i] = row_error(output.row_f32(exact.rows[i]), exact.values.row_f32(static_cast<std::int64_t>(i)));
  });
  RowError total;
  for (const RowError& row : errors) {
    total.signal += row.signal;
    total.noise += row.noise;
    total.largest = std::isnan(row.largest) || std::isnan(total.largest) ? std::numeric_limits<double>::quiet_NaN()
                                                                         : std::max(total.largest, row.largest);
  }
  Accuracy accuracy;
  accuracy.rows = std::ssize(exact.rows);
  const bool is_sample = accuracy.rows < output.rows();
  if (is_sample && numerics::find_nonfinite(output.view())) {
    accuracy.sqnr_db = accuracy.max_abs_error = std::numeric_limits<double>::quiet_NaN();
    return accuracy;
  }
  accuracy.sqnr_db =
      total.noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(total.signal / total.noise);
  accuracy.max_abs_error = total.largest;
  return accuracy;
}

}  // namespace oscsim
