// SPDX-License-Identifier: Apache-2.0
// Statistics of captured activations, as the synthetic generator takes them: what generates tensors like those in the
// files. Reads mapped files in chunks of rows: memory grows with channels, not with tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/workload/synthetic_params.h"

namespace oscsim {

struct FitOptions {
  std::vector<std::string> files;
  std::int64_t group = 32;
  double alpha = 5;
};

// An outlier is what calibration takes for one: a group's largest magnitude, above alpha times the mean magnitude of
// the tensor. Of these come the densities, miss and bypass rates, and the magnitudes with their spreads (moments of
// their logarithms); the standard deviation is that of everything up to the threshold. A group with outliers
// in less than 1 % of its tokens counts as one without. Outliers of the generator that fall below the threshold are not
// seen as such: they count as misses and shift the magnitude up.
// `positions` of the result has an entry for each position and layer (experts: their mean), and behind them one for
// each position, the mean over its layers. InputError as of activations_in and calibrate.
SyntheticParams fit_synthetic(const FitOptions& options,
                              const std::function<void(std::size_t, std::size_t, const std::string&)>& progress = {});

}  // namespace oscsim
