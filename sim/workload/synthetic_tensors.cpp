// SPDX-License-Identifier: Apache-2.0
// Synthetic tensors: normal weights; activations in which each group of channels has one outlier channel that persists
// over the tokens, as arXiv 2604.12782 observes in Qwen3.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>
#include <numeric>
#include <optional>

#include "models/base/error.h"
#include "models/base/quantity.h"
#include "models/numerics/element.h"
#include "sim/workload/counter_random.h"
#include "sim/workload/normal_table.h"
#include "sim/workload/tensors.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;

constexpr double kJitter = kTokenJitter;
constexpr double kAlpha = 5;  // threshold of calibration, arXiv 2604.12782
constexpr std::int64_t kRowsPerTask = 8;

struct PlantedOutlier {
  std::int64_t channel;  // of the whole activation
  double magnitude;      // in standard deviations
  bool is_bypassed;      // the group has none
};

std::uint64_t planting_key(std::uint64_t seed, const std::string& activation) {
  return random_key(seed, "planted " + activation);
}

// One per group of `group` channels; the last group may be shorter.
std::vector<PlantedOutlier> planted_outliers(const ActivationStatistics& statistics, std::int64_t group,
                                             std::uint64_t seed, const std::string& activation, std::int64_t k) {
  const std::uint64_t key = planting_key(seed, activation);
  const std::uint64_t bypass_key = random_key(seed, "bypassed " + activation);
  std::vector<PlantedOutlier> planted;
  for (std::int64_t begin = 0; begin < k; begin += group) {
    const std::uint64_t bits = random_bits(key, planted.size());
    const std::int64_t channel = below(static_cast<std::uint32_t>(bits), std::min(group, k - begin));
    const double spread = statistics.magnitude_spread * normal_deviate(static_cast<std::uint32_t>(bits >> 32));
    const auto bypass = static_cast<std::uint32_t>(random_bits(bypass_key, planted.size()));
    planted.push_back(
        {begin + channel, statistics.magnitude * std::exp(spread), unit_interval(bypass) < statistics.bypass_rate});
  }
  return planted;
}

// Made when the first tensor is: a timing-only run asks for none.
class LazyTable {
 public:
  explicit LazyTable(double standard_deviation) : standard_deviation_(standard_deviation) {}
  const NormalTable& get() const {
    std::call_once(once_, [this] { table_.emplace(standard_deviation_); });
    return *table_;
  }

 private:
  double standard_deviation_;
  mutable std::once_flag once_;
  mutable std::optional<NormalTable> table_;
};

class SyntheticTensors : public TensorSource {
 public:
  SyntheticTensors(const SyntheticParams& params, std::uint64_t seed)
      : params_(params), seed_(seed), weights_(params.weight_std), activations_(params.activation_std) {
    std::vector<std::string> problems;
    params.check(problems);
    if (!problems.empty()) input_error("synthetic tensors: {}", joined(problems));
  }

  Weight weight(const std::string& name, std::int64_t n, std::int64_t k) const override {
    const std::uint64_t key = random_key(seed_, "weight " + name);
    const NormalTable& table = weights_.get();
    Weight weight;
    static_cast<Tensor&>(weight) = generate(n, k, [&](std::int64_t row, std::span<std::uint16_t> out) {
      table.fill(key, static_cast<std::uint64_t>(row) * NormalTable::counters_of(k), out);
    });
    return weight;
  }

  Tensor activation(const std::string& name, Position position, std::int64_t rows, std::int64_t k) const override {
    const ActivationStatistics statistics = params_.of(position, name);
    std::optional<NormalTable> other;
    if (statistics.std != params_.activation_std) other.emplace(statistics.std);
    const NormalTable& normal = other ? *other : activations_.get();
    const std::uint64_t key = random_key(seed_, "activation " + name);
    const std::uint64_t outlier_key = random_key(seed_, "outlier " + name);
    const std::uint64_t spread_key = random_key(seed_, "token " + name);
    const std::vector<PlantedOutlier> planted = planted_outliers(statistics, params_.group, seed_, name, k);
    return generate(rows, k, [&](std::int64_t row, std::span<std::uint16_t> out) {
      normal.fill(key, static_cast<std::uint64_t>(row) * NormalTable::counters_of(k), out);
      const std::uint64_t first = static_cast<std::uint64_t>(row) * planted.size();
      for (std::size_t group = 0; group < planted.size(); ++group) {
        const std::uint64_t counter = first + group;
        const OutlierDraw draw{random_bits(outlier_key, 2 * counter), random_bits(outlier_key, 2 * counter + 1),
                               static_cast<std::uint32_t>(random_bits(spread_key, counter))};
        add_outlier(planted[group], statistics, draw, out);
      }
    });
  }

  Tensor vector(const std::string& name, std::int64_t) const override {
    input_error("no synthetic tensor '{}': only the operands of GEMMs are generated", name);
  }
  void require(const std::string&, std::int64_t, std::int64_t) const override {}
  std::string description() const override { return fmt::format("synthetic, seed {}", seed_); }
  std::vector<std::pair<std::string, std::string>> hashes() const override { return {}; }

