// SPDX-License-Identifier: Apache-2.0
// What the chip executes: for each core and pipe a lazy stream of commands. Buffers are rings of slots; a slot's data
// and a slot's space are tokens that commands take and give.
#pragma once

#include <fmt/format.h>

#include <array>
#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/base/quantity.h"
#include "models/base/schema.h"
#include "models/units/hbm_timing.h"
#include "models/units/vector_timing.h"

namespace oscsim::units {

enum class PipeId : std::uint8_t { load, gather, vector, feed, tensor, branch, drain };
inline constexpr std::size_t kPipes = 7;

// Who can be at work on what a pipe waits for: a pipe, or the memory behind a load or a drain. Pipes first.
enum class Worker : std::uint8_t { load, gather, vector, feed, tensor, branch, drain, memory };
inline constexpr std::size_t kWorkers = kPipes + 1;
constexpr Worker worker_of(PipeId pipe) {
  return static_cast<Worker>(pipe);
}

// A ring: slots filled and emptied in order. Rings of one buffer share its capacity; the mapper sees to that.
enum class RingId : std::uint8_t {
  l1_a,         // stages of A in L1
  l1_b,         // stages of B in L1
  l1_a_scales,  // block scales of A in L1
  l1_b_scales,  // block scales of B in L1
  l0,           // operand pairs in L0A and L0B (tensor unit)
  l0_branch,    // operand pairs of a branch unit of its own
  l0c,          // output tiles in the tensor unit's accumulators
  scores,       // tiles of attention scores in the accumulators of the unit that multiplies them
  probs,        // the same tiles after the softmax, in L1
  l1_v,         // stages of attention's values in L1, beside the keys in l1_b
  branch_acc,   // output tiles in a branch unit's accumulators
  ub_in,        // activation tiles in the unified buffer
  ub_gathered,  // the same tiles after the gather engine
  ub_out,       // quantised tiles
};
inline constexpr std::size_t kRings = 14;

// Tensors of one program, as far as the machine tells them apart.
enum class TensorId : std::uint8_t {
  a,
  b,
  branch_a,
  branch_b,
  output,
  branch_output,
  x,
  x_out,
  a_scales,
  b_scales,
  values,  // of attention; its queries are a, its keys b
  scores,
};

// Rows [row, row + rows) and reduction range [k, k + depth) of a tensor; an output's columns stand in k and depth.
struct Region {
  TensorId tensor{};
  std::int64_t row = 0, rows = 0, k = 0, depth = 0;

