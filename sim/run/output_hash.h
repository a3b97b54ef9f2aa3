// SPDX-License-Identifier: Apache-2.0
// SHA-256 of an output beside the work on the next one: hashing is serial, and the thread pool would wait for it.
#pragma once

#include <tbb/task_group.h>

#include <optional>
#include <string>

#include "models/numerics/matrix.h"
#include "sim/run/result.h"

namespace oscsim {

// One output at a time, so that no more than one is kept in memory for its hash alone.
class OutputHash {
 public:
  // Which accuracy of a result gets the hash.
  struct Place {
    std::size_t gemm;  // index
    SideResult GemmResult::*side;
  };

  OutputHash() = default;
  OutputHash(const OutputHash&) = delete;
  OutputHash& operator=(const OutputHash&) = delete;
  ~OutputHash() { task_.wait(); }

  // Takes the output; `finish` must have been called since the last `start`.
  void start(numerics::Matrix output, Place place);
  // Waits for the hash, if there is one, puts it in its place and frees the output.
  void finish(RunResult& result);

 private:
  tbb::task_group task_;
  std::optional<Place> place_;
  numerics::Matrix output_;
  std::string hash_;
};

}  // namespace oscsim
