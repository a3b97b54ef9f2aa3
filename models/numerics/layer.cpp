// SPDX-License-Identifier: Apache-2.0
#include "models/numerics/layer.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "models/base/error.h"

namespace oscsim::numerics {
namespace {

template <class Work>
void for_each_row(std::int64_t rows, const Work& work) {
  tbb::parallel_for(std::int64_t{0}, rows, work);
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

struct Head {
  std::size_t begin, kv_begin, size;  // channels of the query, and of keys and values
};

// One query against the keys of rows [first, row].
void attend(const Matrix& q, const Matrix& k, const Matrix& v, std::int64_t first, std::int64_t row, const Head& head,
            std::span<float> out) {
  const auto query = q.row_f32(row).subspan(head.begin, head.size);
  std::vector<double> shares;
  for (std::int64_t key = first; key <= row; ++key)
    shares.push_back(dot(query, k.row_f32(key).subspan(head.kv_begin, head.size)) /
                     std::sqrt(static_cast<double>(head.size)));
  const double largest = *std::ranges::max_element(shares);
  for (double& share : shares) share = std::exp(share - largest);
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<double> sums(head.size);
  for (std::size_t key = 0; key < shares.size(); ++key) {
    const auto value = v.row_f32(first + static_cast<std::int64_t>(key)).subspan(head.kv_begin, head.size);
    for (std::size_t i = 0; i < head.size; ++i) sums[i] += shares[key] * static_cast<double>(value[i]);
  }
  for (std::size_t i = 0; i < head.size; ++i) out[i] = static_cast<float>(sums[i] / total);
}

}  // namespace

Matrix rms_norm(const Matrix& x, std::span<const float> weight, double epsilon) {
  const std::size_t width = weight.size();
  ensure(width > 0 && static_cast<std::size_t>(x.cols()) % width == 0, "norm over {} of {} channels", width, x.cols());
  Matrix y(Dtype::fp32, x.rows(), x.cols());
  for_each_row(x.rows(), [&](std::int64_t row) {
    for (std::size_t begin = 0; begin < static_cast<std::size_t>(x.cols()); begin += width) {
      const auto in = x.row_f32(row).subspan(begin, width);
      const auto out = y.row_f32(row).subspan(begin, width);
      const double scale = 1 / std::sqrt(dot(in, in) / static_cast<double>(width) + epsilon);
      for (std::size_t i = 0; i < width; ++i)
        out[i] = static_cast<float>(static_cast<double>(in[i]) * scale * static_cast<double>(weight[i]));
    }
  });
  return y;
}

void rotate(Matrix& x, std::span<const std::int64_t> positions, std::int64_t head_dim, double theta) {
  ensure(std::ssize(positions) == x.rows(), "{} positions for {} rows", positions.size(), x.rows());
  ensure(head_dim % 2 == 0 && x.cols() % head_dim == 0, "heads of {} of {} channels", head_dim, x.cols());
  const auto half = static_cast<std::size_t>(head_dim / 2);
  for_each_row(x.rows(), [&](std::int64_t row) {
    const auto position = static_cast<double>(positions[static_cast<std::size_t>(row)]);
    for (std::size_t begin = 0; begin < static_cast<std::size_t>(x.cols()); begin += 2 * half) {
      const auto head = x.row_f32(row).subspan(begin, 2 * half);
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = position * std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
        const double low = head[i], high = head[i + half];
        head[i] = static_cast<float>(low * std::cos(angle) - high * std::sin(angle));
        head[i + half] = static_cast<float>(high * std::cos(angle) + low * std::sin(angle));
      }
    }
  });
}

Matrix causal_attention(const Matrix& q, const Matrix& k, const Matrix& v, std::span<const std::int64_t> lengths,
                        std::int64_t head_dim) {
  const std::int64_t heads = q.cols() / head_dim, kv_heads = k.cols() / head_dim;
  ensure(kv_heads > 0 && heads % kv_heads == 0, "{} heads share {} heads of keys", heads, kv_heads);
  std::vector<std::int64_t> first;  // row of the sequence of each row
  for (const std::int64_t length : lengths)
    first.insert(first.end(), static_cast<std::size_t>(length), std::ssize(first));
  ensure(std::ssize(first) == q.rows(), "sequences of {} tokens for {} rows", first.size(), q.rows());
  Matrix out(Dtype::fp32, q.rows(), q.cols());
  for_each_row(q.rows(), [&](std::int64_t row) {
    for (std::int64_t each = 0; each < heads; ++each) {
      const auto size = static_cast<std::size_t>(head_dim);
      const Head head{static_cast<std::size_t>(each) * size, static_cast<std::size_t>(each / (heads / kv_heads)) * size,
                      size};
      attend(q, k, v, first[static_cast<std::size_t>(row)], row, head, out.row_f32(row).subspan(head.begin, size));
    }
  });
  return out;
}

Matrix silu_multiply(const Matrix& gate, const Matrix& up) {
  Matrix y(Dtype::fp32, gate.rows(), gate.cols());
  for_each_row(gate.rows(), [&](std::int64_t row) {
    const auto g = gate.row_f32(row), u = up.row_f32(row);
    const auto out = y.row_f32(row);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double x = g[i];
      out[i] = static_cast<float>(x / (1 + std::exp(-x)) * static_cast<double>(u[i]));
    }
  });
  return y;
}

void add_to(Matrix& x, const Matrix& y) {
  for_each_row(x.rows(), [&](std::int64_t row) {
    const auto to = x.row_f32(row);
    const auto from = y.row_f32(row);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  });
}

}  // namespace oscsim::numerics
