// SPDX-License-Identifier: Apache-2.0
// Who looks on while a run simulates: timelines and waveforms (sim/report).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/units/chip.h"
#include "sim/workload/trace.h"

namespace oscsim {

struct SideResult;

enum class Side : std::uint8_t { scheme, baseline };
inline constexpr std::size_t kSides = 2;

// A piece of work of one side: a GEMM, or what several GEMMs share on their input.
struct WorkLabel {
  Side side{};
  std::string scheme;   // its name
  std::string name;     // of the GEMM or of the input
  std::string formats;  // "mxfp4 + bf16 branch"
  bool shared = false;
  Position position{};
  std::int64_t m = 0, n = 0, k = 0;  // no n in shared work
};

class Recorder : public units::Observer {
 public:
  // Before any work. InputError when it cannot record such a run.
  virtual void open(const units::MachineParams& machine, std::span<const Gemm> gemms) = 0;
  // The events that follow are of this work.
  virtual void begin_work(const WorkLabel& label) = 0;
  // The work is done; without events when it repeats the work called `same_as`, which is empty otherwise.
  virtual void end_work(const WorkLabel& label, const SideResult& result, const std::string& same_as) = 0;
};

using Recorders = std::vector<Recorder*>;

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::Side> {
  static constexpr std::pair<std::string_view, oscsim::Side> kValues[] = {{"scheme", oscsim::Side::scheme},
                                                                          {"baseline", oscsim::Side::baseline}};
};
