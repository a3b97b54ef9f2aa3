// SPDX-License-Identifier: Apache-2.0
// A trace: the GEMMs of a model's forward pass, in order, and what stands between them where the trace has it.
// traces/README.md describes the file format.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/schemes/operation.h"
#include "models/schemes/position.h"
#include "sim/workload/chain_params.h"
#include "sim/workload/synthetic_params.h"

namespace oscsim {

// Y[m, n] = X[m, k] W[n, k]^T.
struct Gemm {
  std::string name;  // model.layers.3.self_attn.q_proj
  Position position = Position::other;
  std::int64_t layer = -1;  // -1: outside the layers
  std::int64_t m = 0, n = 0, k = 0;
  std::string weight;  // tensor name of W [n, k]
  std::string input;   // tensor name of X; GEMMs with the same input share its quantisation and gather
  std::int64_t input_rows =
      0;  // rows of that tensor; when more than m (an expert's tokens) the GEMM reads a seeded choice of m rows
  std::size_t order = 0;  // among the GEMMs and operations of the trace
};

// What is no GEMM with a weight: attention, or an operation over rows.
struct Operation {
  std::string name;  // model.layers.3.self_attn.attention
  OperationKind kind{};
  std::int64_t layer = -1;
  std::variant<RowSizes, AttentionSizes> sizes;
  std::size_t order = 0;
};

// m, n and k for tables: of attention the query rows of all heads, keys and channels of a head; of rows rows, width and
// 1.
std::array<std::int64_t, 3> extents(const Operation& operation);

struct Trace {
  std::string model;
  std::string phase;  // prefill, decode, or empty
  std::vector<Gemm> gemms;
  std::vector<Operation> operations;
  SyntheticParams synthetic;  // statistics of tensors that no file gives
  std::optional<ChainParams> chain;
  std::string sha256;  // of the file's bytes; empty for a trace made in memory
};

// Inclusive range of layers, as in `--layers 0-3`.
struct LayerRange {
  std::int64_t first = 0, last = 0;
};
LayerRange parse_layer_range(const std::string& text);  // "4" or "0-3"; InputError otherwise

}  // namespace oscsim
