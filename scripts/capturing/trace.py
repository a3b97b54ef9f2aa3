# SPDX-License-Identifier: Apache-2.0
"""The trace of captured activations: their GEMMs with the rows that they had, of each expert too (traces/README.md)."""
import json
import pathlib


class TraceWriter:
    def __init__(self, config, model, lengths):
        self.config = config
        self.model = model  # a folder or a name
        self.lengths = lengths  # of the prompts, in the order of the rows
        self.tokens = sum(lengths)
        self.blocks = []  # [first layer, last layer, rows of each expert or None]

    def add_layer(self, layer, expert_rows):
        """Dense layers of the same shape that follow one another are one block."""
        last = self.blocks[-1] if self.blocks else None
        if last and last[1] == layer - 1 and last[2] is None and expert_rows is None:
            last[1] = layer
        else:
            self.blocks.append([layer, layer, expert_rows])

    def text(self):
        lines = [
            "# SPDX-License-Identifier: Apache-2.0",
            "# Written by scripts/capture.py. traces/README.md describes the format.",
            "schema: 1",
            f"model: {json.dumps(pathlib.Path(self.model).name)}",
            "phase: prefill",
            f"tokens: {self.tokens}  # of all prompts together",
            f"source: {json.dumps(self.model)}",
            *self._chain(),
            "gemms:",
        ]
        for first, last, expert_rows in self.blocks:
            layers = str(first) if first == last else f"{first}-{last}"
            for entry in self._gemms(expert_rows):
                lines += _entry_lines(entry, layers)
        return "\n".join(lines) + "\n"

    def _chain(self):
        """What `oscsim run --chain` computes between GEMMs; nothing for layers that it does not know."""
        theta = plain_rope_theta(self.config)
        is_dense = all(expert_rows is None for *_, expert_rows in self.blocks)
        is_full = set(getattr(self.config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        if theta is None or not is_dense or not is_full or getattr(self.config, "attention_bias", False):
            return []
        return [
            "chain:",
            f"  lengths: {json.dumps(self.lengths)}",
            f"  head_dim: {head_dim(self.config)}",
            f"  rms_norm_eps: {self.config.rms_norm_eps!r}",
            f"  rope_theta: {theta!r}",
        ]

    def _gemms(self, expert_rows):
        config, hidden = self.config, self.config.hidden_size
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        width = head_dim(config)
        yield self._gemm("self_attn.q_proj", "attn_in", heads * width, hidden)
        yield self._gemm("self_attn.k_proj", "attn_in", kv_heads * width, hidden)
        yield self._gemm("self_attn.v_proj", "attn_in", kv_heads * width, hidden)
        yield self._gemm("self_attn.o_proj", "o_in", hidden, heads * width)
        if expert_rows is None:
            yield self._gemm("mlp.gate_proj", "ffn_in", config.intermediate_size, hidden)
            yield self._gemm("mlp.up_proj", "ffn_in", config.intermediate_size, hidden)
            yield self._gemm("mlp.down_proj", "down_in", hidden, config.intermediate_size)
            return
        yield self._gemm("mlp.gate", "router", config.num_experts, hidden, "ffn_in")
        expert, width = "mlp.experts.{expert}.", config.moe_intermediate_size
        for part, position, n, k in (
            ("gate_proj", "ffn_in", width, hidden),
            ("up_proj", "ffn_in", width, hidden),
            ("down_proj", "down_in", hidden, width),
        ):
            entry = self._gemm(expert + part, position, n, k, expert + position)
            entry |= {"experts": f'"0-{len(expert_rows) - 1}"', "m": json.dumps(expert_rows)}
            yield entry

    def _gemm(self, name, position, n, k, activation=None):
        prefix = "model.layers.{layer}."
        sizes = {"m": self.tokens, "n": n, "k": k}
        activation = f'"{prefix}{activation or position}"'
        return {"name": f'"{prefix}{name}"', "position": position, **sizes, "input": activation}


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def plain_rope_theta(config):
    """Base of the rotary embedding; None when it is scaled. transformers 5 has rope_parameters, 4 single values."""
    parameters = getattr(config, "rope_parameters", None) or {}
    scaling = parameters or getattr(config, "rope_scaling", None) or {}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        return None
    return parameters.get("rope_theta", getattr(config, "rope_theta", None))


def _entry_lines(entry, layers):
    keys = ["layers", "experts", "position", "m", "n", "k", "input"]
    values = entry | {"layers": f'"{layers}"'}
    return [f"  - name: {entry['name']}"] + [f"    {key}: {values[key]}" for key in keys if key in values]
