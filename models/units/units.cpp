// SPDX-License-Identifier: Apache-2.0
#include "models/units/units.h"

namespace oscsim::units {
namespace {

// Granularity at which a drain follows the matrix unit (CANN matmul_high_performance sample, 512-byte steps).
constexpr Bytes kFollowStep{512};

// Moves a tile through the memory socket; returns when the memory side is done with it.
template <class Socket, class Work>
Instant transport(Socket& socket, const ClockDomain& clock, tlm::tlm_command command, const Work& work, Cycles setup) {
  const Region& region = work.region;
  const Bytes bytes = work.bytes;
  ensure(bytes.count() < (std::int64_t{1} << 32), "{} of {} bytes in one transaction", region, bytes.count());
  tlm::tlm_generic_payload payload;
  payload.set_command(command);
  payload.set_address(work.address);
  payload.set_data_length(static_cast<unsigned>(bytes.count()));
  payload.set_streaming_width(static_cast<unsigned>(bytes.count()));
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  TileExtension tile;
  tile.region = region;
  tile.layout = work.layout;
  if constexpr (std::is_same_v<Work, LoadWork>) tile.whole = !work.elements;
  payload.set_extension(&tile);
  // The payload would free what it still has when the memory throws.
  const struct Lent {
    tlm::tlm_generic_payload& to;
    TileExtension& tile;
    ~Lent() { to.clear_extension(&tile); }
  } lent{payload, tile};
  sc_core::sc_time delay = clock.span(setup);
  socket->b_transport(payload, delay);
  ensure(payload.is_response_ok(), "{}: memory answered status {}", region,
         static_cast<int>(payload.get_response_status()));
  return clock.now() + clock.cycles_covering(delay);
}

Cycles gather_span(const GatherParams& params, const GatherWork& work) {
  return gather_time(params, work.row_time, work.rows, work.groups);
}

bool into_l1(const Command& command) {
  return command.writes.empty() ||
         (command.writes[0].ring != RingId::ub_in && command.writes[0].ring != RingId::ub_gathered);
}

template <class T>
const T& work_of(const Command& command, const char* unit) {
  const T* work = std::get_if<T>(&command.work);
  ensure(work != nullptr, "{}: a command of another unit (alternative {})", unit, command.work.index());
  return *work;
}

}  // namespace

LoadUnit::LoadUnit(sc_core::sc_module_name name, const UnitContext& context, const LoadParams& params,
                   const GatherParams& gather)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params), gather_(gather) {}

Cycles LoadUnit::port_time(const LoadWork& work) const {
  if (work.elements) return strided_time(gather_, params_, *work.elements);
  const Cycles port = load_time(params_, work.bytes, work.region.rows, work.sharers);
  return work.gather ? std::max(port, gather_span(gather_, *work.gather)) : port;
}

Pipe::Timing LoadUnit::start(const Command& command) {
  const auto& work = work_of<LoadWork>(command, name());
  count_load(activity(), command, work);
  if (work.bytes == Bytes(0)) return {.work = Cycles(0), .occupancy = Cycles(0), .release = now(), .done = now()};
  const Cycles port = port_time(work);
  const Instant delivered = transport(memory, clock(), tlm::TLM_READ_COMMAND, work, work.issue + params_.setup);
  const Instant done = std::max(now() + work.issue + port, delivered);
  const Instant moving = now() + work.issue + params_.setup;
  if (done > moving && into_l1(command))
    rings().l1_writes = {
        moving, done,
        BytesPerCycle(static_cast<double>(work.bytes.count()) / static_cast<double>((done - moving).count()))};
  return {
      .work = port, .occupancy = work.issue + port, .release = done, .done = done, .alone = now() + work.issue + port};
}

GatherUnit::GatherUnit(sc_core::sc_module_name name, const UnitContext& context, const GatherParams& params)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params) {}

Pipe::Timing GatherUnit::start(const Command& command) {
  const auto& work = work_of<GatherWork>(command, name());
  count_gather(activity(), work);
  const Cycles span = gather_span(params_, work);
  return {.work = span, .occupancy = span, .release = now() + span, .done = now() + span};
}

VectorUnit::VectorUnit(sc_core::sc_module_name name, const UnitContext& context, const VectorParams& params,
                       const GatherParams& gather)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params), gather_(gather) {}

Pipe::Timing VectorUnit::start(const Command& command) {
  Cycles span{0};
  if (const auto* passes = std::get_if<PassesWork>(&command.work)) {
    count_passes(activity(), command, *passes);
    span = passes_time(params_, passes->data);
  } else {
    const auto& work = work_of<VectorWork>(command, name());
    count_vector(activity(), command, work);
    const Cycles turn = work.gather ? gather_span(gather_, *work.gather) : Cycles(0);
    span = turn + vector_time(params_, work.input, work.passes);
  }
  return {.work = span, .occupancy = span, .release = now() + span, .done = now() + span};
}

FeedUnit::FeedUnit(sc_core::sc_module_name name, const UnitContext& context, const FeedParams& params)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params) {}

Pipe::Timing FeedUnit::start(const Command& command) {
  const auto& work = work_of<FeedWork>(command, name());
  count_feed(activity(), command, work);
  const Cycles alone = feed_time(params_, work.a, work.b);
  const Cycles span = feed_time(params_, work.a, work.b, rings().l1_writes.mean(now(), alone)) -
                      (work.free_setup ? params_.setup : Cycles(0));
  return {.work = span, .occupancy = std::max(span, work.issue), .release = now() + span, .done = now() + span};
}

MatrixUnit::MatrixUnit(sc_core::sc_module_name name, const UnitContext& context, const MatrixParams& params)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params) {}

Pipe::Timing MatrixUnit::start(const Command& command) {
  const auto& work = work_of<MatmulWork>(command, name());
  count_matmul(activity(), command, work, params_);
  MatrixTime time = matrix_time(params_, work.bits, work.m, work.n, work.k);
  if (work.free_gap) time.occupancy = time.operands = time.latency = time.work;
  return {.work = time.work,
          .occupancy = time.occupancy,
          .release = now() + time.operands,
          .done = now() + time.latency,
          .branch = work.branch};
}

DrainUnit::DrainUnit(sc_core::sc_module_name name, const UnitContext& context, const DrainParams& params)
    : Pipe(name, context.id, context.rings, context.clock, context.overlap), params_(params) {}

Pipe::Timing DrainUnit::start(const Command& command) {
  const auto& work = work_of<DrainWork>(command, name());
  count_drain(activity(), command, work, params_);
  const Cycles port = drain_time(params_, work.bytes, work.accumulators);
  Instant done = now() + port;
  for (const Read& read : command.reads) {
    const Instant ready = rings()[read.ring].slot(read.slot).ready;
    if (ready > now()) done = std::max(done, ready + transfer_time(kFollowStep, params_.rate));
  }
  const Instant alone = done;
  const Instant taken = transport(memory, clock(), tlm::TLM_WRITE_COMMAND, work, params_.setup);
  done = std::max(done, taken);
  const Cycles behind = std::min(work.first_step, done - now());
  return {.work = port,
          .occupancy = std::max(port, done - now()),
          .release = Instant(done.cycle() - behind.count()),
          .done = done,
          .alone = alone};
}

}  // namespace oscsim::units
