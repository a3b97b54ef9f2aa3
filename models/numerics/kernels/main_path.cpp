// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/main_path.h"

#include <algorithm>
#include <bit>

#include "models/numerics/element.h"

namespace oscsim::numerics::kernels {
namespace {

// One format on both sides, through the tile kernels of kernel.h.
class PackedPath final : public MainPath {
 public:
  PackedPath(Product product, bool integer) : product_(std::move(product)), integer_(integer) {}

  void accumulate(const Strip& strip, float* acc) const override {
    std::fill_n(acc, strip.accumulators(), 0.0F);
    product_.accumulate(strip, acc);
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      const std::int64_t first = (strip.panel + p) * kPanelCols;
      const std::int64_t count = std::min(kPanelCols, product_.b().rows() - first);
      for (std::int64_t r = 0; r < strip.rows; ++r) {
        float* values = acc + (p * strip.rows + r) * kPanelCols;
        if (integer_)
          for (std::int64_t c = 0; c < count; ++c)
            values[c] = static_cast<float>(std::bit_cast<std::int32_t>(values[c]));
        const bool row_nan = product_.a().row_is_nan(strip.row + r);
        for (std::int64_t c = 0; c < count; ++c)
          if (row_nan || product_.b().row_is_nan(first + c)) values[c] = kCanonicalNan;
      }
    }
  }

 private:
  Product product_;
  bool integer_;  // accumulators are INT32
};

// The scalar reference, for what no kernel computes exactly.
class ScalarPath final : public MainPath {
 public:
  ScalarPath(const QuantisedMatrix& a, const QuantisedMatrix& b) : a_(a), b_(b) {
    a_.outer_scale.clear();  // they belong to the epilogue
    b_.outer_scale.clear();
  }

  void accumulate(const Strip& strip, float* acc) const override {
    const GemmOperands operands{.a = &a_, .b = &b_};
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      const std::int64_t first = (strip.panel + p) * kPanelCols;
      const std::int64_t count = std::min(kPanelCols, b_.rows - first);
      for (std::int64_t r = 0; r < strip.rows; ++r)
        for (std::int64_t c = 0; c < count; ++c)
          acc[(p * strip.rows + r) * kPanelCols + c] = reference::output(operands, strip.row + r, first + c);
    }
  }

 private:
  QuantisedMatrix a_;
  QuantisedMatrix b_;
};

}  // namespace

std::unique_ptr<const MainPath> make_main_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel) {
  if (has_kernel(a, b)) {
    Product product(plain(a), plain(b), kernel);
    if (product.exact()) return std::make_unique<PackedPath>(std::move(product), a.format == FormatId::int8);
  }
  resolve(kernel);
  return std::make_unique<ScalarPath>(a, b);
}

}  // namespace oscsim::numerics::kernels
