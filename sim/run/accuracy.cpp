// SPDX-License-Identifier: Apache-2.0
#include "sim/run/accuracy.h"

#include <tbb/parallel_for.h>

#include <cmath>
#include <limits>

#include "sim/run/row_sample.h"

namespace oscsim {
namespace {

ErrorSums row_sums(std::span<const float> output, std::span<const float> exact) {
  ErrorSums sums;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double want = exact[i], have = output[i];
    const double difference = have - want;
    sums.signal += want * want;
    sums.output += have * have;
    sums.product += want * have;
    sums.noise += difference * difference;
    sums.largest = std::isnan(difference) ? difference : std::max(sums.largest, std::abs(difference));
  }
  return sums;
}

// Row i of `exact` is what row output_row(i) of `output` should be.
template <class OutputRow>
ErrorSums sums_of(const numerics::Matrix& output, const numerics::Matrix& exact, const OutputRow& output_row) {
  std::vector<ErrorSums> rows(static_cast<std::size_t>(exact.rows()));
  tbb::parallel_for(std::size_t{0}, rows.size(), [&](std::size_t i) {
    rows[i] = row_sums(output.row_f32(output_row(i)), exact.row_f32(static_cast<std::int64_t>(i)));
  });
  ErrorSums total;
  for (const ErrorSums& row : rows) total.add(row);
  return total;
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

numerics::Matrix as_fp32(numerics::MatrixView view) {
  numerics::Matrix matrix(numerics::Dtype::fp32, view.rows(), view.cols());
  for (std::int64_t row = 0; row < view.rows(); ++row) view.read(row, 0, matrix.row_f32(row));
  return matrix;
}

ErrorSums compared(const numerics::Matrix& output, const numerics::Matrix& exact) {
  return sums_of(output, exact, [](std::size_t i) { return static_cast<std::int64_t>(i); });
}

Accuracy measure_accuracy(const numerics::Matrix& output, const ExactRows& exact) {
  Accuracy accuracy;
  accuracy.sums = sums_of(output, exact.values, [&](std::size_t i) { return exact.rows[i]; });
  accuracy.rows = std::ssize(exact.rows);
  const bool is_sample = accuracy.rows < output.rows();
  if (is_sample && numerics::find_nonfinite(output.view()))
    accuracy.sums.largest = std::numeric_limits<double>::quiet_NaN();
  const Closeness found = closeness(accuracy.sums);
  accuracy.sqnr_db = found.sqnr_db;
  accuracy.cosine = found.cosine;
  accuracy.max_abs_error = found.max_abs_error;
  return accuracy;
}

}  // namespace oscsim
