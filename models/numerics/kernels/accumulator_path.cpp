// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/kernels/accumulator_path.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "models/numerics/accumulate.h"
#include "models/numerics/kernels/term_kernels.h"
#include "models/numerics/kernels/term_operand.h"

namespace oscsim::numerics::kernels {
namespace {

constexpr int kFloatBits = 24;
constexpr int kDoubleBits = 53;
constexpr std::int64_t kChunk = 128;  // elements along K: a panel of FP32 values and alignments fits L1

int log2_above(std::int64_t count) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1)) - 1));
}

struct Operands {
  Operands(const OperandPair& pair, const Fusion& fusion)
      : a(*pair.a, fusion.sub_block, fusion.zeros), b(*pair.b, fusion.sub_block, fusion.zeros) {}

  TermOperand a;
  TermOperand b;
};

std::vector<Operands> packed(const Accumulator& accumulator, std::span<const OperandPair> pairs) {
  std::vector<Operands> out;
  for (const OperandPair& pair : pairs) {
    const bool is_fused = accumulator.kind == AccumulatorKind::fused;
    out.emplace_back(pair, is_fused ? accumulator.fusion(pair.is_wide()) : Fusion{});
  }
  return out;
}

class AccumulatorPath : public MainPath {
 public:
  AccumulatorPath(const Accumulator& accumulator, std::vector<Operands> operands)
      : accumulator_(accumulator), operands_(std::move(operands)) {
    for (const Operands& pair : operands_) any_special_ |= pair.a.any_special() || pair.b.any_special();
  }

  void accumulate(const Strip& strip, float* acc) const override {
    run(strip, acc);
    if (!any_special_) return;
    for (std::int64_t p = 0; p < strip.panels; ++p)
      for (std::int64_t r = 0; r < strip.rows; ++r)
        for (std::int64_t c = 0; c < columns(strip, p); ++c)
          if (is_special(strip.row + r, (strip.panel + p) * kPanelCols + c)) scalar(strip, p, r, c, acc);
  }

 protected:
  virtual void run(const Strip& strip, float* acc) const = 0;

  const std::vector<Operands>& operands() const { return operands_; }
  std::int64_t columns(const Strip& strip, std::int64_t p) const {
    return std::min(kPanelCols, operands_.front().b.matrix().rows - (strip.panel + p) * kPanelCols);
  }
  // One output by the reference.
  void scalar(const Strip& strip, std::int64_t p, std::int64_t r, std::int64_t c, float* acc) const {
    std::vector<OperandPair> pairs;
    for (const Operands& pair : operands_) pairs.push_back({&pair.a.matrix(), &pair.b.matrix()});
    acc[(p * strip.rows + r) * kPanelCols + c] =
        reference::accumulated(accumulator_, pairs, strip.row + r, (strip.panel + p) * kPanelCols + c);
  }

 private:
  bool is_special(std::int64_t row, std::int64_t col) const {
    return std::ranges::any_of(operands_,
                               [&](const Operands& pair) { return pair.a.is_special(row) || pair.b.is_special(col); });
  }

  Accumulator accumulator_;
  std::vector<Operands> operands_;
  bool any_special_ = false;
};

class ScalarSums final : public AccumulatorPath {
 public:
  using AccumulatorPath::AccumulatorPath;

 private:
  void run(const Strip& strip, float* acc) const override {
    for (std::int64_t p = 0; p < strip.panels; ++p)
      for (std::int64_t r = 0; r < strip.rows; ++r)
        for (std::int64_t c = 0; c < columns(strip, p); ++c) scalar(strip, p, r, c, acc);
  }
};

// What a pair's fusion is computed in.
enum class Width : std::uint8_t { fp32, fp64, none };

struct FusedPlan {
  FusedStep step;
  Width width = Width::none;
};

