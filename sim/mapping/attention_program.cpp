// SPDX-License-Identifier: Apache-2.0
// Fused attention: scores go from the matrix unit through the vector unit back to the matrix unit. The scores of a tile
// are multiplied before the values of the tile before, so that matrix and vector unit work beside each other.
#include <algorithm>
#include <functional>
#include <queue>

#include "sim/mapping/attention_jobs.h"
#include "sim/mapping/tiling.h"

namespace oscsim {
namespace {

using units::Command;
using units::CommandStream;
using units::MachineParams;
using units::PipeId;
using units::Publish;
using units::Read;
using units::Region;
using units::RingId;
using units::TensorId;
using units::Write;

constexpr std::int64_t kAttentionSlots = 2;  // of queries, scores, probabilities and operand pairs

// What all streams of a core share; immutable.
struct CoreWork {
  AttentionPlan plan;
  MachineParams machine;
  AttentionTiling tiling;
  MatmulPass pass;
  PassUnit unit;
  std::vector<AttentionJob> jobs;

  const AttentionSizes& sizes() const { return plan.sizes; }
  Bytes bytes(std::int64_t rows, std::int64_t depth) const { return operand_bytes(machine, pass, rows, depth); }
};

// A tile of scores: where it is in its job, and how many tiles, stages and jobs came before it on this core.
class TileCursor {
 public:
  explicit TileCursor(const CoreWork& work) : work_(&work), key_(at_end() ? 0 : first_tile()) {}

  bool at_end() const { return job_ == static_cast<std::int64_t>(work_->jobs.size()); }
  const AttentionJob& job() const { return work_->jobs[static_cast<std::size_t>(job_)]; }
  std::int64_t job_index() const { return job_; }
  std::int64_t index() const { return index_; }
  std::int64_t stage_index() const { return stages_; }
  std::int64_t keys() const { return std::min(work_->tiling.keys, job().end_key - key_); }
  bool first_of_job() const { return key_ == first_tile(); }
  bool last_of_job() const { return key_ + work_->tiling.keys >= job().end_key; }
  bool first_of_stage() const { return first_of_job() || key_ % work_->tiling.stage == 0; }
  bool last_of_stage() const { return last_of_job() || (key_ + work_->tiling.keys) % work_->tiling.stage == 0; }

  void advance() {
    const bool ends_stage = last_of_stage(), ends_job = last_of_job();
    ++index_;
    key_ += work_->tiling.keys;
    if (ends_stage) ++stages_;
    if (!ends_job) return;
    ++job_;
    key_ = at_end() ? 0 : first_tile();
  }

  Region queries(std::int64_t k, std::int64_t depth) const { return rows_of(TensorId::a, k, depth); }
  Region output() const { return rows_of(TensorId::output, 0, work_->sizes().head_dim); }
  Region scores(std::int64_t first, std::int64_t count) const { return rows_of(TensorId::scores, key_ + first, count); }
  // `count` keys from the tile's `first` one on.
  Region keys_or_values(TensorId tensor, std::int64_t first, std::int64_t count, std::int64_t k,
                        std::int64_t depth) const {
    return {tensor, job().pair * work_->sizes().keys + key_ + first, count, k, depth};
  }
  // The stage that holds the tile: whole, whether or not the job needs all of it, so that every job loads the same.
  Region stage(TensorId tensor) const {
    const std::int64_t first = key_ / work_->tiling.stage * work_->tiling.stage;
    const std::int64_t count = std::min(work_->tiling.stage, work_->sizes().keys - first);
    return {tensor, job().pair * work_->sizes().keys + first, count, 0, work_->sizes().head_dim};
  }

 private:
  std::int64_t first_tile() const { return job().first_key / work_->tiling.keys * work_->tiling.keys; }
  Region rows_of(TensorId tensor, std::int64_t k, std::int64_t depth) const {
    return {tensor, job().pair * stacked_rows(work_->sizes()) + job().row, job().rows, k, depth};
  }

  const CoreWork* work_;
  std::int64_t job_ = 0, key_;
  std::int64_t index_ = 0, stages_ = 0;
};

// The steps of the matrix unit in program order: scores of the first tile; then in turn scores of the next tile and
// values of the one before.
class AttentionSteps {
 public:
  explicit AttentionSteps(const CoreWork& work) : work_(&work), scores_(work), values_(work) {}

