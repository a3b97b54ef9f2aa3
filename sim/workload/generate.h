// SPDX-License-Identifier: Apache-2.0
// Traces out of model shapes: the linear layers of one forward pass, and on request what is between them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/workload/model_shape.h"
#include "sim/workload/trace_document.h"

namespace oscsim {

enum class ExpertRows : std::uint8_t {
  even,    // every expert gets the same number of tokens, the remainder goes to the first experts
  skewed,  // Zipf: the expert of rank r gets a share proportional to 1 / r^skew; ranks are drawn for each layer
};

struct TraceOptions {
  Phase phase = Phase::prefill;
  std::int64_t tokens = 2048;           // prefill: of each sequence. decode without batch: sequences, one token each
  std::int64_t context = 0;             // tokens in the KV cache
  std::optional<std::int64_t> batch{};  // sequences; prefill: 1 when not given. decode: tokens must then be 1
  ExpertRows rows = ExpertRows::even;
  std::uint64_t seed = 1;  // of skewed rows
  double skew = 1;
  std::optional<LayerRange> layers{};  // all when not given
  bool lm_head = false;                // the last token of each sequence
  bool attention = false;              // also what is no linear layer: attention, norms, RoPE, SiLU, residuals, routing
};

// InputError for sizes below 1, layers that the model does not have, and products that overflow.
TraceDocument generate(const ModelShape& shape, const TraceOptions& options);

// Rows of each expert when `tokens` tokens choose `shape.experts_per_token` experts each. They add up to the product;
// no expert has more than `tokens`.
std::vector<std::int64_t> expert_rows(const ModelShape& shape, std::int64_t tokens, std::int64_t layer,
                                      const TraceOptions& options);

// A topology file of SCALE-Sim: GEMMs ("Layer,M,N,K", or "M,N,K"), or convolutions as the GEMMs of their im2col. A
// heading, trailing commas and empty lines are allowed; columns of no meaning here are named in the source.
// InputError with file:line.
TraceDocument read_csv(const std::string& path);
TraceDocument read_csv(const std::string& path, const std::string& text);  // of that content

}  // namespace oscsim

template <>
struct oscsim::EnumNames<oscsim::ExpertRows> {
  static constexpr std::pair<std::string_view, oscsim::ExpertRows> kValues[] = {{"even", oscsim::ExpertRows::even},
                                                                                {"skewed", oscsim::ExpertRows::skewed}};
};