  bool contains(const Region& part) const {
    return tensor == part.tensor && row <= part.row && part.row + part.rows <= row + rows && k <= part.k &&
           part.k + part.depth <= k + depth;
  }
  friend bool operator==(const Region&, const Region&) = default;
  std::string text() const;
};

enum class Publish : std::uint8_t {
  no,        // further commands go on filling the slot
  at_start,  // readers may follow the writer through the slot
  at_end,    // readers wait for the end
};

// A command's use of a slot it reads. `take`: wait for the slot's data (the first reader of a filling does).
// `give`: free the slot when the command has read it (the last reader does).
struct Read {
  RingId ring{};
  std::int64_t slot = 0;
  Region region;
  std::optional<Region> second;  // a slot of operand pairs holds two regions
  bool take = false;
  bool give = false;
};

// A command's use of a slot it writes. `take`: wait for a free slot.
struct Write {
  RingId ring{};
  std::int64_t slot = 0;
  Region region;
  std::optional<Region> second;
  bool take = false;
  Publish publish = Publish::no;
};

struct GatherWork {
  Cycles row_time{0};
  std::int64_t rows = 0, groups = 0;
  std::int64_t empty_groups = 0;  // of them, without an outlier
};
struct LoadWork {
  Region region;
  std::uint64_t address = 0;                  // of the region's first byte, for memory models with banks and rows
  Bytes bytes{0};                             // 0: nothing to do
  Cycles issue{0};                            // the pipe waits so long for the command
  std::int64_t sharers = 1;                   // cores that read the same rows
  std::optional<std::int64_t> elements = {};  // only so many single elements of the region, by strided reads
  std::optional<GatherWork> gather = {};      // by an engine on the load path
  Layout layout{};
};
struct VectorWork {
  Bytes input{0};
  std::int64_t passes = 1;
  std::optional<GatherWork> gather = {};  // before the passes, by an engine that shares the buffer's ports
  CastPart part = CastPart::all;          // of the cast: a name for people, `passes` is its time
};
// Vector instructions that are no cast: normalisation, softmax, element-wise operations.
struct PassesWork {
  Bytes data{0};  // that they go over, all of them together
};
struct FeedWork {
  Bytes a{0}, b{0};
  Cycles issue{0};          // from one command to the next at least
  bool free_setup = false;  // for machines that leave out what a branch costs
};
struct MatmulWork {
  int bits = 0;
  std::int64_t m = 0, n = 0, k = 0;
  bool branch = false;
  bool free_gap = false;  // as free_setup
};
struct DrainWork {
  Region region;
  std::uint64_t address = 0;
  Bytes bytes{0};
  std::int64_t accumulators = 1;
  Cycles first_step{0};  // of the next tile, in cubes: how far it may follow this drain through the buffer, if at all
  bool output = false;   // an output tile: its values are computed when the command retires
  Layout layout{};
};
using Work = std::variant<LoadWork, GatherWork, VectorWork, FeedWork, MatmulWork, DrainWork, PassesWork>;

struct Command {
  Work work;
  boost::container::static_vector<Read, 4> reads;
  boost::container::static_vector<Write, 1> writes;
};

// Commands of one pipe in order, made when they are asked for: a program's memory does not grow with the GEMM.
class CommandStream {
 public:
  virtual ~CommandStream() = default;
  // Fills `command` and returns true, or returns false at the end.
  virtual bool next(Command& command) = 0;
};

struct CoreProgram {
  std::array<std::unique_ptr<CommandStream>, kPipes> streams;  // null: the pipe has nothing to do
  std::array<std::int64_t, kRings> slots{};                    // of each ring
};

struct Program {
  std::vector<CoreProgram> cores;  // at most the machine's; further cores stay idle
  PipeId primary{};                // the pipe whose time the cycle stack explains
};

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::PipeId> {
  using Pipe = oscsim::units::PipeId;
  static constexpr std::pair<std::string_view, Pipe> kValues[] = {
      {"load", Pipe::load},     {"gather", Pipe::gather}, {"vector", Pipe::vector}, {"feed", Pipe::feed},
      {"tensor", Pipe::tensor}, {"branch", Pipe::branch}, {"drain", Pipe::drain}};
};
template <>
struct oscsim::EnumNames<oscsim::units::Worker> {
  using Worker = oscsim::units::Worker;
  static constexpr std::pair<std::string_view, Worker> kValues[] = {
      {"load", Worker::load},     {"gather", Worker::gather}, {"vector", Worker::vector}, {"feed", Worker::feed},
      {"tensor", Worker::tensor}, {"branch", Worker::branch}, {"drain", Worker::drain},   {"memory", Worker::memory}};
};
template <>
struct oscsim::EnumNames<oscsim::units::RingId> {
  using Ring = oscsim::units::RingId;
  static constexpr std::pair<std::string_view, Ring> kValues[] = {{"l1_a", Ring::l1_a},
                                                                  {"l1_b", Ring::l1_b},
                                                                  {"l1_a_scales", Ring::l1_a_scales},
                                                                  {"l1_b_scales", Ring::l1_b_scales},
                                                                  {"l0", Ring::l0},
                                                                  {"l0_branch", Ring::l0_branch},
                                                                  {"l0c", Ring::l0c},
                                                                  {"branch_acc", Ring::branch_acc},
                                                                  {"scores", Ring::scores},
                                                                  {"probs", Ring::probs},
                                                                  {"l1_v", Ring::l1_v},
                                                                  {"ub_in", Ring::ub_in},
                                                                  {"ub_gathered", Ring::ub_gathered},
                                                                  {"ub_out", Ring::ub_out}};
};
template <>
struct oscsim::EnumNames<oscsim::units::TensorId> {
  using Tensor = oscsim::units::TensorId;
  static constexpr std::pair<std::string_view, Tensor> kValues[] = {{"a", Tensor::a},
                                                                    {"b", Tensor::b},
                                                                    {"branch_a", Tensor::branch_a},
                                                                    {"branch_b", Tensor::branch_b},
                                                                    {"output", Tensor::output},
                                                                    {"branch_output", Tensor::branch_output},
                                                                    {"x", Tensor::x},
                                                                    {"x_out", Tensor::x_out},
                                                                    {"a_scales", Tensor::a_scales},
                                                                    {"b_scales", Tensor::b_scales},
                                                                    {"values", Tensor::values},
                                                                    {"scores", Tensor::scores}};
};

// A message names a region by its text(), which is made only when the message is.
template <>
struct fmt::formatter<oscsim::units::Region> : fmt::formatter<std::string> {
  auto format(const oscsim::units::Region& region, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(region.text(), context);
  }
};
