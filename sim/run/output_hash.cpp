// SPDX-License-Identifier: Apache-2.0
#include "sim/run/output_hash.h"

#include <utility>

#include "models/base/error.h"
#include "sim/workload/sha256.h"

namespace oscsim {

void OutputHash::start(numerics::Matrix output, Place place) {
  ensure(!place_, "an output is being hashed");
  output_ = std::move(output);
  place_ = place;
  task_.run([this] {
    Sha256 hash;
    for (std::int64_t row = 0; row < output_.rows(); ++row) hash.update(std::as_bytes(output_.row_f32(row)));
    hash_ = hash.finish();
  });
}

void OutputHash::finish(RunResult& result) {
  if (!place_) return;
  task_.wait();
  (result.gemms.at(place_->gemm).*(place_->side)).accuracy->output_sha256 = std::move(hash_);
  place_.reset();
  output_ = {};
}

}  // namespace oscsim
