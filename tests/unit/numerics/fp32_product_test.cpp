// SPDX-License-Identifier: Apache-2.0
// The product of unquantised matrices, against which errors are measured: the reference's bits.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "models/numerics/gemm.h"
#include "tests/unit/numerics/random_matrix.h"
#include "tests/unit/numerics/values.h"

namespace oscsim::numerics {
namespace {

// x or w of each dtype, with values that are exact in it.
Matrix random_of(Dtype dtype, std::int64_t rows, std::int64_t cols, unsigned seed) {
  if (dtype == Dtype::fp32) return random_matrix(rows, cols, seed);
  const QuantisedMatrix narrow =
      random_operand(dtype == Dtype::bf16 ? FormatId::bf16 : FormatId::fp16, rows, cols, seed);
  Matrix matrix(dtype, rows, cols);
  std::memcpy(matrix.data(), narrow.codes.data(), narrow.codes.size());
  return matrix;
}

TEST(Fp32Product, EveryDtypeAndTailMatchesTheReference) {
  unsigned seed = 31;
  for (const Dtype x_dtype : {Dtype::bf16, Dtype::fp16, Dtype::fp32}) {
    for (const Dtype w_dtype : {Dtype::bf16, Dtype::fp16, Dtype::fp32}) {
      for (const Shape& shape : {Shape{1, 1, 1}, Shape{15, 33, 127}, Shape{14, 70, 300}}) {
        const Matrix x = random_of(x_dtype, shape.m, shape.k, ++seed);
        const Matrix w = random_of(w_dtype, shape.n, shape.k, ++seed);
        for (const Kernel kernel : available_kernels()) {
          const Fp32Product product(x.view(), w.view(), kernel);
          Matrix out(Dtype::fp32, shape.m, shape.n);
          compute_all(product, {reinterpret_cast<float*>(out.data()), shape.m, shape.n});
          for (std::int64_t row = 0; row < shape.m; ++row)
            for (std::int64_t col = 0; col < shape.n; ++col)
              ASSERT_EQ(bits_of(out.row_f32(row)[static_cast<std::size_t>(col)]),
                        bits_of(reference::fp32_product(x.view(), w.view(), row, col)))
                  << name_of(kernel) << " " << name_of(x_dtype) << " x " << name_of(w_dtype);
        }
      }
    }
  }
}

TEST(Fp32Product, ProductsThatADoubleCannotAddExactlyRoundOnce) {
  // acc = first, then a product of 2^-24 first's binade - a bit more than 53 bits below: just under half a unit of acc.
  // Rounding to double first would meet a tie and go up. The second row does it among FP32's subnormals.
  const float high = 0x1p-12F * (1 + 0x1p-15F);
  const float low = 0x1p-12F * (1 - 0x1p-15F);
  const std::array<float, 8> x{1 + 0x1p-23F,  high,  0x1p-127F + 0x1p-149F,  high * 0x1p-63F,
                               -1 - 0x1p-23F, -high, -0x1p-127F - 0x1p-149F, high * -0x1p-63F};
  const std::array<float, 4> w{1, low, 1, low * 0x1p-63F};
  // Entries 0, 3, 4, 7 pair a row with the column made for it.
  const std::array<float, 8> expected{1 + 0x1p-23F,  1 + 0x1p-23F,  0, 0x1p-127F + 0x1p-149F,
                                      -1 - 0x1p-23F, -1 - 0x1p-23F, 0, -0x1p-127F - 0x1p-149F};
  const MatrixView x_view(x.data(), Dtype::fp32, 4, 2);
  const MatrixView w_view(w.data(), Dtype::fp32, 2, 2);
  for (const Kernel kernel : available_kernels()) {
    std::array<float, 8> out{};
    Fp32Product(x_view, w_view, kernel).compute({0, 0, 4, 2}, {out.data(), 4, 2});
    for (const std::size_t i : {0U, 3U, 4U, 7U}) EXPECT_EQ(out[i], expected[i]) << name_of(kernel) << " " << i;
    for (std::size_t i = 0; i < out.size(); ++i)
      EXPECT_EQ(bits_of(out[i]), bits_of(reference::fp32_product(x_view, w_view, static_cast<std::int64_t>(i / 2),
                                                                 static_cast<std::int64_t>(i % 2))))
          << name_of(kernel) << " " << i;
  }
}

TEST(Fp32Product, DifferentReductionSizesAreTheUsersMistake) {
  const Matrix x = random_matrix(2, 5, 1);
  const Matrix w = random_matrix(2, 6, 1);
  EXPECT_THROW(Fp32Product(x.view(), w.view()), InputError);
}

}  // namespace
}  // namespace oscsim::numerics
