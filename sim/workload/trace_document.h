// SPDX-License-Identifier: Apache-2.0
// A trace as it is written: entries that stand for one GEMM or operation per layer and expert. traces/README.md
// describes the format.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/base/schema.h"
#include "sim/workload/trace.h"

namespace oscsim {

enum class Phase : std::uint8_t { prefill, decode, other };

// Rows of an entry's GEMMs: the same for all, or one number per expert (0: the expert is skipped).
struct RowCounts {
  std::vector<std::int64_t> values;
  bool is_list = false;
};

// Which keys an entry has depends on its `op`.
struct TraceEntry {
  OperationKind op = OperationKind::gemm;
  std::string name;
  std::optional<std::string> layers;  // "0-35"
  // of a GEMM
  std::optional<std::string> experts;  // "0-127"
  Position position = Position::other;
  RowCounts m;
  std::int64_t n = 0, k = 0;
  std::optional<std::string> weight;  // "<name>.weight"
  std::optional<std::string> input;   // "<name>.input"
  std::optional<std::int64_t> input_rows;
  // of an operation
  AttentionSizes attention;
  RowSizes rows;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    visit("op", self.op, {.meaning = "what the entry is"});
    visit("name", self.name, {.required = true, .meaning = "name; {layer} and {expert} are replaced"});
    visit("layers", self.layers, {.meaning = "layers that have it, such as 0-35; none: it stands once"});
    if (self.op == OperationKind::gemm)
      gemm_fields(visit, self);
    else if (self.op == OperationKind::attention)
      attention_fields(visit, self.attention);
    else
      row_fields(visit, self.op, self.rows);
  }

 private:
  static constexpr double kMost = 1 << 30;

  template <class Visitor, class Self>
  static void gemm_fields(Visitor& visit, Self& self) {
    visit("experts", self.experts, {.meaning = "experts that have it, such as 0-127"});
    visit("position", self.position, {.required = true, .meaning = "where its input sits in the layer"});
    visit("m", self.m, {.required = true, .meaning = "tokens: one number, or a list with one number per expert"});
    visit("n", self.n, {.min = 1, .required = true, .meaning = "output features"});
    visit("k", self.k, {.min = 1, .required = true, .meaning = "reduction dimension"});
    visit("weight", self.weight, {.meaning = "tensor of the weight [n, k]; default <name>.weight"});
    visit("input", self.input, {.meaning = "tensor of the input; default <name>.input"});
    visit("input_rows", self.input_rows, {.min = 1, .meaning = "rows of that tensor; default m"});
  }

  template <class Visitor, class Sizes>
  static void attention_fields(Visitor& visit, Sizes& sizes) {
    const auto size = [&](std::string_view key, auto& member, std::string_view meaning) {
      visit(key, member, {.min = 1, .max = kMost, .required = true, .meaning = meaning});
    };
    size("sequences", sizes.sequences, "sequences");
    size("heads", sizes.heads, "heads of the queries");
    size("kv_heads", sizes.kv_heads, "heads of keys and values");
    size("head_dim", sizes.head_dim, "channels of a head");
    size("queries", sizes.queries, "new tokens of each sequence");
    size("keys", sizes.keys, "keys of each sequence, those of the new tokens included");
    visit("causal", sizes.causal, {.meaning = "a query sees no later key"});
    visit("window", sizes.window,
          {.min = 0, .max = kMost, .meaning = "a query sees so many keys, its own the last; 0: no sliding window"});
  }

  template <class Visitor, class Sizes>
  static void row_fields(Visitor& visit, OperationKind op, Sizes& sizes) {
    const auto size = [&](std::string_view key, auto& member, std::string_view meaning) {
      visit(key, member, {.min = 1, .max = kMost, .required = true, .meaning = meaning});
    };
    size("rows", sizes.rows, "rows: tokens, or tokens and heads");
    size("width", sizes.width, op == OperationKind::moe_route ? "experts" : "elements of a row");
    if (op == OperationKind::rope) size("head_dim", sizes.head_dim, "channels of a head");
    if (op == OperationKind::moe_route || op == OperationKind::moe_permute || op == OperationKind::moe_combine)
      size("experts_per_token", sizes.experts_per_token, "experts of each token");
  }
};

struct TraceDocument {
  std::int64_t schema = 1;
  std::string model;
  Phase phase = Phase::other;
  std::int64_t tokens = 0;   // of each sequence, in this pass
  std::int64_t context = 0;  // tokens of each sequence that are in the KV cache already
  std::int64_t batch = 1;    // sequences
  std::string source;
  SyntheticParams synthetic;
  std::optional<ChainParams> chain;
  std::vector<TraceEntry> gemms;

  template <class Visitor, class Self>
  static void fields(Visitor& visit, Self& self) {
    constexpr double kMost = 1 << 30;
    visit("schema", self.schema, {.min = 1, .max = 1, .required = true, .meaning = "version of the format"});
    visit("model", self.model, {.meaning = "name of the model"});
    visit("phase", self.phase, {.meaning = "prefill, decode or other"});
    visit("tokens", self.tokens,
          {.min = 0, .max = kMost, .meaning = "tokens of each sequence in this pass; 0: not known"});
    visit("context", self.context, {.min = 0, .max = kMost, .meaning = "tokens of each sequence in the KV cache"});
    visit("batch", self.batch, {.min = 1, .max = kMost, .meaning = "sequences"});
    visit("source", self.source, {.meaning = "where the shapes come from"});
    visit("synthetic", self.synthetic, {.meaning = "statistics of tensors that no file gives"});
    visit("chain", self.chain, {.meaning = "what `oscsim run --chain` computes between the GEMMs; none: it cannot"});
    visit("gemms", self.gemms,
          {.required = true, .meaning = "the GEMMs, and what is between them, in the order of a forward pass"});
  }
};

inline constexpr std::size_t kMostGemms = 1'000'000;  // and operations in one trace, after expansion

// What is wrong with an entry, by its index in `gemms`.
using EntryProblem = std::function<void(std::size_t entry, const std::string& message)>;

struct Expanded {
  std::vector<Gemm> gemms;
  std::vector<Operation> operations;
  bool empty() const { return gemms.empty() && operations.empty(); }
};

// Entries that follow one another with the same layers are expanded layer by layer, and inside a layer those with the
// same experts expert by expert. The result leaves out what `problem` was called for.
Expanded expand(const std::vector<TraceEntry>& entries, const EntryProblem& problem);

// InputError that lists what is wrong. `origin` stands in front of messages.
Trace expand(const TraceDocument& document, const std::string& origin);

// The file's content. InputError with file:line:column for everything that is wrong with it.
TraceDocument read_trace_document(const std::string& path);
Trace read_trace(const std::string& path);
Trace read_trace(const std::string& path, std::string text);  // of that content

// YAML that reads back as the same document.
std::string to_yaml(const TraceDocument& document);
void write_trace(const std::string& path, const TraceDocument& document);

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::Phase> {
  static constexpr std::pair<std::string_view, oscsim::Phase> kValues[] = {
      {"prefill", oscsim::Phase::prefill}, {"decode", oscsim::Phase::decode}, {"other", oscsim::Phase::other}};
};
