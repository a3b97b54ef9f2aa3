// SPDX-License-Identifier: Apache-2.0
// A packed pair of operands and the kernel that multiplies them, over strips of the output.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "models/numerics/element.h"
#include "models/numerics/gemm.h"
#include "models/numerics/kernels/kernel.h"
#include "models/numerics/kernels/pack.h"

namespace oscsim::numerics::kernels {

// Kernel::automatic becomes the best one; InputError when the CPU lacks the kernel.
Kernel resolve(Kernel kernel);

// Rows and whole panels of the output: what one pass over K computes. Its accumulators are [panel][row][32].
struct Strip {
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t panel = 0;
  std::int64_t panels = 0;

  std::int64_t accumulators() const { return rows * panels * kPanelCols; }
};

// Calls `body(strip)` for strips that cover the region, small enough that accumulators and unpacked rows stay in L2.
template <class Body>
void for_each_strip(const OutputRegion& region, const Body& body) {
  constexpr std::int64_t kRows = 256;
  constexpr std::int64_t kPanels = 8;
  const std::int64_t first = region.col / kPanelCols;
  const std::int64_t last = tiles_of(region.col + region.cols, kPanelCols);
  const std::int64_t step = tiles_of(region.rows, std::max<std::int64_t>(1, tiles_of(region.rows, kRows)));
  for (std::int64_t row = 0; row < region.rows; row += step)
    for (std::int64_t panel = first; panel < last; panel += kPanels)
      body(Strip{region.row + row, std::min(step, region.rows - row), panel, std::min(kPanels, last - panel)});
}

// Whether these operands have a kernel here.
bool has_kernel(const QuantisedMatrix& a, const QuantisedMatrix& b);

// This thread's scratch memory, at least `bytes`; slots do not overlap.
enum class Slot : std::uint8_t { main_acc, branch_acc, rows, panel };
std::byte* scratch(Slot slot, std::int64_t bytes);

// Continues the strip's accumulators over all of K, chunk by chunk.
template <class Operand>
void accumulate_tiles(const TileKernelOf<Operand>& kernel, const Operand& a, const Operand& b, std::int64_t k,
                      const Strip& strip, float* acc) {
  std::byte* rows = scratch(Slot::rows, strip.rows * kernel.row_bytes);
  std::byte* panel = scratch(Slot::panel, kernel.panel_bytes);
  for (std::int64_t at = 0; at < k; at += kernel.chunk) {
    const std::int64_t count = std::min(kernel.chunk, k - at);
    kernel.unpack_rows(a, strip.row, strip.rows, at, count, rows);
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      kernel.unpack_panel(b, strip.panel + p, at, count, panel);
      kernel.multiply(strip.rows, count, rows, panel, acc + p * strip.rows * kPanelCols);
    }
  }
}

// NaN to every output of the strip whose row or column is NaN. The operands are packed matrices.
template <class Packed>
void spread_nan(const Strip& strip, const Packed& a, const Packed& b, float* acc) {
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    const std::int64_t first = (strip.panel + p) * kPanelCols;
    const std::int64_t count = std::min(kPanelCols, b.rows() - first);
    bool any_column = false;
    for (std::int64_t c = 0; c < count; ++c) any_column |= b.row_is_nan(first + c);
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      const bool row_nan = a.row_is_nan(strip.row + r);
      if (!row_nan && !any_column) continue;
      float* values = acc + (p * strip.rows + r) * kPanelCols;
      for (std::int64_t c = 0; c < count; ++c)
        if (row_nan || b.row_is_nan(first + c)) values[c] = kCanonicalNan;
    }
  }
}

class Product {
 public:
  Product(const PlainOperand& a, const PlainOperand& b, Kernel kernel);

  const PackedMatrix& a() const { return a_; }
  const PackedMatrix& b() const { return b_; }
  // acc = the strip's accumulators continued over all of K.
  void accumulate(const Strip& strip, float* acc) const;

 private:
  PackedMatrix a_;
  PackedMatrix b_;
  const TileKernel* kernel_;
};

// Calls `compute(region)` for regions that cover [rows, cols], in parallel.
void parallel_regions(std::int64_t rows, std::int64_t cols, const std::function<void(OutputRegion)>& compute);

// DefectError unless the region lies in the view and both in [rows, cols].
void check_region(const OutputRegion& region, const OutputView& out, std::int64_t rows, std::int64_t cols);

}  // namespace oscsim::numerics::kernels