  bool at_end() const { return values_.at_end(); }
  bool is_scores() const { return on_scores_; }
  const TileCursor& tile() const { return on_scores_ ? scores_ : values_; }
  std::int64_t k() const { return k_; }
  std::int64_t depth() const { return std::min(step(), extent() - k_); }
  bool first() const { return k_ == 0; }
  bool last() const { return k_ + step() >= extent(); }
  std::int64_t operand_slot() const { return steps_ % kAttentionSlots; }

  void advance() {
    ++steps_;
    const bool ends = last();
    k_ += step();
    if (!ends) return;
    k_ = 0;
    const bool first_tile = on_scores_ && scores_.index() == 0;
    (on_scores_ ? scores_ : values_).advance();
    on_scores_ = (first_tile || !on_scores_) && !scores_.at_end();
  }

 private:
  std::int64_t step() const { return on_scores_ ? work_->tiling.step_d : work_->tiling.step_keys; }
  std::int64_t extent() const { return on_scores_ ? work_->sizes().head_dim : values_.keys(); }

  const CoreWork* work_;
  TileCursor scores_, values_;
  bool on_scores_ = true;
  std::int64_t k_ = 0, steps_ = 0;
};

// Where rows of `row` bytes lie in memory: [sequence, token, head, channel], as projections write them. A pair has
// `heads` neighbouring heads; `first` and `rows` count its rows token by token.
struct Place {
  std::uint64_t address = 0;
  units::Layout layout;
};

struct HeadRows {
  TensorId tensor{};
  std::int64_t heads = 1;
  std::int64_t tokens = 0;  // of a sequence
  Bytes row{0};
};

Place place_of(const AttentionSizes& sizes, const HeadRows& in, const AttentionJob& job, std::int64_t first,
               std::int64_t rows) {
  const std::int64_t sequence = job.pair / sizes.kv_heads, pair = job.pair % sizes.kv_heads;
  const std::int64_t all_heads = sizes.kv_heads * in.heads;
  const std::int64_t index = (sequence * in.tokens + first / in.heads) * all_heads + pair * in.heads;
  return {((static_cast<std::uint64_t>(in.tensor) + 1) << 44) + static_cast<std::uint64_t>(index * in.row.count()),
          units::rows_in(in.row * rows, tiles_of(rows, in.heads), in.row * all_heads)};
}

// Queries of a job, then keys and values stage by stage.
class AttentionLoad : public CommandStream {
 public:
  explicit AttentionLoad(std::shared_ptr<const CoreWork> work) : work_(std::move(work)), at_(*work_) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const std::int64_t head_dim = work_->sizes().head_dim;
    const std::int64_t stage_slot = at_.stage_index() % work_->tiling.stage_slots;
    switch (std::exchange(operand_, operand_ + 1)) {
      case 0:
        if (at_.first_of_job()) {
          emit(command, at_.queries(0, head_dim), RingId::l1_a, at_.job_index() % kAttentionSlots);
          return true;
        }
        operand_ = 2;
        [[fallthrough]];
      case 1:
        emit(command, at_.stage(TensorId::b), RingId::l1_b, stage_slot);
        return true;
      default:
        emit(command, at_.stage(TensorId::values), RingId::l1_v, stage_slot);
        operand_ = 0;
        while (!at_.last_of_stage()) at_.advance();
        at_.advance();
        return true;
    }
  }

 private:
  void emit(Command& command, const Region& region, RingId ring, std::int64_t slot) const {
    const AttentionSizes& sizes = work_->sizes();
    const bool queries = ring == RingId::l1_a;
    const std::int64_t group = queries ? sizes.group() : 1, tokens = queries ? sizes.queries : sizes.keys;
    const HeadRows rows{region.tensor, group, tokens, work_->bytes(1, sizes.head_dim)};
    const std::int64_t first = region.row - at_.job().pair * tokens * group;
    const Place place = place_of(sizes, rows, at_.job(), first, region.rows);
    units::LoadWork load;
    load.region = region;
    load.address = place.address;
    load.layout = place.layout;
    load.bytes = work_->bytes(region.rows, region.depth);
    if (queries) load.issue = work_->machine.core.issue.per_tile(true);
    command.work = load;
    command.writes.push_back({ring, slot, region, std::nullopt, true, Publish::at_end});
  }

