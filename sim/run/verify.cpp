// SPDX-License-Identifier: Apache-2.0
#include "sim/run/verify.h"

#include <tbb/blocked_range2d.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <numeric>

#include "sim/run/row_sample.h"

namespace oscsim {
namespace {

using numerics::QuantisedMatrix;

void note(Verification& verification, std::string text) {
  if (verification.differing++ == 0) verification.first_difference = std::move(text);
}

void compare(const QuantisedMatrix& fast, const QuantisedMatrix& reference, const std::string& which,
             Verification& verification) {
  for (std::size_t i = 0; i < reference.codes.size(); ++i)
    if (i >= fast.codes.size() || fast.codes[i] != reference.codes[i])
      note(verification, fmt::format("{}: byte {} of the codes is {}, the reference has {}", which, i,
                                     i < fast.codes.size() ? fast.codes[i] : -1, reference.codes[i]));
  if (fast.block_scale != reference.block_scale) note(verification, which + ": block scales differ");
  const bool same_rows = std::ranges::equal(fast.outer_scale, reference.outer_scale, [](float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
  });
  if (!same_rows) note(verification, which + ": outer scales differ");
}

std::int64_t macs_per_row(const numerics::GemmOperands& operands) {
  return operands.b->rows * (operands.a->k + (operands.branch_a != nullptr ? operands.branch_a->k : 0));
}

}  // namespace

QuantisedMatrix reference_cast(numerics::FormatId format, numerics::MatrixView matrix,
                               const numerics::CastOptions& options) {
  constexpr std::int64_t kRows = 64;
  numerics::CastOptions part_options = options;
  if (numerics::format(format).outer_scale == numerics::OuterScale::tensor && !options.tensor_amax)
    part_options.tensor_amax = numerics::amax(matrix);
  std::vector<QuantisedMatrix> parts(static_cast<std::size_t>(tiles_of(matrix.rows(), kRows)));
  tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t i) {
    const std::int64_t row = static_cast<std::int64_t>(i) * kRows;
    const numerics::MatrixView rows(matrix.row_data(row), matrix.dtype(), std::min(kRows, matrix.rows() - row),
                                    matrix.cols());
    parts[i] = numerics::reference::quantise(format, rows, part_options);
  });
  QuantisedMatrix whole = std::move(parts.front());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(whole.codes, parts[i].codes);
    append(whole.block_scale, parts[i].block_scale);
    if (numerics::format(format).outer_scale == numerics::OuterScale::row)
      append(whole.outer_scale, parts[i].outer_scale);
  }
  whole.rows = matrix.rows();
  return whole;
}

void verify_operand(const PreparedOperand& fast, const PreparedOperand& reference, const char* which,
                    Verification& verification) {
  compare(fast.main, reference.main, which, verification);
  ensure(fast.branch.has_value() == reference.branch.has_value(), "{}: one cast has a branch operand", which);
  if (fast.branch) compare(*fast.branch, *reference.branch, std::string(which) + " of the branch", verification);
}

void verify_outputs(const numerics::GemmOperands& operands, const numerics::Matrix& output, std::uint64_t seed,
                    const std::string& name, Verification& verification) {
  const std::vector<std::int64_t> rows = compared_rows(seed, name, output.rows(), macs_per_row(operands));
  const std::int64_t count = std::ssize(rows);
  verification.rows = count;
  verification.outputs = output.rows() * output.cols();
  verification.compared = count * output.cols();
  std::mutex mutex;
  tbb::parallel_for(tbb::blocked_range2d<std::int64_t>(0, count, 1, 0, output.cols(), 64), [&](const auto& range) {
    for (std::int64_t i = range.rows().begin(); i < range.rows().end(); ++i)
      for (std::int64_t col = range.cols().begin(); col < range.cols().end(); ++col) {
        const std::int64_t row = rows[static_cast<std::size_t>(i)];
        const float want = numerics::reference::output(operands, row, col);
        const float have = output.row_f32(row)[static_cast<std::size_t>(col)];
        if (std::bit_cast<std::uint32_t>(want) == std::bit_cast<std::uint32_t>(have)) continue;
        const std::scoped_lock lock(mutex);
        note(verification,
             fmt::format("output [{}, {}] is {} ({:#010x}), the reference has {} ({:#010x})", row, col, have,
                         std::bit_cast<std::uint32_t>(have), want, std::bit_cast<std::uint32_t>(want)));
      }
  });
}

}  // namespace oscsim
