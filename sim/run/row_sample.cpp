// SPDX-License-Identifier: Apache-2.0
#include "sim/run/row_sample.h"

#include <algorithm>
#include <cstring>

#include "sim/workload/counter_random.h"

namespace oscsim {

std::vector<std::int64_t> compared_rows(std::uint64_t seed, const std::string& name, std::int64_t rows,
                                        std::int64_t macs_per_row, std::int64_t least) {
  const std::int64_t affordable = kComparedMacs / std::max<std::int64_t>(1, macs_per_row);
  const std::int64_t count = std::min(rows, std::max(affordable, least));
  const std::uint64_t key = random_key(seed, "compared " + name);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = i * rows / count;
    const std::int64_t end = (i + 1) * rows / count;
    const auto bits = static_cast<std::uint32_t>(random_bits(key, static_cast<std::uint64_t>(i)));
    chosen.push_back(begin + below(bits, end - begin));
  }
  return chosen;
}

numerics::Matrix rows_of(numerics::MatrixView matrix, const std::vector<std::int64_t>& rows) {
  numerics::Matrix chosen(matrix.dtype(), static_cast<std::int64_t>(rows.size()), matrix.cols());
  const std::size_t bytes = static_cast<std::size_t>(matrix.cols()) * numerics::size_of(matrix.dtype());
  for (std::size_t i = 0; i < rows.size(); ++i) std::memcpy(chosen.data() + i * bytes, matrix.row_data(rows[i]), bytes);
  return chosen;
}

}  // namespace oscsim
