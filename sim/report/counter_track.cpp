// SPDX-License-Identifier: Apache-2.0
#include "sim/report/counter_track.h"

#include <algorithm>
#include <cmath>

namespace oscsim {

void CounterTrack::set(std::int64_t cycle, const TwoValues& values) {
  const std::int64_t at = std::max(cycle, window_.from);
  if (pending_at_ && *pending_at_ != at) flush();
  pending_at_ = at;
  pending_ = values;
}

void CounterTrack::flush() {
  if (!pending_at_ || *pending_at_ >= window_.to || emitted_ == pending_) return;
  emit_(*pending_at_, pending_);
  emitted_ = pending_;
}

void TransferBins::add(double from, double until, double bytes, std::size_t series) {
  const double rate = bytes / (until - from);
  for (auto bin = static_cast<std::int64_t>(from) / kCycles; static_cast<double>(bin * kCycles) < until; ++bin) {
    const double begin = std::max(from, static_cast<double>(bin * kCycles));
    const double end = std::min(until, static_cast<double>((bin + 1) * kCycles));
    bins_[bin][series] += (end - begin) * rate;
  }
}

void TransferBins::complete(std::int64_t cycle) {
  while (!bins_.empty() && (bins_.begin()->first + 1) * kCycles <= cycle) {
    const auto [bin, bytes] = *bins_.begin();
    if (emitted_ && bin > *emitted_ + 1) emit(*emitted_ + 1, {});
    emit(bin, bytes);
    bins_.erase(bins_.begin());
  }
}

void TransferBins::finish() {
  if (!bins_.empty()) complete((bins_.rbegin()->first + 1) * kCycles);
  if (emitted_) emit(*emitted_ + 1, {});
}

void TransferBins::emit(std::int64_t bin, const TwoValues& bytes) {
  emit_(bin * kCycles, bytes);
  emitted_ = bin;
}

}  // namespace oscsim
