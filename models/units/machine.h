// SPDX-License-Identifier: Apache-2.0
// A machine as data: the parameters of every unit. configs/machines holds the ready ones.
#pragma once

#include <string>

#include "models/units/branch_timing.h"
#include "models/units/drain_timing.h"
#include "models/units/feed_timing.h"
#include "models/units/gather_timing.h"
#include "models/units/hbm_timing.h"
#include "models/units/issue_timing.h"
#include "models/units/load_timing.h"
#include "models/units/matrix_timing.h"
#include "models/units/memory_timing.h"
#include "models/units/vector_timing.h"

namespace oscsim::units {

enum class Overlap : std::uint8_t {
  tokens,   // pipes wait for data and for free buffers, as hardware does
  perfect,  // no pipe waits for another: the roofline, for idealised machines only
};

struct BufferParams {
  Bytes l0a{0}, l0b{0}, l0c{0}, l1{0}, ub{0};
  Bytes l0_scales{0};

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("l0a", self.l0a,
          {.min = 64, .max = 1e15, .required = true, .meaning = "operand buffer of A, double-buffered"});
    visit("l0b", self.l0b,
          {.min = 64, .max = 1e15, .required = true, .meaning = "operand buffer of B, double-buffered"});
    visit("l0c", self.l0c, {.min = 64, .max = 1e15, .required = true, .meaning = "FP32 accumulators"});
    visit("l1", self.l1, {.min = 1024, .max = 1e15, .required = true, .meaning = "operand tiles from memory"});
    visit("ub", self.ub,
          {.min = 1024,
           .max = 1e15,
           .required = true,
           .meaning = "unified buffer of the vector pipe and the gather engine"});
    visit("l0_scales", self.l0_scales,
          {.min = 16,
           .max = 1e15,
           .required = true,
           .meaning = "block scales beside each of L0A and L0B, double-buffered"});
  }
};

struct CoreParams {
  BufferParams buffers;
  IssueParams issue;
  LoadParams load;
  FeedParams feed;
  TensorParams tensor;
  BranchParams branch;
  VectorParams vector;
  GatherParams gather;
  DrainParams drain;
  std::string accumulator = "fp32_rne";

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("buffers", self.buffers, {.required = true, .meaning = "on-chip buffers of one core"});
    visit("issue", self.issue, {.meaning = "scalar unit: how fast commands reach the pipes"});
    visit("load", self.load, {.required = true, .meaning = "memory to L1"});
    visit("feed", self.feed, {.required = true, .meaning = "L1 to L0"});
    visit("tensor", self.tensor, {.required = true, .meaning = "matrix unit"});
    visit("branch", self.branch, {.meaning = "16-bit matrix unit of the outlier branch"});
    visit("vector", self.vector, {.required = true, .meaning = "online quantisation"});
    visit("gather", self.gather, {.meaning = "outlier gather engine"});
    visit("drain", self.drain, {.required = true, .meaning = "accumulators to memory"});
    visit("accumulator", self.accumulator,
          {.meaning = "arithmetic of both matrix units' accumulation: a name that `oscsim gemm --help` "
                      "lists, or fused(...)",
           .source = "assumed"});
  }
};

struct MachineParams {
  std::string description;
  Hertz clock{0};
  std::int64_t cores = 1;
  CoreParams core;
  L2Params l2;
  HbmParams hbm;
  Overlap overlap = Overlap::tokens;
  bool count_scale_bytes = true;
  bool model_shared_work = true;
  bool model_gather = true;
  bool model_branch_startup = true;
  bool count_branch_weights = true;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("description", self.description, {.meaning = "one line for people"});
    visit("clock", self.clock,
          {.min = 1e3, .max = 1e12, .required = true, .meaning = "core clock; every cycle count is in it"});
    visit("cores", self.cores, {.min = 1, .max = 4096, .required = true, .meaning = "cores that share L2 and HBM"});
    visit("core", self.core, {.required = true, .meaning = "one core"});
    visit("l2", self.l2, {.required = true, .meaning = "shared cache"});
    visit("hbm", self.hbm, {.required = true, .meaning = "main memory"});
    visit("overlap", self.overlap,
          {.meaning = "tokens: pipes wait for each other; perfect: the roofline, nothing waits"});
    visit("count_scale_bytes", self.count_scale_bytes, {.meaning = "scales take memory traffic"});
    visit("model_shared_work", self.model_shared_work,
          {.meaning = "online quantisation and gather take time and traffic"});
    visit("model_gather", self.model_gather, {.meaning = "of these, gather takes time and traffic; false: it is free"});
    visit("model_branch_startup", self.model_branch_startup,
          {.meaning = "the branch's instructions pay gaps and feed set-up; false: these are free"});
    visit("count_branch_weights", self.count_branch_weights,
          {.meaning = "the 16-bit weight rows of the branch are loaded; false: they are there for nothing"});
  }
  void check(std::vector<std::string>& problems) const;

  // The unit that runs a pass of `bits`-bit operands, and its parameters. A branch unit of its own does the outlier
  // branch, and all 16-bit work when the tensor unit does none.
  bool runs_on_branch(int bits, bool branch) const {
    return bits == 16 && core.branch.placement == BranchPlacement::own && (branch || core.tensor.cube.k0_16bit == 0);
  }
  const MatrixParams& matrix(int bits, bool branch) const {
    return runs_on_branch(bits, branch) ? static_cast<const MatrixParams&>(core.branch) : core.tensor;
  }
};

}  // namespace oscsim::units

template <>
struct oscsim::EnumNames<oscsim::units::Overlap> {
  static constexpr std::pair<std::string_view, oscsim::units::Overlap> kValues[] = {
      {"tokens", oscsim::units::Overlap::tokens}, {"perfect", oscsim::units::Overlap::perfect}};
};