 private:
  template <class FillRow>
  static Tensor generate(std::int64_t rows, std::int64_t cols, const FillRow& fill_row) {
    const auto matrix = std::make_shared<Matrix>(Dtype::bf16, rows, cols);
    tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, rows, kRowsPerTask), [&](const auto& range) {
      for (std::int64_t row = range.begin(); row < range.end(); ++row) fill_row(row, matrix->row_u16(row));
    });
    return {matrix->view(), matrix};
  }

  // Random bits of one token in one group.
  struct OutlierDraw {
    std::uint64_t where, how;
    std::uint32_t spread;
  };

  // The outlier of one token in one group: none, in the planted channel, or in another channel of the group.
  void add_outlier(const PlantedOutlier& planted, const ActivationStatistics& statistics, const OutlierDraw& draw,
                   std::span<std::uint16_t> row) const {
    const auto [where, how, spread] = draw;
    if (planted.is_bypassed || unit_interval(static_cast<std::uint32_t>(where)) < statistics.miss_rate) return;
    const std::int64_t begin = planted.channel / params_.group * params_.group;
    const std::int64_t size = std::min(params_.group, std::ssize(row) - begin);
    std::int64_t channel = planted.channel;
    if (size > 1 && unit_interval(static_cast<std::uint32_t>(where >> 32)) >= statistics.density) {
      const std::int64_t shift = 1 + below(static_cast<std::uint32_t>(how), size - 1);
      channel = begin + (planted.channel - begin + shift) % size;
    }
    double magnitude = planted.magnitude * statistics.std;
    magnitude *= 1 + kJitter * (2 * unit_interval(static_cast<std::uint32_t>(how >> 32) << 1) - 1);
    if (statistics.token_spread > 0) magnitude *= std::exp(statistics.token_spread * normal_deviate(spread));
    row[static_cast<std::size_t>(channel)] = static_cast<std::uint16_t>(
        numerics::encode(numerics::kBf16, (how >> 63) != 0 ? -magnitude : magnitude,
                         numerics::ElementRounding::nearest_even, numerics::Overflow::saturate));
  }

  SyntheticParams params_;
  std::uint64_t seed_;
  LazyTable weights_;
  LazyTable activations_;
};

// alpha times the expected mean magnitude of an activation, in standard deviations.
double expected_threshold(const ActivationStatistics& statistics, const std::vector<PlantedOutlier>& planted,
                          std::int64_t k) {
  const double normal_mean = std::sqrt(2 / std::numbers::pi);
  const double token_mean = std::exp(statistics.token_spread * statistics.token_spread / 2);
  double outliers = 0, sum = 0;  // per token
  for (const PlantedOutlier& each : planted) {
    if (each.is_bypassed) continue;
    outliers += 1 - statistics.miss_rate;
    sum += (1 - statistics.miss_rate) * each.magnitude * token_mean;
  }
  const double channels = static_cast<double>(k);
  return kAlpha * (normal_mean * (channels - outliers) + sum) / channels;
}

}  // namespace

std::unique_ptr<TensorSource> synthetic_tensors(const SyntheticParams& params, std::uint64_t seed) {
  return std::make_unique<SyntheticTensors>(params, seed);
}

ChannelTable planted_channels(const SyntheticParams& params, std::uint64_t seed, const std::string& activation,
                              Position position, std::int64_t k, std::int64_t group) {
  if (group < 1 || group > INT16_MAX) input_error("group of {} channels; allowed: 1 to {}", group, INT16_MAX);
  const ActivationStatistics statistics = params.of(position, activation);
  const std::uint64_t key = planting_key(seed, activation);
  const std::vector<PlantedOutlier> planted = planted_outliers(statistics, params.group, seed, activation, k);
  const double threshold = expected_threshold(statistics, planted, k);
  // Of some thousand tokens, one is beyond three standard deviations.
  const double reach = (1 + kJitter) * std::exp(3 * statistics.token_spread);
  const auto is_larger = [](const PlantedOutlier& a, const PlantedOutlier* b) {
    return b == nullptr || (b->is_bypassed && !a.is_bypassed) ||
           (a.is_bypassed == b->is_bypassed && a.magnitude > b->magnitude);
  };
  ChannelTable table{.group = group, .channels = {}};
  auto next = planted.begin();
  for (std::int64_t begin = 0; begin < k; begin += group) {
    const std::int64_t size = std::min(group, k - begin);
    const PlantedOutlier* largest = nullptr;
    for (; next != planted.end() && next->channel < begin + size; ++next)
      if (is_larger(*next, largest)) largest = &*next;
    // A group without a planted channel of its own sees only strays of the outlier group around it: calibration finds
    // one of its channels, each as likely as the other.
    const PlantedOutlier& around = planted[static_cast<std::size_t>(begin / params.group)];
    const PlantedOutlier& origin = largest ? *largest : around;
    const bool is_found = !origin.is_bypassed && statistics.miss_rate < 1 && origin.magnitude * reach > threshold;
    const auto stray = static_cast<std::uint32_t>(random_bits(~key, table.channels.size()));
    const std::int64_t channel = largest ? largest->channel - begin : below(stray, size);
    table.channels.push_back(static_cast<std::int16_t>(is_found ? channel : -1));
  }
  return table;
}

std::vector<std::int64_t> dispatched_rows(std::uint64_t seed, const std::string& gemm, std::int64_t rows,
                                          std::int64_t m) {
  ensure(m >= 0 && m <= rows, "{} reads {} of {} rows", gemm, m, rows);
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(rows));
  std::iota(chosen.begin(), chosen.end(), std::int64_t{0});
  // The projections of one expert see the same tokens: its name without the last part is the key.
  const std::uint64_t key = random_key(seed, "dispatch " + gemm.substr(0, gemm.rfind('.')));
  const auto rank = [key](std::int64_t row) { return random_bits(key, static_cast<std::uint64_t>(row)); };
  std::ranges::nth_element(chosen, chosen.begin() + m, {}, rank);
  chosen.resize(static_cast<std::size_t>(m));
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace oscsim
