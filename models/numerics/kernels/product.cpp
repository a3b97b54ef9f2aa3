// SPDX-License-Identifier: Apache-2.0
// Choice of the kernel, and the loops over K and panels around it.
#include "models/numerics/kernels/product.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <array>
#include <string>
#include <vector>

namespace oscsim::numerics {
namespace {

std::vector<Kernel> detect_kernels() {
  std::vector<Kernel> kernels;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    kernels.push_back(Kernel::avx512_vnni);
  // F16C is older than AVX2: every CPU with AVX2 has it (and Clang 14 cannot ask for it).
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.push_back(Kernel::avx2);
  kernels.push_back(Kernel::portable);
  return kernels;
}

}  // namespace

std::span<const Kernel> available_kernels() {
  static const std::vector<Kernel> kKernels = detect_kernels();
  return kKernels;
}

}  // namespace oscsim::numerics

namespace oscsim::numerics::kernels {
namespace {

// Products of FP8 without block scales are multiples of 2^-18 below 2^18: so many sum to at most 2^35, 53 bits.
constexpr std::int64_t kMaxUnscaledFp8 = std::int64_t{1} << 17;

const TileKernel& e4m3_kernel(Kernel kernel, bool block_scales, std::int64_t k) {
  if (kernel == Kernel::portable) return portable::kE4m3;
  if (kernel == Kernel::avx2) return avx2::kE4m3;
  return block_scales || k > kMaxUnscaledFp8 ? avx512::kMxfp8 : avx512::kFp8;
}

const TileKernel& pick(Kernel kernel, const PlainOperand& a, const PlainOperand& b) {
  const bool avx512 = kernel == Kernel::avx512_vnni;
  const bool avx2 = kernel == Kernel::avx2;
  switch (a.element) {
    case Element::e2m1:
      return avx512 ? avx512::kMxfp4 : avx2 ? avx2::kMxfp4 : portable::kMxfp4;
    case Element::e4m3:
      return e4m3_kernel(kernel, a.block_scale != nullptr, a.k);
    case Element::int8:
      return avx512 ? avx512::kInt8 : avx2 ? avx2::kInt8 : portable::kInt8;
    case Element::bf16:
    case Element::fp16:
    case Element::fp32:
      break;
  }
  if (avx512) return avx512::kChain;
  if (avx2) return avx2::kChain;
  const bool wide = a.element == Element::fp32 || b.element == Element::fp32;
  return wide ? portable::kWideChain : portable::kChain;
}

}  // namespace

Kernel resolve(Kernel kernel) {
  const std::span<const Kernel> available = available_kernels();
  if (kernel == Kernel::automatic) return available.front();
  if (std::find(available.begin(), available.end(), kernel) != available.end()) return kernel;
  std::vector<std::string> names;
  for (const Kernel each : available) names.emplace_back(name_of(each));
  input_error("this CPU cannot run the kernel '{}'; allowed: auto, {}", name_of(kernel), joined(names));
}

bool has_kernel(const QuantisedMatrix& a, const QuantisedMatrix& b) {
  switch (a.format) {
    case FormatId::mxfp4:
    case FormatId::mxfp8:
    case FormatId::fp8:
    case FormatId::fp8_tensor:
    case FormatId::int8:
    case FormatId::bf16:
    case FormatId::fp16:
      return b.format == a.format;
    default:
      return false;
  }
}

Product::Product(const PlainOperand& a, const PlainOperand& b, Kernel kernel)
    : a_(a, Side::rows), b_(b, Side::panels), kernel_(&pick(resolve(kernel), a, b)) {}

bool Product::exact() const {
  if (a_.operand().element != Element::e2m1) return true;
  // 2^-2 times two scales is a normal FP32 number. E8M0 codes have a bias of 127 each.
  const int smallest = a_.smallest_exponent() + b_.smallest_exponent() - 254 - 2;
  const int largest = a_.largest_exponent() + b_.largest_exponent() - 254 - 2;
  return smallest >= -126 && largest <= 127;
}

void Product::accumulate(const Strip& strip, float* acc) const {
  const TileKernel& kernel = *kernel_;
  const PackedOperand a = a_.operand();
  const PackedOperand b = b_.operand();
  const bool blocks = a.element == Element::e2m1 || a.element == Element::e4m3 || a.element == Element::int8;
  const std::int64_t k = blocks ? round_up(a_.k(), kBlock) : a_.k();
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

std::byte* scratch(Slot slot, std::int64_t bytes) {
  thread_local std::array<AlignedBytes, 4> slots;
  AlignedBytes& memory = slots[static_cast<std::size_t>(slot)];
  if (memory.size() < bytes) memory = AlignedBytes(bytes);
  return memory.data();
}

void parallel_regions(std::int64_t rows, std::int64_t cols, const std::function<void(OutputRegion)>& compute) {
  constexpr std::int64_t kRows = 256;
  constexpr std::int64_t kCols = 256;
  const std::int64_t down = tiles_of(rows, kRows);
  const std::int64_t across = tiles_of(cols, kCols);
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, down * across, 1),
                    [&](const tbb::blocked_range<std::int64_t>& range) {
                      for (std::int64_t i = range.begin(); i < range.end(); ++i) {
                        const std::int64_t row = i / across * kRows;
                        const std::int64_t col = i % across * kCols;
                        compute({row, col, std::min(kRows, rows - row), std::min(kCols, cols - col)});
                      }
                    });
}

void check_region(const OutputRegion& region, const OutputView& out, std::int64_t rows, std::int64_t cols) {
  ensure(out.rows == rows && out.cols == cols, "output [{}, {}] of a product [{}, {}]", out.rows, out.cols, rows, cols);
  ensure(region.row >= 0 && region.rows >= 0 && region.row + region.rows <= rows && region.col >= 0 &&
             region.cols >= 0 && region.col + region.cols <= cols,
         "region ({}, {}) + [{}, {}] outside [{}, {}]", region.row, region.col, region.rows, region.cols, rows, cols);
}

}  // namespace oscsim::numerics::kernels
