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
    case Element::e4m3:
      return e4m3_kernel(kernel, a.block_scale != nullptr || b.block_scale != nullptr, a.k);
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
  switch (format(a.format).element) {
    case ElementType::e4m3:
      return format(b.format).element == ElementType::e4m3;
    case ElementType::bf16:
    case ElementType::fp16:
      return format(b.format).element_bits == 16;
    default:
      return false;
  }
}

Product::Product(const PlainOperand& a, const PlainOperand& b, Kernel kernel)
    : a_(a, Side::rows), b_(b, Side::panels), kernel_(&pick(resolve(kernel), a, b)) {}

void Product::accumulate(const Strip& strip, float* acc) const {
  const PackedOperand a = a_.operand();
  const std::int64_t k = a.element == Element::e4m3 ? round_up(a_.k(), kBlock) : a_.k();
  accumulate_tiles(*kernel_, a, b_.operand(), k, strip, acc);
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
