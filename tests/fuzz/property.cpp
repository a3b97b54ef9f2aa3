// SPDX-License-Identifier: Apache-2.0
// The property of the fast engine: on random formats, shapes, kernels, threads and regions every output bit is the
// scalar reference's, and so is every byte of a cast. Prints the case that differs and ends with status 1.
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <map>
#include <set>
#include <vector>

#include "tests/fuzz/property_case.h"

namespace oscsim::numerics::property {
namespace {

// No output has these bits: a NaN that is not ours.
constexpr std::uint32_t kUntouched = 0x7FABCDEF;

struct Output {
  std::int64_t rows, cols;
  std::vector<float> values;

  Output(std::int64_t m, std::int64_t n)
      : rows(m), cols(n), values(static_cast<std::size_t>(m * n), std::bit_cast<float>(kUntouched)) {}
  OutputView view() { return {values.data(), rows, cols}; }
  std::uint32_t bits(std::int64_t row, std::int64_t col) const {
    return std::bit_cast<std::uint32_t>(values[static_cast<std::size_t>(row * cols + col)]);
  }
};

// [0, size) in up to three pieces.
std::vector<std::int64_t> draw_cuts(Random& random, std::int64_t size) {
  std::vector<std::int64_t> cuts{0, random.between(0, size), random.between(0, size), size};
  std::ranges::sort(cuts);
  return cuts;
}

std::vector<OutputRegion> draw_regions(Random& random, std::int64_t rows, std::int64_t cols) {
  const std::vector<std::int64_t> row_cuts = draw_cuts(random, rows);
  const std::vector<std::int64_t> col_cuts = draw_cuts(random, cols);
  std::vector<OutputRegion> regions;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      regions.push_back({row_cuts[i], col_cuts[j], row_cuts[i + 1] - row_cuts[i], col_cuts[j + 1] - col_cuts[j]});
  return regions;
}

bool contains(const OutputRegion& region, std::int64_t row, std::int64_t col) {
  return row >= region.row && row < region.row + region.rows && col >= region.col && col < region.col + region.cols;
}

// Computes all of it, or all but one of nine regions, which comes back.
template <class Engine>
OutputRegion compute(Random& random, const Engine& engine, bool in_regions, Output& out) {
  const OutputView view = out.view();
  if (!in_regions) {
    compute_all(engine, view);
    return {};
  }
  const std::vector<OutputRegion> regions = draw_regions(random, out.rows, out.cols);
  const auto left_out = static_cast<std::size_t>(random.below(std::ssize(regions)));
  tbb::parallel_for(std::size_t{0}, regions.size(), [&](std::size_t i) {
    if (i != left_out) engine.compute(regions[i], view);
  });
  return regions[left_out];
}

// Returns the number of outputs compared.
template <class Expected>
std::int64_t compare(const Output& out, const OutputRegion& left_out, const Expected& expected) {
  std::atomic<std::int64_t> first_wrong = out.rows * out.cols;
  tbb::parallel_for(
      tbb::blocked_range<std::int64_t>(0, out.rows * out.cols, 64), [&](const tbb::blocked_range<std::int64_t>& range) {
        for (std::int64_t i = range.begin(); i < range.end(); ++i) {
          const std::int64_t row = i / out.cols, col = i % out.cols;
          const std::uint32_t wanted =
              contains(left_out, row, col) ? kUntouched : std::bit_cast<std::uint32_t>(expected(row, col));
          std::int64_t seen = first_wrong;
          while (out.bits(row, col) != wanted && i < seen && !first_wrong.compare_exchange_weak(seen, i)) {
          }
        }
      });
  const std::int64_t wrong = first_wrong;
  if (wrong < out.rows * out.cols) {
    const std::int64_t row = wrong / out.cols, col = wrong % out.cols;
    if (contains(left_out, row, col))
      throw Difference(fmt::format("output ({}, {}) lies outside all regions and was written", row, col));
    throw Difference(fmt::format("output ({}, {}) is {:#010x} ({:a}), the reference's {:#010x} ({:a})", row, col,
                                 out.bits(row, col), std::bit_cast<float>(out.bits(row, col)),
                                 std::bit_cast<std::uint32_t>(expected(row, col)), expected(row, col)));
  }
  return out.rows * out.cols - left_out.rows * left_out.cols;
}

struct Totals {
  std::int64_t cases = 0, outputs = 0, elements_cast = 0;
  std::set<std::pair<FormatId, FormatId>> pairs;
  std::map<std::string_view, std::int64_t> outputs_of_kernel;
};

void run_gemm(Random& random, Case& drawn, Totals& totals) {
  draw_case(random, drawn);
  totals.elements_cast += drawn.elements_cast;
  const GemmOperands operands = drawn.operands();
  check_operands(operands);
  Output out(drawn.a.rows, drawn.b.rows);
  OutputRegion left_out;
  {
    const tbb::global_control threads(tbb::global_control::max_allowed_parallelism,
                                      static_cast<std::size_t>(drawn.threads));
    const GemmEngine engine(operands, drawn.kernel);
    left_out = compute(random, engine, drawn.in_regions, out);
  }
  const std::int64_t outputs =
      compare(out, left_out, [&](std::int64_t row, std::int64_t col) { return reference::output(operands, row, col); });
  totals.outputs += outputs;
  totals.outputs_of_kernel[name_of(drawn.kernel)] += outputs;
  totals.pairs.insert({drawn.a.format, drawn.b.format});
}

// The product of unquantised operands.
void run_fp32(Random& random, Case& drawn, Totals& totals) {
  const auto dtype = [&] { return EnumNames<Dtype>::kValues[random.below(3)].second; };
  const Source source = EnumNames<Source>::kValues[random.below(6)].second;  // not bytes
  const std::int64_t m = random.between(1, 80), n = random.between(1, 80), k = random.between(1, 300);
  const Matrix x = draw_matrix(random, source, dtype(), m, k, true);
  const Matrix w = draw_matrix(random, source, dtype(), n, k, false);
  drawn.kernel = available_kernels()[static_cast<std::size_t>(random.below(std::ssize(available_kernels())))];
  drawn.text = fmt::format("fp32 product of {} [{}, {}] by {} [{}, {}] of {}, kernel {}", name_of(x.dtype()), m, k,
                           name_of(w.dtype()), n, k, name_of(source), name_of(drawn.kernel));
  Output out(m, n);
  const OutputRegion left_out = compute(random, Fp32Product(x.view(), w.view(), drawn.kernel), random.one_in(2), out);
  totals.outputs += compare(out, left_out, [&](std::int64_t row, std::int64_t col) {
    return reference::fp32_product(x.view(), w.view(), row, col);
  });
}

void run_case(std::uint64_t seed, std::uint64_t number, Totals& totals) {
  Random random(seed, number);
  Case drawn;
  try {
    if (random.one_in(40))
      run_fp32(random, drawn, totals);
    else
      run_gemm(random, drawn, totals);
  } catch (const std::exception& error) {
    throw Difference(fmt::format("--seed {} --case {}: {}\n  {}", seed, number, error.what(), drawn.text));
  }
  ++totals.cases;
}

struct Options {
  std::uint64_t seed = 1;
  std::int64_t outputs = 1'000'000;
  double seconds = 0;  // 0: no limit
  std::optional<std::uint64_t> only;
};

void run(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  const bool shows = isatty(2) != 0;
  Totals totals;
  if (options.only) {
    run_case(options.seed, *options.only, totals);
  } else {
    for (std::uint64_t number = 0; totals.outputs < options.outputs; ++number) {
      if (options.seconds > 0 && seconds() > options.seconds) break;
      run_case(options.seed, number, totals);
      if (shows && number % 64 == 0) fmt::print(stderr, "\r{} outputs ", totals.outputs);
    }
    if (shows) fmt::print(stderr, "\n");
  }
  for (const auto& [kernel, outputs] : totals.outputs_of_kernel) fmt::print("kernel {}: {} outputs\n", kernel, outputs);
  fmt::print(
      "seed {}: {} outputs in {} cases, {} of {} ordered pairs of formats, {} elements cast, {:.0f} s: no bit "
      "differs\n",
      options.seed, totals.outputs, totals.cases, totals.pairs.size(), formats().size() * formats().size(),
      totals.elements_cast, seconds());
}

}  // namespace
}  // namespace oscsim::numerics::property

int main(int argc, char** argv) {
  oscsim::numerics::property::Options options;
  CLI::App app("Compares the fast engine with the scalar reference on random cases");
  app.add_option("--seed", options.seed, "every case follows from it and its number")->capture_default_str();
  app.add_option("--outputs", options.outputs, "stop after so many outputs")->capture_default_str();
  app.add_option("--seconds", options.seconds, "stop after so long (0: never)")->capture_default_str();
  app.add_option("--case", options.only, "run this case alone");
  CLI11_PARSE(app, argc, argv);
  try {
    oscsim::numerics::property::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "differs: {}\n", error.what());
    return 1;
  }
  return 0;
}
