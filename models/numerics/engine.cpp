// SPDX-License-Identifier: Apache-2.0
// The fast GEMM engine: strips of the output through the kernels, then the epilogue and the branch.
#include <algorithm>
#include <bit>
#include <optional>
#include <vector>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "models/numerics/kernels/product.h"

namespace oscsim::numerics {

using kernels::kPanelCols;
using kernels::Product;
using kernels::Slot;
using kernels::Strip;

struct GemmEngine::Impl {
  Impl(const GemmOperands& operands, Kernel kernel);

  void main_accumulators(const Strip& strip, float* acc) const;
  void epilogue(const Strip& strip, float* acc) const;
  void store(const Strip& strip, const float* acc, const float* branch_acc, const OutputRegion& region,
             const OutputView& out) const;
  void compute(const Strip& strip, const OutputRegion& region, const OutputView& out) const;

  Product main;
  std::optional<Product> branch;
  Join join;
  bool integer;                    // main accumulators are INT32
  std::vector<float> row_scale_a;  // empty without row scales
  std::vector<float> row_scale_b;
  std::vector<QuantisedMatrix> plain;  // A and B for the scalar reference, where the kernel is not exact
};

GemmEngine::Impl::Impl(const GemmOperands& operands, Kernel kernel)
    : main(kernels::plain(*operands.a), kernels::plain(*operands.b), kernel),
      join(operands.join),
      integer(operands.a->format == FormatId::int8),
      row_scale_a(operands.a->row_scale),
      row_scale_b(operands.b->row_scale) {
  if (operands.branch_a != nullptr)
    branch.emplace(kernels::plain(*operands.branch_a), kernels::plain(*operands.branch_b), kernel);
  if (!main.exact()) plain = {*operands.a, *operands.b};
}

void GemmEngine::Impl::main_accumulators(const Strip& strip, float* acc) const {
  std::fill_n(acc, strip.accumulators(), 0.0F);
  if (plain.empty()) {
    main.accumulate(strip, acc);
    return;
  }
  const GemmOperands operands{.a = &plain[0], .b = &plain[1]};
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    const std::int64_t first = (strip.panel + p) * kPanelCols;
    const std::int64_t cols = std::min(kPanelCols, main.b().rows() - first);
    for (std::int64_t r = 0; r < strip.rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c)
        acc[(p * strip.rows + r) * kPanelCols + c] = reference::output(operands, strip.row + r, first + c);
  }
}

// Row scales, and NaN where a scale or an element of the row of A or B is NaN.
void GemmEngine::Impl::epilogue(const Strip& strip, float* acc) const {
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    const std::int64_t first = (strip.panel + p) * kPanelCols;
    const std::int64_t cols = std::min(kPanelCols, main.b().rows() - first);
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      float* values = acc + (p * strip.rows + r) * kPanelCols;
      if (integer)
        for (std::int64_t c = 0; c < cols; ++c) values[c] = static_cast<float>(std::bit_cast<std::int32_t>(values[c]));
      if (!row_scale_a.empty()) {
        const float scale_a = row_scale_a[static_cast<std::size_t>(strip.row + r)];
        const float* scale_b = row_scale_b.data() + first;
        for (std::int64_t c = 0; c < cols; ++c) values[c] = values[c] * scale_a * scale_b[c];
      }
      const bool row_nan = main.a().row_is_nan(strip.row + r);
      for (std::int64_t c = 0; c < cols; ++c)
        if (row_nan || main.b().row_is_nan(first + c)) values[c] = kCanonicalNan;
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
        row[col] = canonical(value);
      }
    }
  }
}

void GemmEngine::Impl::compute(const Strip& strip, const OutputRegion& region, const OutputView& out) const {
  const std::int64_t bytes = strip.accumulators() * static_cast<std::int64_t>(sizeof(float));
  auto* acc = reinterpret_cast<float*>(kernels::scratch(Slot::main_acc, bytes));
  main_accumulators(strip, acc);
  epilogue(strip, acc);
  float* branch_acc = nullptr;
  if (branch && join == Join::chain) {
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
  return impl_->main.a().rows();
}
std::int64_t GemmEngine::cols() const {
  return impl_->main.b().rows();
}

void GemmEngine::compute(OutputRegion region, OutputView out) const {
  kernels::check_region(region, out, rows(), cols());
  kernels::for_each_strip(region, [&](const Strip& strip) { impl_->compute(strip, region, out); });
}

void compute_all(const GemmEngine& engine, OutputView out) {
  kernels::parallel_regions(engine.rows(), engine.cols(), [&](OutputRegion region) { engine.compute(region, out); });
}

}  // namespace oscsim::numerics
