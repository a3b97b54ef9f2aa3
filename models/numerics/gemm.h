// SPDX-License-Identifier: Apache-2.0
// Y[m, n] = sum over k of A[m, k] * B[n, k]: exact semantics, a scalar reference and a fast engine with the same bits.
//
// For one output element, blocks in ascending k:
//  1. inside a block every product and their sum are exact;
//  2. the block's sum is multiplied by its block scales exactly;
//  3. acc = RNE_FP32(acc + block value), one rounding for each block; acc starts at +0;
//  4. the epilogue multiplies by the outer scale of A, then by that of B, where the format has them, one FP32 RNE
//     rounding each.
// Any two formats make a product. What a block is: the block of the format (FormatInfo::block), with two sizes the
// smaller one: 16 for NVFP4 by MXFP8; 1 when an operand has 16 bits (acc = RNE_FP32(acc + exact product)). INT8 and
// INT4 without block scales: all of K in an exact INT32, converted to FP32 once; with an operand that has blocks, that
// block. A tail block is padded with zeros. A block whose scale is NaN, or an 8-bit element that is Inf or NaN, makes
// the output NaN, also when the other operand is zero. Every NaN output has the bits 0x7FC00000. With an operand of 16
// bits products have the signs of zero of IEEE 754, but an element of at most 8 bits that is -0 counts as +0 (decoded,
// it keeps its sign). Results do not depend on tiles, threads or vector width.
//
// That is the accumulator fp32_rne. Step 3 has two alternatives (GemmOperands::accumulator); sums of two integer
// operands without block scales stay exact INT32 under each, and so do NaN and the epilogue stay what they are:
//   exact  all of K in exact arithmetic, one RNE to FP32; with Join::chain the branch's products are in the same sum.
//   fused  acc = round(acc + the next `terms` terms), in ascending k, as accumulator.h says; acc starts at +0, a tail
//          is filled with zero terms, and a chained branch begins with a group of its own.
// A term of `fused` is one product, block scales included. Its alignment exponent is the sum of the exponents of its
// factors - elements and block scales - as their bits hold them (the product is not normalised; subnormals have the
// exponent of the smallest normal number; integers are normalised; a factor that is zero has -126). With a sub-block of
// g > 1 a term is the exact sum of g products times the two block scales, aligned by the exponents of these scales
// alone. So a term that is zero takes part in the alignment, unless the fusion skips zeros; what fills a tail does not.
// Products of 16-bit operands use the `wide` fusion, others the `narrow` one. No group is aligned below 2^-126. A
// product of 16 bits that is Inf or NaN makes its group's result what IEEE 754's sum would be.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "models/numerics/accumulator.h"
#include "models/numerics/quantise.h"

namespace oscsim::numerics {

// Where the 16-bit branch of a product meets the main path.
enum class Join : std::uint8_t {
  add,    // Y = RNE_FP32(main + branch), both complete: after the epilogue scales of the main path
  chain,  // the branch's products continue in the main path's accumulator (before the epilogue; not with row scales)
};

// One product: a main pair of operands and, optionally, a pair for the 16-bit branch (k = number of groups).
struct GemmOperands {
  const QuantisedMatrix* a = nullptr;         // [m, k]
  const QuantisedMatrix* b = nullptr;         // [n, k]
  const QuantisedMatrix* branch_a = nullptr;  // [m, groups], bf16 or fp16
  const QuantisedMatrix* branch_b = nullptr;  // [n, groups], the same format
  Join join = Join::add;
  Accumulator accumulator = {};
};

// Elements along K that are summed exactly before a rounding; 0: all of them.
std::int64_t summed_block(const FormatInfo& a, const FormatInfo& b);

// Throws InputError when shapes or formats do not fit together, an integer sum could leave INT32 (INT8: k > 133144) or
// the accumulator's sub-blocks do not fit the block scales.
void check_operands(const GemmOperands& operands);

enum class Kernel : std::uint8_t { automatic, avx512_vnni, avx2, portable };

// Kernels that this CPU runs, best first.
std::span<const Kernel> available_kernels();

namespace reference {
// One output element, by the definition above, written for reading.
float output(const GemmOperands& operands, std::int64_t row, std::int64_t col);
// One element of the FP32 product of unquantised operands: acc = fma(x, w, acc) in FP32, ascending k. `sqnr_db` in
// reports compares with this.
float fp32_product(MatrixView x, MatrixView w, std::int64_t row, std::int64_t col);
}  // namespace reference

struct OutputRegion {
  std::int64_t row = 0, col = 0, rows = 0, cols = 0;
};

// A row-major FP32 output [rows, cols] that engines write regions of.
struct OutputView {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// The fast engine. Packs its operands once, in the constructor (parallel); keeps no reference to them afterwards.
class GemmEngine {
 public:
  // InputError when the CPU lacks the kernel.
  explicit GemmEngine(const GemmOperands& operands, Kernel kernel = Kernel::automatic);
  ~GemmEngine();
  GemmEngine(GemmEngine&&) noexcept;
  GemmEngine& operator=(GemmEngine&&) noexcept;

  // Computes the region of Y. Thread-safe; one call runs on the calling thread alone (callers parallelise over
  // regions).
  void compute(OutputRegion region, OutputView out) const;
  std::int64_t rows() const;
  std::int64_t cols() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The FP32 product X W^T of unquantised operands, bit-identical to reference::fp32_product. Same use as GemmEngine.
class Fp32Product {
 public:
  Fp32Product(MatrixView x, MatrixView w, Kernel kernel = Kernel::automatic);
  ~Fp32Product();
  void compute(OutputRegion region, OutputView out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// All of Y in parallel (TBB), for callers that have no tiles of their own.
void compute_all(const GemmEngine& engine, OutputView out);
void compute_all(const Fp32Product& product, OutputView out);

}  // namespace oscsim::numerics

template <>
struct oscsim::EnumNames<oscsim::numerics::Join> {
  using Join = oscsim::numerics::Join;
  static constexpr std::pair<std::string_view, Join> kValues[] = {{"add", Join::add}, {"chain", Join::chain}};
};
template <>
struct oscsim::EnumNames<oscsim::numerics::Kernel> {
  using Kernel = oscsim::numerics::Kernel;
  static constexpr std::pair<std::string_view, Kernel> kValues[] = {{"auto", Kernel::automatic},
                                                                    {"avx512_vnni", Kernel::avx512_vnni},
                                                                    {"avx2", Kernel::avx2},
                                                                    {"portable", Kernel::portable}};
};
