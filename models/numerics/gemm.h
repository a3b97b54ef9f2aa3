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
// the output NaN, also when the other operand is zero. Every NaN output has the bits 0x7FC00000. Results do not depend
// on tiles, threads or vector width.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

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
};

// Elements along K that are summed exactly before a rounding; 0: all of them.
std::int64_t summed_block(const FormatInfo& a, const FormatInfo& b);

// Throws InputError when shapes or formats do not fit together, or an integer sum could leave INT32 (INT8: k > 133144).
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
