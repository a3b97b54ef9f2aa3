// SPDX-License-Identifier: Apache-2.0
// The fast GEMM engine: strips of the output through the kernels, then the epilogue and the branch.
#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "models/numerics/gemm.h"
#include "models/numerics/kernels/accumulator_path.h"
#include "models/numerics/kernels/main_path.h"

namespace oscsim::numerics {

using kernels::kPanelCols;
using kernels::Product;
using kernels::Slot;
using kernels::Strip;

namespace {

std::vector<float> outer_scales(const QuantisedMatrix& matrix) {
  std::vector<float> scales;
  if (!matrix.outer_scale.empty())
    for (std::int64_t row = 0; row < matrix.rows; ++row) scales.push_back(matrix.outer_scale_of(row));
  return scales;
}

// The main path by the operands' accumulator; a branch that continues in it too, except under fp32_rne.
std::unique_ptr<const kernels::MainPath> main_path(const GemmOperands& operands, Kernel kernel) {
  const bool integers = summed_block(format(operands.a->format), format(operands.b->format)) == 0;
  if (operands.accumulator.kind == AccumulatorKind::fp32_rne || integers)
    return kernels::make_main_path(*operands.a, *operands.b, kernel);
  std::vector<OperandPair> pairs{{operands.a, operands.b}};
  if (operands.branch_a != nullptr && operands.join == Join::chain)
    pairs.push_back({operands.branch_a, operands.branch_b});
  return kernels::make_accumulator_path(operands.accumulator, pairs, kernel);
}

}  // namespace

struct GemmEngine::Impl {
  Impl(const GemmOperands& operands, Kernel kernel);

  void epilogue(const Strip& strip, float* acc) const;
  void store(const Strip& strip, const float* acc, const float* branch_acc, const OutputRegion& region,
             const OutputView& out) const;
  void compute(const Strip& strip, const OutputRegion& region, const OutputView& out) const;

  std::int64_t rows;
  std::int64_t cols;
  std::unique_ptr<const kernels::MainPath> main;
  std::optional<Product> branch;                           // under fp32_rne
  std::unique_ptr<const kernels::MainPath> summed_branch;  // otherwise, unless it is chained
  Join join;
  std::vector<float> scales_a;  // of rows; empty without outer scales
  std::vector<float> scales_b;
  float nan;
};

GemmEngine::Impl::Impl(const GemmOperands& operands, Kernel kernel)
    : rows(operands.a->rows),
      cols(operands.b->rows),
      main(main_path(operands, kernel)),
      join(operands.join),
      scales_a(outer_scales(*operands.a)),
      scales_b(outer_scales(*operands.b)),
      nan(std::bit_cast<float>(operands.accumulator.nan_bits)) {
  if (operands.branch_a == nullptr) return;
  const OperandPair pair{operands.branch_a, operands.branch_b};
  if (operands.accumulator.kind != AccumulatorKind::fp32_rne) {
    if (join == Join::add)
      summed_branch = kernels::make_accumulator_path(operands.accumulator, std::span(&pair, 1), kernel);
  } else {
    branch.emplace(kernels::plain(*operands.branch_a), kernels::plain(*operands.branch_b), kernel);
  }
}

void GemmEngine::Impl::epilogue(const Strip& strip, float* acc) const {
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    const std::int64_t first = (strip.panel + p) * kPanelCols;
    const std::int64_t count = std::min(kPanelCols, cols - first);
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      float* values = acc + (p * strip.rows + r) * kPanelCols;
      if (!scales_a.empty())
        for (std::int64_t c = 0; c < count; ++c) values[c] *= scales_a[static_cast<std::size_t>(strip.row + r)];
      if (!scales_b.empty())
        for (std::int64_t c = 0; c < count; ++c) values[c] *= scales_b[static_cast<std::size_t>(first + c)];
    }
  }
}

void GemmEngine::Impl::store(const Strip& strip, const float* acc, const float* branch_acc, const OutputRegion& region,
                             const OutputView& out) const {
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    const std::int64_t panel_col = (strip.panel + p) * kPanelCols;
    const std::int64_t first = std::max(region.col, panel_col);
    const std::int64_t last = std::min(region.col + region.cols, panel_col + kPanelCols);
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      const std::int64_t offset = (p * strip.rows + r) * kPanelCols - panel_col;
      float* row = out.data + (strip.row + r) * out.cols;
      for (std::int64_t col = first; col < last; ++col) {
        const float value = branch_acc == nullptr ? acc[offset + col] : acc[offset + col] + branch_acc[offset + col];
        row[col] = std::isnan(value) ? nan : value;
      }
    }
  }
}

void GemmEngine::Impl::compute(const Strip& strip, const OutputRegion& region, const OutputView& out) const {
  const std::int64_t bytes = strip.accumulators() * static_cast<std::int64_t>(sizeof(float));
  auto* acc = reinterpret_cast<float*>(kernels::scratch(Slot::main_acc, bytes));
  main->accumulate(strip, acc);
  epilogue(strip, acc);
  float* branch_acc = nullptr;
  if (summed_branch) {
    branch_acc = reinterpret_cast<float*>(kernels::scratch(Slot::branch_acc, bytes));
    summed_branch->accumulate(strip, branch_acc);
  } else if (branch && join == Join::chain) {
    branch->accumulate(strip, acc);
  } else if (branch) {
    branch_acc = reinterpret_cast<float*>(kernels::scratch(Slot::branch_acc, bytes));
    std::fill_n(branch_acc, strip.accumulators(), 0.0F);
    branch->accumulate(strip, branch_acc);
  }
  store(strip, acc, branch_acc, region, out);
}

GemmEngine::GemmEngine(const GemmOperands& operands, Kernel kernel) {
  check_operands(operands);
  impl_ = std::make_unique<Impl>(operands, kernel);
}
GemmEngine::~GemmEngine() = default;
GemmEngine::GemmEngine(GemmEngine&&) noexcept = default;
GemmEngine& GemmEngine::operator=(GemmEngine&&) noexcept = default;

std::int64_t GemmEngine::rows() const {
  return impl_->rows;
}
std::int64_t GemmEngine::cols() const {
  return impl_->cols;
}

void GemmEngine::compute(OutputRegion region, OutputView out) const {
  kernels::check_region(region, out, rows(), cols());
  kernels::for_each_strip(region, [&](const Strip& strip) { impl_->compute(strip, region, out); });
}

void compute_all(const GemmEngine& engine, OutputView out) {
  kernels::parallel_regions(engine.rows(), engine.cols(), [&](OutputRegion region) { engine.compute(region, out); });
}

}  // namespace oscsim::numerics