FusedPlan plan_of(const Operands& pair, const Fusion& fusion) {
  constexpr int kInt32Bits = 31;
  constexpr int kMagicBits = 50;  // that truncation handles
  constexpr int kFp32Exponent = 120;
  const ValueRange& a = pair.a.range();
  const ValueRange& b = pair.b.range();
  const bool products = fusion.sub_block == 1;
  const int high = a.high + b.high;
  const int low = a.low + b.low;
  const int scale_headroom = pair.a.headroom() + pair.b.headroom();
  // A term, aligned, is below 2^bits.
  const int term_bits =
      fusion.fraction_bits +
      (products ? scale_headroom : std::max(0, high + log2_above(fusion.sub_block) + scale_headroom - 2));
  FusedPlan plan{{fusion, 0}, Width::none};
  if (term_bits > kMagicBits || term_bits + log2_above(fusion.terms + 1) >= kDoubleBits) return plan;
  if (!products && fusion.terms > kMaxBlockTerms) return plan;
  // Scaled to integers too; see float_scale.
  const bool fp32_range = std::min({a.low, b.low, low}) >= fusion.fraction_bits - kFp32Exponent &&
                          std::max({a.high, b.high, high + log2_above(fusion.sub_block)}) <= kFp32Exponent;
  const int sum_bits = products ? a.width + b.width : high - low + log2_above(fusion.sub_block);
  if (sum_bits > kDoubleBits) return plan;
  plan.width = Width::fp64;
  if (!fp32_range || sum_bits > kFloatBits || (products && term_bits >= kInt32Bits)) return plan;
  plan.width = Width::fp32;
  if (products) plan.step.run = 1 << std::min(kInt32Bits - term_bits, log2_above(fusion.terms));
  return plan;
}

class FusedPath final : public AccumulatorPath {
 public:
  FusedPath(const Accumulator& accumulator, std::vector<Operands> operands, std::vector<FusedPlan> plans,
            const TermKernels& kernels)
      : AccumulatorPath(accumulator, std::move(operands)), plans_(std::move(plans)), kernels_(&kernels) {}

 private:
  void run(const Strip& strip, float* acc) const override {
    std::fill_n(acc, strip.accumulators(), 0.0F);
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (plans_[i].width == Width::fp32)
        chain<float>(operands()[i], plans_[i].step, strip, acc);
      else
        chain<double>(operands()[i], plans_[i].step, strip, acc);
    }
  }

  template <class T>
  void chain(const Operands& pair, const FusedStep& step, const Strip& strip, float* acc) const;
  template <class T>
  auto kernel(bool products) const {
    if constexpr (std::is_same_v<T, float>)
      return products ? kernels_->products_float : kernels_->blocks_float;
    else
      return products ? kernels_->products_double : kernels_->blocks_double;
  }

  std::vector<FusedPlan> plans_;
  const TermKernels* kernels_;
};

// Scratch memory of a chunk of one row or panel (`lanes` 1 or 32), all parts of it 64-byte aligned.
template <class T>
struct ChunkMemory {
  ChunkMemory(std::byte* memory, std::int64_t count, int sub_block, std::int64_t lanes)
      : values(reinterpret_cast<T*>(memory)),
        alignments(reinterpret_cast<std::int16_t*>(memory + aligned(count * lanes * std::int64_t{sizeof(T)}))),
        scales(reinterpret_cast<double*>(reinterpret_cast<std::byte*>(alignments) + aligned(count * lanes * 2))),
        size(reinterpret_cast<std::byte*>(scales) - memory +
             aligned(sub_block == 1 ? 0 : count / sub_block * lanes * std::int64_t{sizeof(double)})) {}

  static std::int64_t aligned(std::int64_t bytes) { return round_up(bytes, 64); }
  TermChunk<T> chunk() const { return {values, alignments, scales}; }
  // `count` elements of a row, to lane `lane`.
  void unpack(const TermOperand& operand, std::int64_t row, std::int64_t k, std::int64_t count, int sub_block,
              std::int64_t lane, std::int64_t lanes) const {
    operand.unpack(row, k, count, values + lane, alignments + lane, lanes);
    if (sub_block != 1) operand.unpack_scales(row, k, count, scales + lane, alignments + lane, lanes);
  }

  T* values;
  std::int16_t* alignments;  // of elements, or of sub-blocks
  double* scales;
  std::int64_t size;
};

