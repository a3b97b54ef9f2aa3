// SPDX-License-Identifier: Apache-2.0
// Energy of each action and area of each part in one technology node, as data: every number carries where it comes
// from. configs/costs holds the ready tables.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/base/memory_kind.h"
#include "models/base/schema.h"

namespace oscsim::cost {

enum class SourceClass : std::uint8_t { datasheet, paper, measured, assumed };

// A number and its source.
template <class Value>
struct Sourced {
  Value value{};
  SourceClass source_class = SourceClass::assumed;
  std::string source;

  bool is_assumed() const { return source_class == SourceClass::assumed; }

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("value", self.value, {.min = 0, .max = 1e12, .required = true, .meaning = "the number"});
    visit("class", self.source_class, {.required = true, .meaning = "what kind of source it has"});
    visit("source", self.source,
          {.required = true, .meaning = "where it comes from; of an assumed number: what it was derived from"});
  }
  void check(std::vector<std::string>& problems) const {
    if (source.empty()) problems.push_back("source is empty; say where the number comes from");
  }
};

// Multiply-accumulates that a matrix unit tells apart.
enum class MacKind : std::uint8_t { int4, mxfp4, nvfp4, hif4, int8, fp8, bf16, fp16 };
inline constexpr std::size_t kMacKinds = 8;
constexpr int bits_of(MacKind kind) {
  return kind <= MacKind::hif4 ? 4 : kind <= MacKind::fp8 ? 8 : 16;
}

// Widths of operands: 4, 8 and 16 bit.
inline constexpr std::size_t kWidths = 3;
constexpr std::size_t width_index(int bits) {
  return bits == 4 ? 0 : bits == 8 ? 1 : 2;
}

// Energy of a byte of an SRAM of `capacity`, read or written.
struct SramPoint : Sourced<Picojoules> {
  Bytes capacity{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("capacity", self.capacity, {.min = 1, .max = 1e15, .required = true, .meaning = "of the memory"});
    Sourced<Picojoules>::fields(visit, self);
  }
};

}  // namespace oscsim::cost

template <>
struct oscsim::EnumNames<oscsim::cost::SourceClass> {
  using Class = oscsim::cost::SourceClass;
  static constexpr std::pair<std::string_view, Class> kValues[] = {{"datasheet", Class::datasheet},
                                                                   {"paper", Class::paper},
                                                                   {"measured", Class::measured},
                                                                   {"assumed", Class::assumed}};
};
template <>
struct oscsim::EnumNames<oscsim::cost::MacKind> {
  using Kind = oscsim::cost::MacKind;
  static constexpr std::pair<std::string_view, Kind> kValues[] = {
      {"int4", Kind::int4}, {"mxfp4", Kind::mxfp4}, {"nvfp4", Kind::nvfp4}, {"hif4", Kind::hif4},
      {"int8", Kind::int8}, {"fp8", Kind::fp8},     {"bf16", Kind::bf16},   {"fp16", Kind::fp16}};
};

namespace oscsim::cost {

// A number for each name of an enumeration.
template <class Value, NamedEnum Enum, std::size_t count>
struct SourcedByKind {
  std::array<Sourced<Value>, count> kinds;

  const Sourced<Value>& operator[](Enum kind) const { return kinds[static_cast<std::size_t>(kind)]; }

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    for (const auto& [name, kind] : EnumNames<Enum>::kValues)
      visit(name, self.kinds[static_cast<std::size_t>(kind)],
            {.required = true, .meaning = "a number, its class and its source"});
  }
};

struct EnergyCosts {
  SourcedByKind<Picojoules, MacKind, kMacKinds> mac;
  SourcedByKind<Picojoules, MacKind, kMacKinds> add;
  Sourced<Picojoules> accumulate;
  std::vector<SramPoint> sram;
  SourcedByKind<Picojoules, MemoryKind, kMemoryKinds> memory;
  Sourced<Picojoules> gather_element;
  Sourced<Picojoules> vector_element;
  Sourced<PowerDensity> leakage;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("mac", self.mac,
          {.required = true,
           .meaning = "one multiply-accumulate, its addition and its block scale included, by operands"});
    visit("add", self.add,
          {.required = true,
           .meaning = "the addition in it: of a dot product's k0 additions all but the last, which is `accumulate`; "
                      "integers without block scales add up all of K so, and never accumulate"});
    visit("accumulate", self.accumulate,
          {.required = true, .meaning = "one FP32 addition of a dot product to its accumulator"});
    visit("sram", self.sram,
          {.required = true,
           .meaning = "one byte read or written, by capacity: buffers, L2 and channel table; between two "
                      "capacities by a power law, beyond the last one by the last law, which is then assumed"});
    visit("memory", self.memory, {.required = true, .meaning = "one byte read or written, by kind of main memory"});
    visit("gather_element", self.gather_element,
          {.required = true, .meaning = "one 16-bit element through the gather engine's crossbar"});
    visit("vector_element", self.vector_element,
          {.required = true, .meaning = "one vector instruction on one 16-bit element, registers included"});
    visit("leakage", self.leakage, {.required = true, .meaning = "of all area, all the time"});
  }
  void check(std::vector<std::string>& problems) const;
};

struct AreaCosts {
  SourcedByKind<SquareMicrometres, MacKind, kMacKinds> mac;
  Sourced<SquareMicrometres> accumulate;
  Sourced<double> multi_width;
  Sourced<SquareMicrometres> sram_bit;
  Sourced<double> sram_overhead;
  Sourced<SquareMicrometres> gather_lane;
  Sourced<SquareMicrometres> gather_crosspoint;
  Sourced<SquareMicrometres> vector_byte;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit(
        "mac", self.mac,
        {.required = true,
         .meaning = "one multiply-accumulate per cycle of a dot product, its share of the adder tree and of the block "
                    "scale included, before the FP32 adder"});
    visit("accumulate", self.accumulate, {.required = true, .meaning = "one FP32 adder"});
    visit("multi_width", self.multi_width,
          {.required = true,
           .meaning = "of the multipliers of further widths: the part that cannot be shared with the largest"});
    visit("sram_bit", self.sram_bit, {.required = true, .meaning = "one bit cell"});
    visit("sram_overhead", self.sram_overhead,
          {.required = true, .meaning = "area of a memory over that of its bit cells"});
    visit("gather_lane", self.gather_lane,
          {.required = true, .meaning = "one lane of the gather engine: addresses, zeroing"});
    visit("gather_crosspoint", self.gather_crosspoint,
          {.required = true, .meaning = "one 16-bit crossing of a lane and a bank"});
    visit("vector_byte", self.vector_byte,
          {.required = true, .meaning = "vector unit, for each byte of input per cycle"});
  }
  void check(std::vector<std::string>& problems) const;
};

struct CostTable {
  std::string description;
  std::string node;
  EnergyCosts energy;
  AreaCosts area;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("description", self.description, {.meaning = "one line for people"});
    visit("node", self.node, {.required = true, .meaning = "technology node, a name"});
    visit("energy", self.energy, {.required = true, .meaning = "of one action"});
    visit("area", self.area, {.required = true, .meaning = "of one instance"});
  }
};

}  // namespace oscsim::cost