  std::shared_ptr<const CoreWork> work_;
  TileCursor at_;
  int operand_ = 0;  // queries, keys, values
};

class AttentionFeed : public CommandStream {
 public:
  explicit AttentionFeed(std::shared_ptr<const CoreWork> work) : work_(std::move(work)), at_(*work_) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const TileCursor& tile = at_.tile();
    const std::int64_t stage_slot = tile.stage_index() % work_->tiling.stage_slots;
    const bool takes_stage = tile.first_of_stage() && at_.first();
    const bool gives_stage = tile.last_of_stage() && at_.last();
    Region a, b;
    if (at_.is_scores()) {
      a = tile.queries(at_.k(), at_.depth());
      b = tile.keys_or_values(TensorId::b, 0, tile.keys(), at_.k(), at_.depth());
      read(command, RingId::l1_a, tile.job_index() % kAttentionSlots, a, tile.first_of_job() && at_.first(),
           tile.last_of_job() && at_.last());
      read(command, RingId::l1_b, stage_slot, b, takes_stage, gives_stage);
    } else {
      a = tile.scores(at_.k(), at_.depth());
      b = tile.keys_or_values(TensorId::values, at_.k(), at_.depth(), 0, work_->sizes().head_dim);
      read(command, RingId::probs, tile.index() % kAttentionSlots, a, at_.first(), at_.last());
      read(command, RingId::l1_v, stage_slot, b, takes_stage, gives_stage);
    }
    command.work = units::FeedWork{work_->bytes(a.rows, a.depth),
                                   at_.is_scores() ? work_->bytes(b.rows, b.depth) : work_->bytes(b.depth, b.rows),
                                   work_->machine.core.issue.per_step(true)};
    command.writes.push_back({work_->unit.operands, at_.operand_slot(), a, b, true, Publish::at_end});
    at_.advance();
    return true;
  }

 private:
  static void read(Command& command, RingId ring, std::int64_t slot, const Region& region, bool take, bool give) {
    command.reads.push_back({ring, slot, region, std::nullopt, take, give});
  }

  std::shared_ptr<const CoreWork> work_;
  AttentionSteps at_;
};

class AttentionMatrix : public CommandStream {
 public:
  explicit AttentionMatrix(std::shared_ptr<const CoreWork> work) : work_(std::move(work)), at_(*work_) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const TileCursor& tile = at_.tile();
    const int bits = work_->pass.bits();
    const std::int64_t head_dim = work_->sizes().head_dim;
    Read operands{work_->unit.operands, at_.operand_slot(), {}, std::nullopt, true, true};
    if (at_.is_scores()) {
      command.work = units::MatmulWork{bits, tile.job().rows, tile.keys(), at_.depth(), false};
      operands.region = tile.queries(at_.k(), at_.depth());
      operands.second = tile.keys_or_values(TensorId::b, 0, tile.keys(), at_.k(), at_.depth());
      command.writes.push_back({RingId::scores, tile.index() % kAttentionSlots, tile.scores(0, tile.keys()),
                                std::nullopt, at_.first(), at_.last() ? Publish::at_end : Publish::no});
    } else {
      command.work = units::MatmulWork{bits, tile.job().rows, head_dim, at_.depth(), false};
      operands.region = tile.scores(at_.k(), at_.depth());
      operands.second = tile.keys_or_values(TensorId::values, at_.k(), at_.depth(), 0, head_dim);
      command.writes.push_back({work_->unit.accumulators, tile.job_index() % work_->tiling.output_slots, tile.output(),
                                std::nullopt, tile.first_of_job() && at_.first(),
                                tile.last_of_job() && at_.last() ? Publish::at_end : Publish::no});
    }
    command.reads.push_back(operands);
    at_.advance();
    return true;
  }

 private:
  std::shared_ptr<const CoreWork> work_;
  AttentionSteps at_;
};

class SoftmaxStream : public CommandStream {
 public:
  explicit SoftmaxStream(std::shared_ptr<const CoreWork> work) : work_(std::move(work)), at_(*work_) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const Region tile = at_.scores(0, at_.keys());
    command.work =
        units::PassesWork{softmax_bytes(at_.job().rows, at_.keys(), work_->sizes().head_dim, at_.last_of_job())};
    command.reads.push_back({RingId::scores, at_.index() % kAttentionSlots, tile, std::nullopt, true, true});
    command.writes.push_back({RingId::probs, at_.index() % kAttentionSlots, tile, std::nullopt, true, Publish::at_end});
    at_.advance();
    return true;
  }

 private:
  std::shared_ptr<const CoreWork> work_;
  TileCursor at_;
};

