// SPDX-License-Identifier: Apache-2.0
// Speed of the engine's kernels on one thread, as a ratio to oneDNN's FP32 sgemm on the same shape in the same process.
//
// sgemm and the kernel take turns, so both see the same clock and the same neighbours; the ratio is of the best times.
// vnni_peak_share is the share of the measured peak of VPDPBUSD, 64 products each, where the CPU has it.
#include <benchmark/benchmark.h>
#include <dnnl.h>
#include <immintrin.h>
#include <tbb/global_control.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "models/base/error.h"
#include "models/numerics/gemm.h"

// OpenMP's, under oneDNN. Declared here because clang-tidy has no omp.h without libomp-dev.
extern "C" void omp_set_num_threads(int threads);

namespace oscsim::numerics {
namespace {

constexpr std::int64_t kM = 1536;
constexpr std::int64_t kN = 4096;
constexpr std::int64_t kK = 4096;
constexpr double kMacs = static_cast<double>(kM) * kN * kK;

// CPU time of this thread, which does all the work: other processes do not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds(const std::function<void()>& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

// Normal values; activations with an outlier of 30 times the others in the channels of a table of groups of 32, which
// most tokens have.
Matrix normal_matrix(std::int64_t rows, std::int64_t k, unsigned seed, bool outliers) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Matrix wide(Dtype::fp32, rows, k);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < k; ++i)
      wide.row_f32(row)[static_cast<std::size_t>(i)] =
          normal(generator) * (outliers && i % 32 == i / 32 % 32 && generator() % 4 != 0 ? 30.0F : 1.0F);
  return wide;
}

const Matrix& activations() {
  static const Matrix kMatrix = normal_matrix(kM, kK, 1, true);
  return kMatrix;
}
const Matrix& weights() {
  static const Matrix kMatrix = normal_matrix(kN, kK, 2, false);
  return kMatrix;
}

double sgemm_seconds(std::vector<float>& out) {
  omp_set_num_threads(1);
  return seconds([&] {
    const auto status = dnnl_sgemm('N', 'T', kM, kN, kK, 1.0F, activations().row_f32(0).data(), kK,
                                   weights().row_f32(0).data(), kK, 0.0F, out.data(), kN);
    ensure(status == dnnl_success, "dnnl_sgemm failed: {}", static_cast<int>(status));
  });
}

// Multiply-accumulates of a loop of VPDPBUSD on registers alone.
constexpr std::int64_t kPeakSteps = 2'000'000;
constexpr int kPeakSums = 16;  // independent: more than latency times throughput
constexpr double kPeakMacs = static_cast<double>(kPeakSteps) * kPeakSums * 64;

