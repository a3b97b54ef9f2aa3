// SPDX-License-Identifier: Apache-2.0
// A sweep file as it is written; README.md describes it. What depends on the parameters that vary stays unread here.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/base/schema.h"
#include "sim/config/reader.h"
#include "sim/workload/trace_document.h"

namespace oscsim::sweep {

// Part of a document that other code reads, with its places.
struct Unread {
  static constexpr std::string_view kTypeName = "see sim/sweep/README.md";
  config::Node node;
};
void read_value(const config::Node& node, Unread& value, const config::ValueContext& context);
nlohmann::ordered_json value_to_json(const Unread& value);

// As the options of `oscsim trace`.
struct GenerateParams {
  std::string model = "Qwen3-8B";
  Phase phase = Phase::prefill;
  std::int64_t tokens = 2048, context = 0;
  std::optional<std::int64_t> batch;
  bool attention = false, lm_head = false;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    constexpr double kMost = 1 << 30;
    visit("model", self.model, {.required = true, .meaning = "model of Qwen3"});
    visit("phase", self.phase, {.required = true, .meaning = "prefill or decode"});
    visit("tokens", self.tokens,
          {.min = 1,
           .max = kMost,
           .required = true,
           .meaning = "prefill: tokens of each sequence; decode: sequences, one token each"});
    visit("context", self.context, {.min = 0, .max = kMost, .meaning = "tokens of each sequence in the KV cache"});
    visit("batch", self.batch, {.min = 1, .max = kMost, .meaning = "sequences"});
    visit("attention", self.attention, {.meaning = "also what is no linear layer"});
    visit("lm_head", self.lm_head, {.meaning = "also the output embedding of the last token"});
  }
};

struct GemmParams {
  std::int64_t m = 0, n = 0, k = 0;
  Position position = Position::other;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    constexpr double kMost = 1e9;
    visit("m", self.m, {.min = 1, .max = kMost, .required = true, .meaning = "tokens"});
    visit("n", self.n, {.min = 1, .max = kMost, .required = true, .meaning = "output features"});
    visit("k", self.k, {.min = 1, .max = kMost, .required = true, .meaning = "reduction"});
    visit("position", self.position, {.meaning = "where its input sits in the layer"});
  }
};

// As the options of `oscsim run`.
struct BaseParams {
  std::string machine = "ascend_950pr", scheme = "osc", baseline = "w8a8", costs = "7nm";
  std::optional<std::string> trace;
  std::optional<GenerateParams> generate;
  std::vector<std::string> gemms, settings, tensors;
  std::string table, layers, only;
  bool timing_only = true, gemms_only = false;
  std::int64_t seed = 1;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("machine", self.machine, {.meaning = "a file, beside this one first, or a name in configs/machines"});
    visit("scheme", self.scheme, {.meaning = "a file, beside this one first, or a name in configs/schemes"});
    visit("baseline", self.baseline, {.meaning = "the same; the scheme to compare with"});
    visit("costs", self.costs, {.meaning = "a file, beside this one first, or a name in configs/costs"});
    visit("trace", self.trace,
          {.meaning =
               "a file, beside this one first, or a name in traces; one of trace, generate and gemms is required"});
    visit("generate", self.generate, {.meaning = "a trace from a model's shape, as oscsim trace makes it"});
    visit("gemms", self.gemms, {.meaning = "single GEMMs, each M,N,K or M,N,K,position"});
    visit("settings", self.settings, {.meaning = "values to change first, each path=value as --set takes it"});
    visit("tensors", self.tensors, {.meaning = "safetensors files, beside this one first; none: synthetic tensors"});
    visit("table", self.table,
          {.meaning = "channel table file, beside this one first; empty: calibrated from the tensors"});
    visit("layers", self.layers, {.meaning = "layers to replay, such as 0-3; empty: all"});
    visit("only", self.only, {.meaning = "regular expression (RE2) over names; empty: all"});
    visit("timing_only", self.timing_only, {.meaning = "cycles and traffic only, no outputs"});
    visit("gemms_only", self.gemms_only, {.meaning = "leave out what is no GEMM"});
    visit("seed", self.seed, {.min = 0, .max = 1e18, .meaning = "of synthetic tensors and of every sample"});
  }
  void check(std::vector<std::string>& problems) const;
};

struct RandomParams {
  std::int64_t count = 0, seed = 1;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("count", self.count, {.min = 1, .max = 1e6, .required = true, .meaning = "different points of the grid"});
    visit("seed", self.seed, {.min = 0, .max = 1e18, .meaning = "of the choice"});
  }
};

struct SweepFile {
  std::int64_t schema = 1;
  std::string description;
  BaseParams base;
  Unread axes, linked, where, points;
  std::optional<RandomParams> random;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("schema", self.schema, {.min = 1, .max = 1, .required = true, .meaning = "version of the format"});
    visit("description", self.description, {.meaning = "one line for people"});
    visit("base", self.base, {.required = true, .meaning = "the run that every point starts from"});
    visit("axes", self.axes,
          {.meaning = "parameters that vary, each with a list of values, or a range: from, to, scale, count or step"});
    visit("linked", self.linked, {.meaning = "groups of axes that go together, value by value"});
    visit("where", self.where,
          {.meaning = "conditions on parameters such as a <= b; points that violate one are left out"});
    visit("random", self.random, {.meaning = "a seeded choice of the grid's points; absent: all of them"});
    visit("points", self.points, {.meaning = "these points instead of axes, linked and random"});
  }
};

}  // namespace oscsim::sweep
