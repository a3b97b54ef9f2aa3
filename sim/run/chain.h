// SPDX-License-Identifier: Apache-2.0
// Dense Qwen3 layers run as a chain: the output of each GEMM goes on through norms, RoPE, attention, SiLU and residuals
// in FP32 (models/numerics/layer.h) to be the input of the next. Three chains run side by side, unquantised, baseline
// and scheme, from the same captured hidden state, so that the difference of two of them is the error that has
// accumulated.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "sim/run/inputs.h"
#include "sim/run/result.h"

namespace oscsim {

// InputError unless the trace has the whole of every layer that it has a part of, all of them dense, and the tensors
// that a chain needs are there.
void check_chain(const RunInputs& inputs);

class Chain {
 public:
  enum class Stream : std::uint8_t { exact, baseline, scheme };

  explicit Chain(const RunInputs& inputs);

  // The input of the layer's next GEMM, FP32 [m, k].
  const numerics::Matrix& input(Stream stream, const Gemm& gemm);
  // Takes the GEMM's output; after the layer's last one its hidden state goes to the next layer of the trace, if that
  // is the next layer of the model. Each GEMM has its exact output first. The result is how close this output is to
  // that.
  Closeness output(Stream stream, const Gemm& gemm, numerics::Matrix y);
  // How close the layer's output (its hidden state, residuals included) is to the unquantised one; there when `gemm`
  // was the layer's last.
  std::optional<Closeness> layer_output(Stream stream, const Gemm& gemm) const;

 private:
  struct State {
    std::int64_t layer = -1;  // of `hidden`: its output when it is complete
    bool is_complete = false;
    numerics::Matrix hidden, input, q, k, v, gate;
  };
  enum class Role : std::uint8_t { q, k, v, o, gate, up, down };

  static Role role_of(const Gemm& gemm);
  State& state(Stream stream) { return states_[static_cast<std::size_t>(stream)]; }
  const State& state(Stream stream) const { return states_[static_cast<std::size_t>(stream)]; }
  void begin_layer(State& state, const Gemm& gemm) const;
  numerics::Matrix attention(State& state, std::int64_t layer) const;
  numerics::Matrix norm(const numerics::Matrix& x, std::int64_t layer, const std::string& name,
                        std::int64_t width) const;

  const RunInputs& inputs_;
  std::vector<std::int64_t> positions_;  // of each row, in its sequence
  std::array<State, 3> states_;
  numerics::Matrix exact_output_;
};

}  // namespace oscsim
