// SPDX-License-Identifier: Apache-2.0
#include "sim/run/chain.h"

#include <map>

#include "models/base/error.h"
#include "models/numerics/layer.h"
#include "sim/run/accuracy.h"

namespace oscsim {
namespace {

using numerics::Dtype;
using numerics::Matrix;

// In the order in which a layer computes them.
constexpr std::string_view kParts[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                       "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

std::string prefix_of(std::int64_t layer) {
  return fmt::format("model.layers.{}.", layer);
}

std::vector<float> vector_of(const TensorSource& tensors, const std::string& name, std::int64_t size) {
  const Tensor tensor = tensors.vector(name, size);
  std::vector<float> values(static_cast<std::size_t>(size));
  tensor.view.read(0, 0, values);
  return values;
}

void check_sizes(const std::vector<const Gemm*>& gemms, const ChainParams& chain, std::int64_t layer) {
  const auto& [q, k, v, o, gate, up, down] =
      std::tie(*gemms[0], *gemms[1], *gemms[2], *gemms[3], *gemms[4], *gemms[5], *gemms[6]);
  for (const Gemm* gemm : gemms)
    if (gemm->m != chain.tokens() || gemm->input_rows != gemm->m)
      input_error("--chain: {} has {} rows, the trace's `chain` {} tokens", gemm->name, gemm->m, chain.tokens());
  const bool fits = q.n % chain.head_dim == 0 && k.n % chain.head_dim == 0 && k.n == v.n && q.n % k.n == 0 &&
                    o.k == q.n && o.n == q.k && k.k == q.k && v.k == q.k && gate.k == q.k && up.k == q.k &&
                    gate.n == up.n && down.k == up.n && down.n == q.k;
  if (!fits)
    input_error("--chain: the sizes of layer {}'s GEMMs do not fit together with heads of {} channels", layer,
                chain.head_dim);
}

}  // namespace

void check_chain(const RunInputs& inputs) {
  if (!inputs.trace.chain)
    input_error("--chain: trace '{}' has no `chain`; scripts/capture.py writes it for dense Qwen3 models",
                inputs.trace_name);
  std::map<std::int64_t, std::vector<const Gemm*>> layers;
  for (const Gemm& gemm : inputs.trace.gemms) layers[gemm.layer].push_back(&gemm);
  for (const auto& [layer, gemms] : layers) {
    std::size_t fitting = 0;
    while (fitting < std::size(kParts) && fitting < gemms.size() &&
           gemms[fitting]->name == prefix_of(layer) + std::string(kParts[fitting]))
      ++fitting;
    if (fitting < std::size(kParts) || gemms.size() > fitting)
      input_error("--chain: {} where {} is expected\n  allowed: whole dense layers of Qwen3: {}",
                  fitting < gemms.size() ? gemms[fitting]->name : "nothing",
                  fitting < std::size(kParts) ? prefix_of(layer) + std::string(kParts[fitting]) : "the next layer",
                  joined(std::vector<std::string>(std::begin(kParts), std::end(kParts))));
    check_sizes(gemms, *inputs.trace.chain, layer);
    const std::string prefix = prefix_of(layer);
    const std::int64_t hidden = gemms.front()->k;
    if (!layers.contains(layer - 1)) inputs.tensors->require(prefix + "hidden_in", gemms.front()->m, hidden);
    for (const char* name : {"input_layernorm", "post_attention_layernorm"})
      inputs.tensors->vector(fmt::format("{}{}.weight", prefix, name), hidden);
    for (const char* name : {"q_norm", "k_norm"})
      inputs.tensors->vector(fmt::format("{}self_attn.{}.weight", prefix, name), inputs.trace.chain->head_dim);
  }
}

Chain::Chain(const RunInputs& inputs) : inputs_(inputs) {
  for (const std::int64_t length : inputs.trace.chain->lengths)
    for (std::int64_t position = 0; position < length; ++position) positions_.push_back(position);
}

Chain::Role Chain::role_of(const Gemm& gemm) {
  for (std::size_t i = 0; i < std::size(kParts); ++i)
    if (gemm.name.ends_with(kParts[i])) return static_cast<Role>(i);
  ensure(false, "{} in a chain", gemm.name);
  return {};
}

Matrix Chain::norm(const Matrix& x, std::int64_t layer, const std::string& name, std::int64_t width) const {
  const std::string tensor = fmt::format("{}{}.weight", prefix_of(layer), name);
  return numerics::rms_norm(x, vector_of(*inputs_.tensors, tensor, width), inputs_.trace.chain->rms_norm_eps);
}

void Chain::begin_layer(State& state, const Gemm& gemm) const {
  if (!state.is_complete || state.layer != gemm.layer - 1) {
    const std::string name = prefix_of(gemm.layer) + "hidden_in";
    state.hidden = as_fp32(inputs_.tensors->activation(name, Position::other, gemm.m, gemm.k).view);
  }
  state.layer = gemm.layer;
  state.is_complete = false;
  state.input = norm(state.hidden, gemm.layer, "input_layernorm", gemm.k);
}

Matrix Chain::attention(State& state, std::int64_t layer) const {
  const ChainParams& chain = *inputs_.trace.chain;
  Matrix q = norm(state.q, layer, "self_attn.q_norm", chain.head_dim);
  Matrix k = norm(state.k, layer, "self_attn.k_norm", chain.head_dim);
  numerics::rotate(q, positions_, chain.head_dim, chain.rope_theta);
  numerics::rotate(k, positions_, chain.head_dim, chain.rope_theta);
  return numerics::causal_attention(q, k, state.v, chain.lengths, chain.head_dim);
}

const Matrix& Chain::input(Stream stream, const Gemm& gemm) {
  State& state = this->state(stream);
  if (role_of(gemm) == Role::q) begin_layer(state, gemm);
  return state.input;
}

Closeness Chain::output(Stream stream, const Gemm& gemm, Matrix y) {
  State& state = this->state(stream);
  if (stream == Stream::exact) exact_output_ = as_fp32(y.view());
  const Closeness found = closeness(compared(y, exact_output_));
  switch (role_of(gemm)) {
    case Role::q:
      state.q = std::move(y);
      break;
    case Role::k:
      state.k = std::move(y);
      break;
    case Role::v:
      state.v = std::move(y);
      state.input = attention(state, gemm.layer);
      break;
    case Role::o:
      numerics::add_to(state.hidden, y);
      state.input = norm(state.hidden, gemm.layer, "post_attention_layernorm", gemm.n);
      break;
    case Role::gate:
      state.gate = std::move(y);
      break;
    case Role::up:
      state.input = numerics::silu_multiply(state.gate, y);
      break;
    case Role::down:
      numerics::add_to(state.hidden, y);
      state.is_complete = true;
      break;
  }
  return found;
}

std::optional<Closeness> Chain::layer_output(Stream stream, const Gemm& gemm) const {
  if (role_of(gemm) != Role::down) return std::nullopt;
  return closeness(compared(state(stream).hidden, state(Stream::exact).hidden));
}

}  // namespace oscsim
