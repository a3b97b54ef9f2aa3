// SPDX-License-Identifier: Apache-2.0
// Channel tables of the activations in safetensors files: what is found in each, and what to do at each position. Reads
// mapped files in chunks of rows: memory grows with channels, not with tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/schemes/position.h"
#include "sim/workload/channel_table_file.h"

namespace oscsim {

// Tiers of the clustering density, in parts of 1 (arXiv 2604.12782): above kHighDensity high, down to kModerateDensity
// moderate, below it the branch misses too much and the position falls back.
inline constexpr double kHighDensity = 0.60;
inline constexpr double kModerateDensity = 0.35;

struct CalibrateOptions {
  std::vector<std::string> files;
  std::vector<std::string> held_out;  // the same tensors on other tokens
  std::int64_t group = 32;
  double alpha = 5;
  std::map<Position, Treatment> decide;  // instead of the tiers
};

// The activations of one position in one layer (several with experts), or of a position in all layers.
struct DensitySummary {
  std::int64_t tensors = 0, groups = 0, bypassed = 0;  // bypassed: groups without an outlier
  std::optional<double> density;   // of a layer: mean over its groups; of a position: over its layers
  std::optional<double> hit_rate;  // the same of held-out tokens
};

struct PositionSummary {
  DensitySummary mean;
  std::optional<double> lowest, highest;          // density of a layer
  std::map<std::int64_t, DensitySummary> layers;  // -1: outside the layers
  Treatment decision = Treatment::osc;
  bool is_overridden = false;
};

struct CalibrationResult {
  ChannelTableFile file;  // its `version` is left to the caller
  std::map<Position, PositionSummary> positions;
};

// Called with (done, total, tensor) before each tensor and at the end.
using CalibrationProgress = std::function<void(std::size_t, std::size_t, const std::string&)>;

// InputError for files without activations, tensors that are no matrices or hold NaN or Inf, held-out tensors of
// another k, held-out files that share no tensor, and decisions for positions that no tensor has.
CalibrationResult calibrate_files(const CalibrateOptions& options, const CalibrationProgress& progress = {});

}  // namespace oscsim
