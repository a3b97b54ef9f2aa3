// SPDX-License-Identifier: Apache-2.0
// A quantity by parts, and how much of each part rests on assumed numbers.
#pragma once

#include <array>

#include "models/base/schema.h"

namespace oscsim::cost {

struct Amount {
  double value = 0;
  double assumed = 0;  // of the value

  void add(double part, bool is_assumed) {
    value += part;
    if (is_assumed) assumed += part;
  }
};

template <NamedEnum Part>
class Breakdown {
 public:
  static constexpr std::size_t kParts = std::size(EnumNames<Part>::kValues);

  Amount& operator[](Part part) { return parts_[static_cast<std::size_t>(part)]; }
  const Amount& operator[](Part part) const { return parts_[static_cast<std::size_t>(part)]; }

  // The parts of `other`, `times` over.
  void add(const Breakdown& other, double times = 1) {
    for (std::size_t i = 0; i < kParts; ++i) {
      parts_[i].value += other.parts_[i].value * times;
      parts_[i].assumed += other.parts_[i].assumed * times;
    }
  }
  double total() const { return sum(&Amount::value); }
  // Of the total, 0 to 1.
  double assumed_share() const { return total() > 0 ? sum(&Amount::assumed) / total() : 0; }

 private:
  double sum(double Amount::*member) const {
    double total = 0;
    for (const Amount& part : parts_) total += part.*member;
    return total;
  }

  std::array<Amount, kParts> parts_{};
};

enum class EnergyPart : std::uint8_t {
  tensor,      // multiply-accumulates of the tensor unit but the branch's
  branch,      // of the 16-bit branch, on whichever unit
  accumulate,  // FP32 additions of both
  l0,          // operand buffers
  l0c,         // accumulators
  l1,
  ub,
  gather,  // crossbar and channel table
  vector,
  l2,
  hbm,  // main memory of any kind
  leakage,
};
enum class AreaPart : std::uint8_t { tensor, branch, gather, vector, buffers, l2 };

}  // namespace oscsim::cost

template <>
struct oscsim::EnumNames<oscsim::cost::EnergyPart> {
  using Part = oscsim::cost::EnergyPart;
  static constexpr std::pair<std::string_view, Part> kValues[] = {
      {"tensor", Part::tensor}, {"branch", Part::branch}, {"accumulate", Part::accumulate},
      {"l0", Part::l0},         {"l0c", Part::l0c},       {"l1", Part::l1},
      {"ub", Part::ub},         {"gather", Part::gather}, {"vector", Part::vector},
      {"l2", Part::l2},         {"hbm", Part::hbm},       {"leakage", Part::leakage}};
};
template <>
struct oscsim::EnumNames<oscsim::cost::AreaPart> {
  using Part = oscsim::cost::AreaPart;
  static constexpr std::pair<std::string_view, Part> kValues[] = {{"tensor", Part::tensor},   {"branch", Part::branch},
                                                                  {"gather", Part::gather},   {"vector", Part::vector},
                                                                  {"buffers", Part::buffers}, {"l2", Part::l2}};
};

namespace oscsim::cost {

using Energy = Breakdown<EnergyPart>;  // microjoules
using Area = Breakdown<AreaPart>;      // square millimetres

}  // namespace oscsim::cost
