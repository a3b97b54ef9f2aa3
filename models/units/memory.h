// SPDX-License-Identifier: Apache-2.0
// L2 and HBM as TLM-2.0 targets.
#pragma once

#include <tlm.h>
#include <tlm_utils/multi_passthrough_target_socket.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <boost/unordered_map.hpp>
#include <cstdint>
#include <list>
#include <systemc>

#include "models/units/clock.h"
#include "models/units/machine.h"
#include "models/units/observer.h"

namespace oscsim::units {

// Rides on every payload: the tile that is moved, and how its bytes lie from the payload's address on. Targets may
// ignore it; L2 tracks residency by the region, HBM derives bursts, channels and pages from the layout.
struct TileExtension : tlm::tlm_extension<TileExtension> {
  Region region;
  Layout layout;
  bool whole = true;  // false: single elements of it, which do not make it resident

  tlm::tlm_extension_base* clone() const override { return new TileExtension(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override { *this = static_cast<const TileExtension&>(other); }
};

struct Traffic {
  Bytes hbm_read{0}, hbm_write{0}, l2_read{0}, l2_write{0};
};

// Contract
//   Time: b_transport returns at once and adds the request's time to the annotated delay (loosely timed): queueing at
//   the channels, what the pattern of its addresses costs (hbm_timing.h), latency. Writes are posted: they end when
//   their bytes are taken.
//   Order: requests are served in the order of the calls.
//   Not modelled: which bank or channel an address lies in, pages left open by the request before, a controller that
//   sorts requests.
class Hbm : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<Hbm> socket{"socket"};

  Hbm(sc_core::sc_module_name name, const HbmParams& params, const ClockDomain& clock);
  void show_to(ObserverSpan observers) { observers_ = observers; }
  Bytes read() const { return read_; }
  Bytes written() const { return written_; }

 private:
  void transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

  ClockDomain clock_;
  HbmServer server_;
  double latency_;  // cycles
  ObserverSpan observers_;
  Bytes read_{0}, written_{0};
};

// Contract
//   Time: a hit takes L2's queue, transfer and latency; a miss also HBM's, at the same time. A tile whose first touch
//   is still under way is there for others when that transfer ends. Order: requests are served in the order of the
//   calls. Capacity: whole tiles, least recently used out first. Writes go through to HBM and stay resident. Not
//   modelled: sets and ways, lines, slices; a partial overlap of two tiles counts as two tiles.
class L2 : public sc_core::sc_module {
 public:
  tlm_utils::multi_passthrough_target_socket<L2> cores{"cores"};
  tlm_utils::simple_initiator_socket<L2> hbm{"hbm"};

  L2(sc_core::sc_module_name name, const L2Params& params, const ClockDomain& clock);
  void show_to(ObserverSpan observers) { observers_ = observers; }
  Bytes read() const { return read_; }
  Bytes written() const { return written_; }

 private:
  struct Line {
    Region region;
    Bytes bytes;
    double ready_at;  // cycle at which the tile's first touch has arrived
  };
  using Lru = std::list<Line>;

  void transport(int core, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  double fetch(tlm::tlm_generic_payload& payload, const TileExtension& tile, double arrival);
  void insert(const Region& region, Bytes bytes, double ready_at);

  ClockDomain clock_;
  Bytes capacity_;
  BandwidthServer server_;
  double latency_;  // cycles
  ObserverSpan observers_;
  Lru lru_;  // most recently used first
  boost::unordered_map<Region, Lru::iterator> resident_;
  Bytes used_{0};
  Bytes read_{0}, written_{0};
};

std::size_t hash_value(const Region& region);

}  // namespace oscsim::units
