// SPDX-License-Identifier: Apache-2.0
// The FP32 product of unquantised operands: FMA chains in ascending k, by the kernels of 16-bit formats.
#include <algorithm>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "models/numerics/kernels/product.h"

namespace oscsim::numerics {

using kernels::kPanelCols;
using kernels::Slot;
using kernels::Strip;

struct Fp32Product::Impl {
  Impl(MatrixView x, MatrixView w, Kernel kernel) : product(kernels::plain(x), kernels::plain(w), kernel) {}

  void compute(const Strip& strip, const OutputRegion& region, const OutputView& out) const {
    const std::int64_t bytes = strip.accumulators() * static_cast<std::int64_t>(sizeof(float));
    auto* acc = reinterpret_cast<float*>(kernels::scratch(Slot::main_acc, bytes));
    std::fill_n(acc, strip.accumulators(), 0.0F);
    product.accumulate(strip, acc);
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      const std::int64_t panel_col = (strip.panel + p) * kPanelCols;
      const std::int64_t first = std::max(region.col, panel_col);
      const std::int64_t last = std::min(region.col + region.cols, panel_col + kPanelCols);
      for (std::int64_t r = 0; r < strip.rows; ++r) {
        const float* values = acc + (p * strip.rows + r) * kPanelCols;
        float* row = out.data + (strip.row + r) * out.cols;
        for (std::int64_t col = first; col < last; ++col) row[col] = canonical(values[col - panel_col]);
      }
    }
  }

  kernels::Product product;
};

Fp32Product::Fp32Product(MatrixView x, MatrixView w, Kernel kernel) {
  if (x.cols() != w.cols())
    input_error("operands do not make a product: X [{}, {}] and W [{}, {}] differ in k", x.rows(), x.cols(), w.rows(),
                w.cols());
  impl_ = std::make_unique<Impl>(x, w, kernel);
}
Fp32Product::~Fp32Product() = default;

void Fp32Product::compute(OutputRegion region, OutputView out) const {
  kernels::check_region(region, out, impl_->product.a().rows(), impl_->product.b().rows());
  kernels::for_each_strip(region, [&](const Strip& strip) { impl_->compute(strip, region, out); });
}

void compute_all(const Fp32Product& product, OutputView out) {
  kernels::parallel_regions(out.rows, out.cols, [&](OutputRegion region) { product.compute(region, out); });
}

}  // namespace oscsim::numerics
