// SPDX-License-Identifier: Apache-2.0
#include "models/units/memory.h"

#include <boost/functional/hash.hpp>

namespace oscsim::units {
namespace {

Bytes bytes_of(const tlm::tlm_generic_payload& payload) {
  return Bytes(static_cast<std::int64_t>(payload.get_data_length()));
}

void show(ObserverSpan observers, MemoryId memory, Instant at, const tlm::tlm_generic_payload& payload, double from,
          double until) {
  for (Observer* observer : observers)
    observer->transfer({memory, at, payload.is_write(), from, until, bytes_of(payload)});
}

}  // namespace

std::size_t hash_value(const Region& region) {
  std::size_t seed = 0;
  boost::hash_combine(seed, static_cast<int>(region.tensor));
  boost::hash_combine(seed, region.row);
  boost::hash_combine(seed, region.k);
  boost::hash_combine(seed, region.rows);
  boost::hash_combine(seed, region.depth);
  return seed;
}

Hbm::Hbm(sc_core::sc_module_name name, const HbmParams& params, const ClockDomain& clock)
    : sc_module(name), clock_(clock), server_(params, clock.clock()), latency_(clock.cycles_of(params.latency)) {
  socket.register_b_transport(this, &Hbm::transport);
}

void Hbm::transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const double now = static_cast<double>(clock_.now().cycle());
  const TileExtension* tile = payload.get_extension<TileExtension>();
  const Access access{payload.get_address(), bytes_of(payload), tile != nullptr ? tile->layout : Layout{}};
  double end = server_.serve(now + clock_.cycles(delay), payload.is_write(), access);
  if (!observers_.empty()) show(observers_, MemoryId::hbm, clock_.now(), payload, server_.started(), server_.free_at());
  if (payload.is_write()) {
    written_ += bytes_of(payload);
  } else {
    read_ += bytes_of(payload);
    end += latency_;
  }
  delay = clock_.span(end - now);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

L2::L2(sc_core::sc_module_name name, const L2Params& params, const ClockDomain& clock)
    : sc_module(name),
      clock_(clock),
      capacity_(params.capacity),
      server_(per_cycle(params.bandwidth, clock.clock())),
      latency_(clock.cycles_of(params.latency)) {
  cores.register_b_transport(this, &L2::transport);
}

void L2::transport(int /*core*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const TileExtension* tile = payload.get_extension<TileExtension>();
  ensure(tile != nullptr, "{}: a payload without its tile", name());
  const TileExtension moved = *tile;  // HBM may not change it, but it does not have to keep it either
  const double now = static_cast<double>(clock_.now().cycle());
  const double arrival = now + clock_.cycles(delay);
  const double own = server_.serve(arrival, bytes_of(payload));
  if (!observers_.empty()) {
    const double span = static_cast<double>(bytes_of(payload).count()) / server_.rate().count();
    show(observers_, MemoryId::l2, clock_.now(), payload, own - span, own);
  }
  double end = own;
  if (payload.is_write()) {
    written_ += bytes_of(payload);
    hbm->b_transport(payload, delay);
    end = std::max(own, now + clock_.cycles(delay));
    insert(moved.region, bytes_of(payload), end);
  } else {
    read_ += bytes_of(payload);
    end = std::max(own, fetch(payload, moved, arrival)) + latency_;
  }
  delay = clock_.span(end - now);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

// When the tile's bytes are in L2: at once for a hit, after HBM for a miss.
double L2::fetch(tlm::tlm_generic_payload& payload, const TileExtension& tile, double arrival) {
  if (const auto found = resident_.find(tile.region); found != resident_.end()) {
    lru_.splice(lru_.begin(), lru_, found->second);
    return found->second->ready_at;
  }
  const double now = static_cast<double>(clock_.now().cycle());
  sc_core::sc_time delay = clock_.span(arrival - now);
  hbm->b_transport(payload, delay);
  const double ready = now + clock_.cycles(delay);
  if (tile.whole) insert(tile.region, bytes_of(payload), ready);
  return ready;
}

void L2::insert(const Region& region, Bytes bytes, double ready_at) {
  if (bytes > capacity_) return;
  if (const auto found = resident_.find(region); found != resident_.end()) {
    found->second->ready_at = ready_at;
    lru_.splice(lru_.begin(), lru_, found->second);
    return;
  }
  while (used_ + bytes > capacity_) {
    used_ -= lru_.back().bytes;
    resident_.erase(lru_.back().region);
    lru_.pop_back();
  }
  lru_.push_front({region, bytes, ready_at});
  resident_.emplace(region, lru_.begin());
  used_ += bytes;
}

}  // namespace oscsim::units
