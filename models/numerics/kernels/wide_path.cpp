// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/wide_path.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "models/numerics/element.h"
#include "models/numerics/exact_value.h"
#include "models/numerics/kernels/wide.h"
#include "models/numerics/kernels/wide_pack.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kFloatBits = 24;

bool has_16_bits(const QuantisedMatrix& matrix) {
  return format(matrix.format).element_bits == 16;
}

// FP32 and FP64 hold the products of all factors, and a sum times factors has so many bits more than the sum.
WideSteps steps_of(const WideMatrix& a, const WideMatrix& b, std::int64_t step) {
  constexpr int kLeastExponent = -149;
  constexpr int kLargestExponent = 128;
  const bool narrow =
      a.factor_low() + b.factor_low() >= kLeastExponent && a.factor_high() + b.factor_high() <= kLargestExponent;
  return {.count = 0,
          .step = step,
          .float_limit = narrow ? kFloatSum : -1,
          .double_limit = kDoubleSum - 2 * (a.factor_bits() + b.factor_bits())};
}

void unpack_row_metadata(const WideOperand& a, std::int64_t first, std::int64_t rows, std::int64_t k,
                         const WideSteps& steps, WideRows* out) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t s = 0; s * steps.step < steps.count; ++s) {
      const std::int64_t at = (first + row) * a.blocks + (k + s * steps.step) / a.block;
      out[row].factor[s] = a.factors == nullptr ? 1.0F : bf16_to_float(a.factors[at]);
      out[row].span[s] = a.spans[at];
    }
  }
}

void unpack_panel_metadata(const WideOperand& b, std::int64_t panel, std::int64_t k, const WideSteps& steps,
                           WidePanel& out) {
  for (std::int64_t s = 0; s * steps.step < steps.count; ++s) {
    const std::int64_t at = (panel * b.blocks + (k + s * steps.step) / b.block) * kPanelCols;
    std::int32_t widest = 0;
    for (std::int64_t col = 0; col < kPanelCols; ++col) {
      out.factor[s][col] = b.factors == nullptr ? 1.0F : bf16_to_float(b.factors[at + col]);
      out.span[s][col] = b.spans[at + col];
      widest = std::max<std::int32_t>(widest, b.spans[at + col]);
    }
    out.widest[s] = widest;
  }
}

class WidePath final : public MainPath {
 public:
  WidePath(WideMatrix a, WideMatrix b, const WideKernel& kernel, std::int64_t step)
      : a_(std::move(a)),
        b_(std::move(b)),
        kernel_(kernel),
        chain_(a_.value_bits() + b_.value_bits() > kFloatBits ? kernel.long_chain : kernel.chain),
        steps_(steps_of(a_, b_, step)) {}

  void accumulate(const Strip& strip, float* acc) const override {
    std::fill_n(acc, strip.accumulators(), 0.0F);
    auto* rows =
        reinterpret_cast<WideRows*>(scratch(Slot::rows, strip.rows * static_cast<std::int64_t>(sizeof(WideRows))));
    auto& panel = *reinterpret_cast<WidePanel*>(scratch(Slot::panel, sizeof(WidePanel)));
    const bool chain = steps_.step == 1;
    const WideOperand a = a_.operand();
    const WideOperand b = b_.operand();
    WideSteps steps = steps_;
    for (std::int64_t k = 0; k < a_.k(); k += kWideChunk) {
      steps.count = std::min(kWideChunk, round_up(a_.k() - k, steps.step));
      kernel_.unpack_rows(a, strip.row, strip.rows, k, steps.count, rows);
      if (!chain) unpack_row_metadata(a, strip.row, strip.rows, k, steps, rows);
      for (std::int64_t p = 0; p < strip.panels; ++p) {
        float* values = acc + p * strip.rows * kPanelCols;
        kernel_.unpack_panel(b, strip.panel + p, k, steps.count, panel);
        if (chain) {
          chain_(strip.rows, steps.count, rows, panel, values);
        } else {
          unpack_panel_metadata(b, strip.panel + p, k, steps, panel);
          kernel_.multiply(steps, strip.rows, rows, panel, values);
        }
      }
    }
    spread_nan(strip, a_, b_, acc);
  }

 private:
  WideMatrix a_;
  WideMatrix b_;
  const WideKernel& kernel_;
  decltype(WideKernel::chain) chain_;
  WideSteps steps_;  // step 1: a chain
};

// An element in units of 2^-17, half of the smallest E5M2: below 2^36.
std::int64_t units(float value) {
  return static_cast<std::int64_t>(std::ldexp(value, 17));
}

}  // namespace

void add_exact_steps(const WideSteps& steps, std::int64_t s, const WideRows& a, const WidePanel& b, const float* acc,
                     float* out) {
  constexpr int kUnit = -2 * 17;
  for (std::int64_t col = 0; col < kPanelCols; ++col) {
    if (a.span[s] + b.span[s][col] <= steps.double_limit) continue;
    Int128 sum = 0;
    for (std::int64_t i = s * steps.step; i < (s + 1) * steps.step; ++i)
      sum += static_cast<Int128>(units(a.values[i])) * units(b.values[i][col]);
    const ExactValue factor = exact(static_cast<double>(a.factor[s]) * static_cast<double>(b.factor[s][col]));
    out[col] = add_rounded_once(acc[col], {sum * factor.significand, factor.exponent + kUnit});
  }
}

std::unique_ptr<const MainPath> make_wide_path(const QuantisedMatrix& a, const QuantisedMatrix& b, Kernel kernel) {
  const std::int64_t step = summed_block(format(a.format), format(b.format));
  if (step == 0) return nullptr;
  const Kernel resolved = resolve(kernel);
  const WideKernel& functions = resolved == Kernel::avx512_vnni ? avx512::kWide
                                : resolved == Kernel::avx2      ? avx2::kWide
                                                                : portable::kWide;
  const bool chain = has_16_bits(a) || has_16_bits(b);
  const std::int64_t block = chain ? kWideChunk : step;
  WideMatrix packed_a(a, Side::rows, block, chain);
  WideMatrix packed_b(b, Side::panels, block, chain);
  if (chain && !(packed_a.is_fp32() && packed_b.is_fp32())) return nullptr;
  return std::make_unique<WidePath>(std::move(packed_a), std::move(packed_b), functions, chain ? 1 : step);
}

}  // namespace oscsim::numerics::kernels