// A panel's columns; those beyond the matrix are zeros.
template <class T>
void unpack_panel(const ChunkMemory<T>& memory, const TermOperand& b, std::int64_t panel, std::int64_t k,
                  std::int64_t count, int sub_block) {
  for (std::int64_t c = 0; c < kPanelCols; ++c) {
    const std::int64_t row = panel * kPanelCols + c;
    if (row < b.matrix().rows)
      memory.unpack(b, row, k, count, sub_block, c, kPanelCols);
    else
      for (std::int64_t i = 0; i < count; ++i) {
        memory.values[i * kPanelCols + c] = 0;
        memory.alignments[i * kPanelCols + c] = kNoAlignment;
        if (sub_block != 1 && i < count / sub_block) memory.scales[i * kPanelCols + c] = 0;
      }
  }
}

template <class T>
void FusedPath::chain(const Operands& pair, const FusedStep& step, const Strip& strip, float* acc) const {
  const int sub_block = step.fusion.sub_block;
  const std::int64_t group = step.fusion.group();
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunk / group) * group;
  const std::int64_t row_bytes = ChunkMemory<T>(nullptr, chunk, sub_block, 1).size;
  const std::int64_t panel_bytes = ChunkMemory<T>(nullptr, chunk, sub_block, kPanelCols).size;
  std::byte* row_memory = scratch(Slot::rows, strip.rows * row_bytes);
  const ChunkMemory<T> panel(scratch(Slot::panel, panel_bytes), chunk, sub_block, kPanelCols);
  const auto run_groups = kernel<T>(sub_block == 1);
  const std::int64_t length = round_up(pair.a.matrix().k, group);
  for (std::int64_t k = 0; k < length; k += chunk) {
    const std::int64_t count = std::min(chunk, length - k);
    for (std::int64_t r = 0; r < strip.rows; ++r)
      ChunkMemory<T>(row_memory + r * row_bytes, chunk, sub_block, 1)
          .unpack(pair.a, strip.row + r, k, count, sub_block, 0, 1);
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      unpack_panel(panel, pair.b, strip.panel + p, k, count, sub_block);
      for (std::int64_t r = 0; r < strip.rows; ++r)
        run_groups(step, count / group, ChunkMemory<T>(row_memory + r * row_bytes, chunk, sub_block, 1).chunk(),
                   panel.chunk(), acc + (p * strip.rows + r) * kPanelCols);
    }
  }
}

// Exact sums in two FP64 parts.
class ExactPath final : public AccumulatorPath {
 public:
  ExactPath(const Accumulator& accumulator, std::vector<Operands> operands, const TermKernels& kernels)
      : AccumulatorPath(accumulator, std::move(operands)), kernels_(&kernels) {}

 private:
  void run(const Strip& strip, float* acc) const override;
  std::vector<double> splitters(const Strip& strip) const;
  void add(const Operands& pair, const Strip& strip, const std::vector<double>& splitter, double* sums) const;

  const TermKernels* kernels_;
};

// RNE_FP32(high + low), one rounding: see add_rounded_once in accumulate.h.
float rounded_sum(double high, double low) {
  const double sum = high + low;
  const double low_seen = sum - high;
  const double error = (high - (sum - low_seen)) + (low - low_seen);
  auto bits = std::bit_cast<std::uint64_t>(sum);
  if (error != 0 && (bits & 1) == 0) bits += (error > 0) == (sum > 0) ? std::uint64_t{1} : ~std::uint64_t{0};
  return static_cast<float>(std::bit_cast<double>(bits));
}

// For each panel and row what the kernel takes, or NaN where two parts do not hold the sum.
std::vector<double> ExactPath::splitters(const Strip& strip) const {
  std::vector<double> out;
  std::int64_t length = 0;
  for (const Operands& pair : operands()) length += pair.a.matrix().k;
  const int carry = std::max(2, log2_above(length));
  for (std::int64_t p = 0; p < strip.panels; ++p) {
    std::vector<ValueRange> columns_range(operands().size());
    for (std::size_t i = 0; i < operands().size(); ++i)
      for (std::int64_t c = 0; c < columns(strip, p); ++c)
        columns_range[i].include(operands()[i].b.range((strip.panel + p) * kPanelCols + c));
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      ValueRange products;
      for (std::size_t i = 0; i < operands().size(); ++i) {
        const ValueRange& a = operands()[i].a.range(strip.row + r);
        const ValueRange& b = columns_range[i];
        if (a.width != 0 && b.width != 0) products.include(ValueRange{a.low + b.low, a.high + b.high, 1});
      }
      const int split = products.low + kDoubleBits - carry;
      if (products.high + carry - products.low <= kDoubleBits)
        out.push_back(0);
      else if (products.high + carry - split <= kDoubleBits)
        out.push_back(std::ldexp(1.5, split + kDoubleBits - 1));
      else
        out.push_back(std::nan(""));
    }
  }
  return out;
}

