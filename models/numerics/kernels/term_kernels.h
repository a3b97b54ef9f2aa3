// SPDX-License-Identifier: Apache-2.0
// The arithmetic of fused and exact sums: one row of A by one panel of 32 columns of B, over a chunk of K. Compiled for
// several instruction sets.
#pragma once

#include <cstdint>

#include "models/numerics/gemm.h"

namespace oscsim::numerics::kernels {

inline constexpr std::int64_t kMaxBlockTerms = 64;  // of a group of fused_blocks

struct FusedStep {
  Fusion fusion;
  int run = 0;  // products that an INT32 sums, each truncated to its integer
};

// Unpacked elements of a chunk, [k] of a row, [k][32] of a panel (64-byte aligned), and of each element, or of each
// sub-block, the alignment exponent (kNoAlignment of what takes no part). T is float where every product and, of
// sub-blocks, their sum is exact in it.
template <class T>
struct TermChunk {
  const T* values;
  const std::int16_t* alignments;
  const double* scales;  // of sub-blocks
};

struct TermKernels {
  // acc [32] = each of `groups` fusions in turn. Sums of truncated terms are exact in FP64.
  void (*products_float)(const FusedStep& step, std::int64_t groups, const TermChunk<float>& a,
                         const TermChunk<float>& b, float* acc);
  void (*products_double)(const FusedStep& step, std::int64_t groups, const TermChunk<double>& a,
                          const TermChunk<double>& b, float* acc);
  void (*blocks_float)(const FusedStep& step, std::int64_t groups, const TermChunk<float>& a, const TermChunk<float>& b,
                       float* acc);
  void (*blocks_double)(const FusedStep& step, std::int64_t groups, const TermChunk<double>& a,
                        const TermChunk<double>& b, float* acc);
  // high + low [32] += products. `splitter` is 1.5 * 2^(52 + s): a product's multiple of 2^s goes to `high`, the rest
  // to `low`; 0 sends all of it to `high`. Both sums must be exact in FP64.
  void (*exact)(std::int64_t count, const double* a, const double* b, double splitter, double* high, double* low);
};

// `kernel` is one of available_kernels().
const TermKernels& term_kernels(Kernel kernel);

}  // namespace oscsim::numerics::kernels
