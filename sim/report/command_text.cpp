// SPDX-License-Identifier: Apache-2.0
#include "sim/report/command_text.h"

namespace oscsim {
namespace {

using units::Region;
using units::TensorId;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // clang 14 does not deduce aggregates

std::string range_text(std::int64_t first, std::int64_t count) {
  return fmt::format("{}..{}", first, first + count);
}

std::string_view part_name(units::CastPart part) {
  switch (part) {
    case units::CastPart::maximum:
      return "maximum";
    case units::CastPart::rest:
      return "rest";
    case units::CastPart::all:
      break;
  }
  return "all";
}

bool is_output(TensorId tensor) {
  return tensor == TensorId::output || tensor == TensorId::branch_output;
}

void add_region(JsonMembers& args, const Region& region) {
  args.add("tensor", name_of(region.tensor)).add("rows", range_text(region.row, region.rows));
  args.add(is_output(region.tensor) ? "columns" : "k_range", range_text(region.k, region.depth));
}

// What a command without a region of its own reads first.
void add_first_read(JsonMembers& args, const units::Command& command) {
  if (!command.reads.empty()) add_region(args, command.reads.front().region);
}

// An operand pair: rows of A and of B, over the same k.
void add_pair(JsonMembers& args, const Region& a, const Region& b) {
  args.add("tensors", fmt::format("{} x {}", name_of(a.tensor), name_of(b.tensor)));
  args.add("rows", range_text(a.row, a.rows)).add("columns", range_text(b.row, b.rows));
  args.add("k_range", range_text(a.k, a.depth));
}

}  // namespace

std::string command_name(const units::Command& command) {
  const Overloaded names{
      [](const units::LoadWork& work) { return std::string(name_of(work.region.tensor)); },
      [](const units::GatherWork&) { return std::string("gather"); },
      [](const units::VectorWork& work) { return fmt::format("cast {}", part_name(work.part)); },
      [](const units::PassesWork&) { return std::string("passes"); },
      [&](const units::FeedWork&) {
        const bool is_branch = !command.writes.empty() && command.writes.front().region.tensor == TensorId::branch_a;
        return std::string(is_branch ? "branch pair" : "pair");
      },
      [](const units::MatmulWork& work) { return fmt::format("{} bit{}", work.bits, work.branch ? " branch" : ""); },
      [](const units::DrainWork& work) { return std::string(name_of(work.region.tensor)); },
  };
  return std::visit(names, command.work);
}

void describe_command(const units::Command& command, JsonMembers& args) {
  const Overloaded add{
      [&](const units::LoadWork& work) {
        add_region(args, work.region);
        args.add("bytes", work.bytes.count());
      },
      [&](const units::GatherWork& work) {
        add_first_read(args, command);
        args.add("groups", work.groups);
      },
      [&](const units::VectorWork& work) {
        add_first_read(args, command);
        args.add("part", part_name(work.part)).add("bytes", work.input.count());
      },
      [&](const units::PassesWork& work) {
        add_first_read(args, command);
        args.add("bytes", work.data.count());
      },
      [&](const units::FeedWork& work) {
        if (!command.writes.empty() && command.writes.front().second)
          add_pair(args, command.writes.front().region, *command.writes.front().second);
        args.add("bytes_a", work.a.count()).add("bytes_b", work.b.count());
      },
      [&](const units::MatmulWork& work) {
        if (!command.reads.empty() && command.reads.front().second)
          add_pair(args, command.reads.front().region, *command.reads.front().second);
        args.add("m", work.m).add("n", work.n).add("k", work.k).add("bits", work.bits);
      },
      [&](const units::DrainWork& work) {
        add_region(args, work.region);
        args.add("bytes", work.bytes.count()).add("accumulators", work.accumulators);
      },
  };
  std::visit(add, command.work);
}

}  // namespace oscsim
