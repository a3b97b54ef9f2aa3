// SPDX-License-Identifier: Apache-2.0
#include "sim/workload/calibration.h"

#include <algorithm>

#include "models/base/error.h"
#include "sim/workload/activation_files.h"
#include "sim/workload/sha256.h"

namespace oscsim {
namespace {

using numerics::MatrixView;

std::vector<CalibratedFile> hashes_of(const std::vector<std::string>& paths) {
  std::vector<CalibratedFile> list;
  for (const std::string& path : paths) list.push_back({path, sha256_of_file(path)});
  return list;
}

OutlierCounts counts_of(const std::string& name, const TensorPlace& place, std::int64_t group, double threshold) {
  OutlierCounts counts(activation_shape(place).cols, group, threshold);
  for_activation_rows(name, place, [&](MatrixView rows) { counts.add(rows); });
  return counts;
}

// Two passes over the file: the threshold needs the mean of all tokens.
Calibration calibration_of_tensor(const std::string& name, const TensorPlace& place, const CalibrateOptions& options) {
  MeanMagnitude mean;
  for_activation_rows(name, place, [&](MatrixView rows) { mean.add(rows); });
  return calibration_of(counts_of(name, place, options.group, checked_alpha(options.alpha) * mean.value()));
}

std::optional<double> held_out_rate(const std::string& name, const TensorPlace& place, const Calibration& found,
                                    std::int64_t k) {
  if (const std::int64_t channels = activation_shape(place).cols; channels != k)
    input_error("{}: tensor '{}' has {} channels, the calibrated one has {}", place.file->path(), name, channels, k);
  return hit_rate(found.table, counts_of(name, place, found.table.group, found.threshold));
}

// Means of what is there.
class Mean {
 public:
  void add(std::optional<double> value, double weight = 1) {
    if (!value) return;
    sum_ += *value * weight;
    weight_ += weight;
    lowest_ = lowest_ ? std::min(*lowest_, *value) : *value;
    highest_ = highest_ ? std::max(*highest_, *value) : *value;
  }
  std::optional<double> value() const { return weight_ == 0 ? std::nullopt : std::optional(sum_ / weight_); }
  std::optional<double> lowest() const { return lowest_; }
  std::optional<double> highest() const { return highest_; }

 private:
  double sum_ = 0, weight_ = 0;
  std::optional<double> lowest_, highest_;
};

using Entries = std::vector<const ChannelTableEntry*>;

DensitySummary summary_of_layer(const Entries& entries) {
  DensitySummary summary;
  Mean density, rate;
  for (const ChannelTableEntry* entry : entries) {
    const auto groups = std::ssize(entry->channels);
    const auto bypassed = std::ranges::count(entry->channels, -1);
    ++summary.tensors;
    summary.groups += groups;
    summary.bypassed += bypassed;
    density.add(entry->density, static_cast<double>(groups - bypassed));
    rate.add(entry->held_out_hit_rate, static_cast<double>(groups - bypassed));
  }
  summary.density = density.value();
  summary.hit_rate = rate.value();
  return summary;
}

PositionSummary summary_of_position(const std::map<std::int64_t, Entries>& layers) {
  PositionSummary summary;
  Mean density, rate;
  for (const auto& [layer, entries] : layers) {
    const DensitySummary of_layer = summary_of_layer(entries);
    summary.layers.emplace(layer, of_layer);
    summary.mean.tensors += of_layer.tensors;
    summary.mean.groups += of_layer.groups;
    summary.mean.bypassed += of_layer.bypassed;
    density.add(of_layer.density);
    rate.add(of_layer.hit_rate);
  }
  summary.mean.density = density.value();
  summary.mean.hit_rate = rate.value();
  summary.lowest = density.lowest();
  summary.highest = density.highest();
  return summary;
}

// Without any outlier there is nothing that the branch could miss.
Treatment decision_by_tier(const PositionSummary& summary) {
  const bool misses = summary.mean.density && *summary.mean.density < kModerateDensity;
  return misses ? Treatment::fallback : Treatment::osc;
}

void decide(CalibrationResult& result, const std::map<Position, Treatment>& overrides) {
  std::map<Position, std::map<std::int64_t, Entries>> entries;
  for (const ChannelTableEntry& entry : result.file.tables)
    entries[*entry.position][layer_of_name(entry.input)].push_back(&entry);
  for (const auto& [position, layers] : entries) {
    PositionSummary summary = summary_of_position(layers);
    const auto found = overrides.find(position);
    summary.is_overridden = found != overrides.end();
    summary.decision = summary.is_overridden ? found->second : decision_by_tier(summary);
    result.positions.emplace(position, std::move(summary));
  }
  for (ChannelTableEntry& entry : result.file.tables) entry.decision = result.positions.at(*entry.position).decision;
}

// What is wrong with the decisions and the held-out files is known before the tensors are read.
void check(const CalibrateOptions& options, const Activations& activations, const Activations& held_out) {
  for (const auto& [position, treatment] : options.decide) {
    const bool is_there = std::ranges::any_of(
        activations, [position = position](const auto& each) { return position_of_name(each.first) == position; });
    if (!is_there) input_error("--decide {}={}: no tensor of that position", name_of(position), name_of(treatment));
  }
  const bool shares = std::ranges::any_of(held_out, [&](const auto& each) { return activations.contains(each.first); });
  if (!options.held_out.empty() && !shares)
    input_error("{}: none of its activations is calibrated; held-out tokens have the same tensor names",
                joined(options.held_out));
}

}  // namespace

CalibrationResult calibrate_files(const CalibrateOptions& options, const CalibrationProgress& progress) {
  const Activations activations = activations_in(options.files);
  const Activations held_out = options.held_out.empty() ? Activations{} : activations_in(options.held_out);
  check(options, activations, held_out);
  CalibrationResult result;
  ChannelTableFile& file = result.file;
  file.group = options.group;
  file.alpha = options.alpha;
  std::size_t done = 0;
  for (const auto& [name, place] : activations) {
    if (progress) progress(done++, activations.size(), name);
    const Calibration found = calibration_of_tensor(name, place, options);
    ChannelTableEntry& entry = file.tables.emplace_back();
    entry.input = name;
    entry.position = position_of_name(name);
    entry.tokens = activation_shape(place).rows;
    entry.threshold = found.threshold;
    if (std::ranges::any_of(found.above, [](std::int64_t tokens) { return tokens > 0; }))
      entry.density = found.mean_density;
    entry.channels.assign(found.table.channels.begin(), found.table.channels.end());
    entry.above = found.above;
    entry.hits = found.hits;
    if (const auto other = held_out.find(name); other != held_out.end())
      entry.held_out_hit_rate = held_out_rate(name, other->second, found, activation_shape(place).cols);
  }
  if (progress) progress(activations.size(), activations.size(), "");
  file.files = hashes_of(options.files);
  file.held_out = hashes_of(options.held_out);
  decide(result, options.decide);
  return result;
}

}  // namespace oscsim