class AttentionDrain : public CommandStream {
 public:
  explicit AttentionDrain(std::shared_ptr<const CoreWork> work) : work_(std::move(work)), at_(*work_) {}

  bool next(Command& command) override {
    if (at_.at_end()) return false;
    const Bytes element = work_->machine.core.drain.output_element;
    const std::int64_t head_dim = work_->sizes().head_dim;
    units::DrainWork drain;
    drain.region = at_.output();
    drain.bytes = element * (drain.region.rows * head_dim);
    const HeadRows rows{TensorId::output, work_->sizes().group(), work_->sizes().queries, element * head_dim};
    const Place place = place_of(work_->sizes(), rows, at_.job(), at_.job().row, at_.job().rows);
    drain.address = place.address;
    drain.layout = place.layout;
    command.work = drain;
    command.reads.push_back({work_->unit.accumulators, at_.job_index() % work_->tiling.output_slots, drain.region,
                             std::nullopt, true, true});
    while (!at_.last_of_job()) at_.advance();
    at_.advance();
    return true;
  }

 private:
  std::shared_ptr<const CoreWork> work_;
  TileCursor at_;
};

// The longest first, each to the core with the least work; ties go to the earlier job and the lower core.
std::vector<std::vector<AttentionJob>> dealt_jobs(const AttentionSizes& sizes, std::int64_t rows, std::int64_t cores) {
  std::vector<AttentionJob> jobs;
  const std::int64_t blocks = row_blocks(sizes, rows);
  for (std::int64_t pair = 0; pair < attention_pairs(sizes); ++pair)
    for (std::int64_t block = 0; block < blocks; ++block) jobs.push_back(attention_job(sizes, rows, pair, block));
  std::ranges::stable_sort(jobs, std::greater{}, [](const AttentionJob& job) { return job.rows * job.keys(); });
  using Load = std::pair<std::int64_t, std::size_t>;  // work so far, core
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  std::vector<std::vector<AttentionJob>> dealt(std::min<std::size_t>(jobs.size(), static_cast<std::size_t>(cores)));
  for (std::size_t core = 0; core < dealt.size(); ++core) loads.emplace(0, core);
  for (const AttentionJob& job : jobs) {
    const auto [load, core] = loads.top();
    loads.pop();
    dealt[core].push_back(job);
    loads.emplace(load + job.rows * job.keys(), core);
  }
  return dealt;
}

}  // namespace

units::Program attention_program(const AttentionPlan& plan, const MachineParams& machine,
                                 const AttentionTiling& tiling) {
  const MatmulPass pass = attention_pass(plan);
  const PassUnit unit = unit_of(machine, pass);
  units::Program program;
  program.primary = unit.pipe;
  for (std::vector<AttentionJob>& jobs : dealt_jobs(plan.sizes, tiling.rows, machine.cores)) {
    const auto work = std::make_shared<const CoreWork>(CoreWork{plan, machine, tiling, pass, unit, std::move(jobs)});
    units::CoreProgram& part = program.cores.emplace_back();
    const auto stream = [&](PipeId pipe) -> auto& {
      return part.streams[static_cast<std::size_t>(pipe)];
    };
    stream(PipeId::load) = std::make_unique<AttentionLoad>(work);
    stream(PipeId::feed) = std::make_unique<AttentionFeed>(work);
    stream(unit.pipe) = std::make_unique<AttentionMatrix>(work);
    stream(PipeId::vector) = std::make_unique<SoftmaxStream>(work);
    stream(PipeId::drain) = std::make_unique<AttentionDrain>(work);
    const auto slots = [&](RingId ring) -> std::int64_t& { return part.slots[static_cast<std::size_t>(ring)]; };
    for (const RingId ring : {RingId::l1_a, RingId::scores, RingId::probs, unit.operands})
      slots(ring) = kAttentionSlots;
    slots(RingId::l1_b) = slots(RingId::l1_v) = tiling.stage_slots;
    slots(unit.accumulators) = tiling.output_slots;
  }
  return program;
}

}  // namespace oscsim
