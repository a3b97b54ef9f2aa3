// SPDX-License-Identifier: Apache-2.0
// The way of a tile of X [rows, depth] through load, gather and vector pipes: the work of each, by format and by the
// machine's gather. A prologue (activation_program.cpp) and a GEMM that casts for itself (fused_activation.cpp) use it.
#pragma once

#include <optional>

#include "models/schemes/channel_table.h"
#include "models/schemes/plan.h"
#include "models/units/machine.h"
#include "models/units/program.h"

namespace oscsim {

inline constexpr std::int64_t kInputBytes = 2;       // activations arrive in 16 bit, and are gathered in it
inline constexpr std::int64_t kActivationSlots = 2;  // tiles in the unified buffer: double buffering

// Channels [k, k + depth) of X.
struct Chunk {
  std::int64_t k = 0, depth = 0;
  units::CastPart part = units::CastPart::all;
  std::int64_t groups = 0, outliers = 0;  // outlier channels that it may and does hold
  Cycles row_time{0};                     // of a gather engine, for one row
};

class ActivationPath {
 public:
  // `table` is needed when channels are gathered. InputError when the machine cannot gather.
  ActivationPath(const ActivationPlan& plan, const units::MachineParams& machine, const ChannelTable* table);

  bool gathers() const { return group_ > 0; }
  std::int64_t group() const { return group_; }
  // The gather pipe has commands of its own.
  bool engine() const { return gathers() && mode_ == units::GatherMode::on_chip && own_ports_; }
  // Outliers are loads of their own.
  bool strided() const { return gathers() && mode_ == units::GatherMode::strided_dma; }

  Chunk chunk(std::int64_t k, std::int64_t depth, units::CastPart part) const;
  // Codes, and scales where the machine counts them, of a tile after the cast.
  Bytes quantised_bytes(std::int64_t rows, std::int64_t depth) const;
  Bytes gathered_bytes(std::int64_t rows, std::int64_t depth) const;

  // X has rows of `k` channels.
  units::LoadWork load(const units::Region& x, std::uint64_t address, const Chunk& chunk, std::int64_t k) const;
  units::LoadWork strided_load(const units::Region& x, std::uint64_t address, std::int64_t outliers) const;
  units::GatherWork gather(std::int64_t rows, const Chunk& chunk) const;
  units::VectorWork vector(std::int64_t rows, const Chunk& chunk) const;

 private:
  const numerics::FormatInfo& format_;
  units::VectorParams vector_;
  units::GatherParams gather_;
  units::GatherMode mode_;
  bool own_ports_;
  bool count_scales_;
  std::int64_t group_;
  ChannelTable table_;
};

}  // namespace oscsim