void ExactPath::add(const Operands& pair, const Strip& strip, const std::vector<double>& splitter, double* sums) const {
  const std::int64_t row_bytes = ChunkMemory<double>(nullptr, kChunk, 1, 1).size;
  const std::int64_t panel_bytes = ChunkMemory<double>(nullptr, kChunk, 1, kPanelCols).size;
  std::byte* row_memory = scratch(Slot::rows, strip.rows * row_bytes);
  const ChunkMemory<double> panel(scratch(Slot::panel, panel_bytes), kChunk, 1, kPanelCols);
  const std::int64_t length = pair.a.matrix().k;
  for (std::int64_t k = 0; k < length; k += kChunk) {
    const std::int64_t count = std::min(kChunk, length - k);
    for (std::int64_t r = 0; r < strip.rows; ++r)
      ChunkMemory<double>(row_memory + r * row_bytes, kChunk, 1, 1).unpack(pair.a, strip.row + r, k, count, 1, 0, 1);
    for (std::int64_t p = 0; p < strip.panels; ++p) {
      unpack_panel(panel, pair.b, strip.panel + p, k, count, 1);
      for (std::int64_t r = 0; r < strip.rows; ++r) {
        const std::int64_t i = p * strip.rows + r;
        if (std::isnan(splitter[static_cast<std::size_t>(i)])) continue;
        const ChunkMemory<double> row(row_memory + r * row_bytes, kChunk, 1, 1);
        kernels_->exact(count, row.values, panel.values, splitter[static_cast<std::size_t>(i)],
                        sums + 2 * i * kPanelCols, sums + (2 * i + 1) * kPanelCols);
      }
    }
  }
}

void ExactPath::run(const Strip& strip, float* acc) const {
  thread_local AlignedBytes memory;
  const std::int64_t bytes = 2 * strip.accumulators() * std::int64_t{sizeof(double)};
  if (memory.size() < bytes) memory = AlignedBytes(bytes);
  auto* sums = reinterpret_cast<double*>(memory.data());
  std::fill_n(sums, 2 * strip.accumulators(), 0.0);
  const std::vector<double> splitter = splitters(strip);
  for (const Operands& pair : operands()) add(pair, strip, splitter, sums);
  for (std::int64_t p = 0; p < strip.panels; ++p)
    for (std::int64_t r = 0; r < strip.rows; ++r) {
      const std::int64_t i = p * strip.rows + r;
      for (std::int64_t c = 0; c < columns(strip, p); ++c) {
        if (std::isnan(splitter[static_cast<std::size_t>(i)]))
          scalar(strip, p, r, c, acc);
        else
          acc[i * kPanelCols + c] = rounded_sum(sums[2 * i * kPanelCols + c], sums[(2 * i + 1) * kPanelCols + c]);
      }
    }
}

}  // namespace

std::unique_ptr<const MainPath> make_accumulator_path(const Accumulator& accumulator,
                                                      std::span<const OperandPair> pairs, Kernel kernel) {
  const TermKernels& kernels = term_kernels(resolve(kernel));
  std::vector<Operands> operands = packed(accumulator, pairs);
  if (accumulator.kind == AccumulatorKind::exact)
    return std::make_unique<ExactPath>(accumulator, std::move(operands), kernels);
  std::vector<FusedPlan> plans;
  for (std::size_t i = 0; i < operands.size(); ++i)
    plans.push_back(plan_of(operands[i], accumulator.fusion(pairs[i].is_wide())));
  if (std::ranges::any_of(plans, [](const FusedPlan& plan) { return plan.width == Width::none; }))
    return std::make_unique<ScalarSums>(accumulator, std::move(operands));
  return std::make_unique<FusedPath>(accumulator, std::move(operands), std::move(plans), kernels);
}

}  // namespace oscsim::numerics::kernels
