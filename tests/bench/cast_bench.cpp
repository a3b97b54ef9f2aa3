// SPDX-License-Identifier: Apache-2.0
// Speed of the casts on one thread: bytes of BF16 input per second of its CPU time, for each format and instruction
// set.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <tbb/global_control.h>
#include <time.h>

#include <random>
#include <string>

#include "models/numerics/cast_targets.h"

namespace oscsim::numerics {
namespace {

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kCols = 4096;
constexpr std::int64_t kInputBytes = kRows * kCols * 2;

// CPU time of this thread, which does all the work: other processes do not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Normal values, a projection's weights.
const QuantisedMatrix& weights() {
  static const QuantisedMatrix kWeights = [] {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    Matrix wide(Dtype::fp32, kRows, kCols);
    for (std::int64_t row = 0; row < kRows; ++row)
      for (float& value : wide.row_f32(row)) value = normal(generator);
    return quantise(FormatId::bf16, wide.view(), {});
  }();
  return kWeights;
}

template <class Work>
void measure(benchmark::State& state, const Work& work) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const MatrixView matrix(weights().codes.data(), Dtype::bf16, kRows, kCols);
  for (auto iteration : state) {
    const double start = thread_seconds();
    benchmark::DoNotOptimize(work(matrix));
    state.SetIterationTime(thread_seconds() - start);
  }
  state.SetBytesProcessed(state.iterations() * kInputBytes);
}

void register_all() {
  const auto add = [](const std::string& name, const auto& work) {
    benchmark::RegisterBenchmark(name.c_str(), [work](benchmark::State& state) { measure(state, work); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("amax", [](MatrixView matrix) { return amax(matrix); });
  for (const FormatInfo& info : formats())
    for (const CastTarget& target : cast_targets())
      add("cast/" + std::string(info.name) + "/" + std::string(target.name),
          [&target, id = info.id](MatrixView matrix) { return quantise_with(target, id, matrix, {}); });
}

}  // namespace
}  // namespace oscsim::numerics

int main(int argc, char** argv) {
  // Freed results stay with the process: first touches of pages are not measured.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  oscsim::numerics::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
