// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/main_path.h"

#include <algorithm>

#include "models/numerics/kernels/integer_path.h"
#include "models/numerics/kernels/wide_path.h"

namespace oscsim::numerics::kernels {
namespace {

// One format on both sides, through the tile kernels of kernel.h.
class PackedPath final : public MainPath {
 public:
  explicit PackedPath(Product product) : product_(std::move(product)) {}

  void accumulate(const Strip& strip, float* acc) const override {
    std::fill_n(acc, strip.accumulators(), 0.0F);
    product_.accumulate(strip, acc);
    spread_nan(strip, product_.a(), product_.b(), acc);
  }

 private:
  Product product_;
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
  if (has_kernel(a, b)) return std::make_unique<PackedPath>(Product(plain(a), plain(b), kernel));
  if (auto path = make_integer_path(a, b, kernel)) return path;
  if (auto path = make_wide_path(a, b, kernel)) return path;
  resolve(kernel);
  return std::make_unique<ScalarPath>(a, b);
}

}  // namespace oscsim::numerics::kernels