[[gnu::target("avx512f,avx512vnni"), gnu::noinline]] int vnni_loop() {
  __m512i sums[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sums[i] = _mm512_set1_epi32(i);  // different, or the compiler keeps one of them
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(-5);
  for (std::int64_t step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  __m512i total = _mm512_setzero_si512();
  for (const __m512i& sum : sums) total = _mm512_add_epi32(total, sum);
  return _mm512_cvtsi512_si32(total);
}

// Best of a few, in multiply-accumulates per second; 0 where the CPU has no VNNI.
double vnni_peak() {
  if (available_kernels().front() != Kernel::avx512_vnni) return 0;
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds([] { benchmark::DoNotOptimize(vnni_loop()); }));
  return kPeakMacs / best;
}

// Times `compute` and sgemm in turns.
void compare(benchmark::State& state, const std::function<void(OutputView)>& compute) {
  std::vector<float> out(static_cast<std::size_t>(kM * kN));
  double best = std::numeric_limits<double>::max();
  double best_sgemm = sgemm_seconds(out);
  double peak = vnni_peak();
  for (auto iteration : state) {
    const double time = seconds([&] { compute({out.data(), kM, kN}); });
    best = std::min(best, time);
    best_sgemm = std::min(best_sgemm, sgemm_seconds(out));
    peak = std::max(peak, vnni_peak());
    state.SetIterationTime(time);
  }
  state.counters["gmacs"] = kMacs / best / 1e9;
  state.counters["sgemm_gmacs"] = kMacs / best_sgemm / 1e9;
  state.counters["ratio_to_sgemm"] = best_sgemm / best;
  if (peak > 0) state.counters["vnni_peak_share"] = kMacs / best / peak;
}

// Regions as the simulator cuts them.
template <class Engine>
void compute_tiles(const Engine& engine, OutputView out) {
  constexpr std::int64_t kTile = 256;
  for (std::int64_t row = 0; row < kM; row += kTile)
    for (std::int64_t col = 0; col < kN; col += kTile) engine.compute({row, col, kTile, kTile}, out);
}

void gemm(benchmark::State& state, FormatId a_format, FormatId b_format, Kernel kernel) {
  const QuantisedMatrix a = quantise(a_format, activations().view(), {});
  const QuantisedMatrix b = quantise(b_format, weights().view(), {});
  const GemmEngine engine({.a = &a, .b = &b}, kernel);
  compare(state, [&](OutputView out) { compute_tiles(engine, out); });
}

double wall_seconds(const GemmEngine& engine, std::vector<float>& out, std::size_t threads) {
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  const auto start = std::chrono::steady_clock::now();
  compute_all(engine, {out.data(), kM, kN});
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Two threads against one, in turns; wall time of the best, so it needs a machine with two idle cores.
void two_threads(benchmark::State& state, FormatId format) {
  const QuantisedMatrix a = quantise(format, activations().view(), {});
  const QuantisedMatrix b = quantise(format, weights().view(), {});
  const GemmEngine engine({.a = &a, .b = &b});
  std::vector<float> out(static_cast<std::size_t>(kM * kN));
  std::array<double, 2> best;
  best.fill(std::numeric_limits<double>::max());
  for (auto iteration : state)
    for (std::size_t threads = 1; threads <= best.size(); ++threads)
      best[threads - 1] = std::min(best[threads - 1], wall_seconds(engine, out, threads));
  state.counters["gmacs"] = kMacs / best[1] / 1e9;
  state.counters["speed_up"] = best[0] / best[1];
}

void fp32_product(benchmark::State& state, Kernel kernel) {
  const Fp32Product product(activations().view(), weights().view(), kernel);
  compare(state, [&](OutputView out) { compute_tiles(product, out); });
}

// Packing of the weights, all threads.
void pack(benchmark::State& state, FormatId format) {
  const QuantisedMatrix a = quantise(format, normal_matrix(1, kK, 3, false).view(), {});
  const QuantisedMatrix b = quantise(format, weights().view(), {});
  for (auto iteration : state) benchmark::DoNotOptimize(GemmEngine({.a = &a, .b = &b}));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(b.codes.size()));
}

// The cast from BF16, all threads; bytes are those read.
void cast(benchmark::State& state, FormatId format) {
  const QuantisedMatrix narrow = quantise(FormatId::bf16, weights().view(), {});
  const MatrixView view(narrow.codes.data(), Dtype::bf16, kN, kK);
  for (auto iteration : state) benchmark::DoNotOptimize(quantise(format, view, {}));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(narrow.codes.size()));
}

// Weights narrower than activations, and block formats against each other.
constexpr std::pair<FormatId, FormatId> kMixedPairs[] = {{FormatId::int8, FormatId::int4},
                                                         {FormatId::mxint8, FormatId::mxfp4},
                                                         {FormatId::hif4, FormatId::nvfp4},
                                                         {FormatId::mxfp8, FormatId::mxfp4},
                                                         {FormatId::bf16, FormatId::int4_asym}};

void register_gemm(const FormatInfo& a, const FormatInfo& b) {
  const std::string name(a.id == b.id ? a.name : fmt::format("{}_by_{}", a.name, b.name));
  for (const Kernel kernel : available_kernels())
    benchmark::RegisterBenchmark(fmt::format("gemm/{}/{}", name, name_of(kernel)).c_str(), gemm, a.id, b.id, kernel)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(kernel == Kernel::portable ? 1 : 3);
}

void register_all() {
  for (const FormatInfo& info : formats()) register_gemm(info, info);
  for (const auto& [a, b] : kMixedPairs) register_gemm(format(a), format(b));
  for (const FormatInfo& info : formats()) {
    const std::string name(info.name);
    benchmark::RegisterBenchmark(("two_threads/" + name).c_str(), two_threads, info.id)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(5);
    benchmark::RegisterBenchmark(("pack/" + name).c_str(), pack, info.id)->UseRealTime()->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("cast/" + name).c_str(), cast, info.id)->UseRealTime()->Unit(benchmark::kMillisecond);
  }
  for (const Kernel kernel : available_kernels())
    benchmark::RegisterBenchmark(("fp32_product/" + std::string(name_of(kernel))).c_str(), fp32_product, kernel)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(kernel == Kernel::portable ? 1 : 3);
}

}  // namespace
}  // namespace oscsim::numerics

int main(int argc, char** argv) {
  oscsim::numerics::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
