# SPDX-License-Identifier: Apache-2.0
"""Watches a layer run and keeps the inputs of its linear layers, whatever modules call them: every product with a
weight is torch.nn.functional.linear, and the weight says which one it is."""
import re

import torch
from torch.overrides import TorchFunctionMode

# Which linear layer's input is which activation; q, k and v share theirs, and so do gate, up and the router.
POSITIONS = {
    "self_attn.q_proj": "attn_in",
    "self_attn.o_proj": "o_in",
    "mlp.gate_proj": "ffn_in",
    "mlp.gate": "ffn_in",
    "mlp.down_proj": "down_in",
}
EXPERT_POSITIONS = {"gate_proj": "ffn_in", "gate_up_proj": "ffn_in", "down_proj": "down_in"}


def activation_of(weight):
    """ "mlp.experts.3.down_in" for "mlp.experts.3.down_proj"; None for a linear layer that shares its input."""
    expert = re.fullmatch(r"(mlp\.experts\.\d+)\.(\w+)", weight)
    if not expert:
        return POSITIONS.get(weight)
    position = EXPERT_POSITIONS.get(expert[2])
    return position and f"{expert[1]}.{position}"


class Recorder(TorchFunctionMode):
    def __init__(self, layer):
        super().__init__()
        self.inputs = {}  # activation -> [rows, k]
        self.chosen = None  # of the router: [tokens, experts per token]
        self.weights = {}
        for name, parameter in layer.named_parameters():
            name = name.removesuffix(".weight")
            if parameter.dim() == 2:
                self.weights[parameter.data_ptr()] = name
            elif parameter.dim() == 3:
                for expert, part in enumerate(parameter):
                    self.weights[part.data_ptr()] = name.replace("experts.", f"experts.{expert}.")

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.nn.functional.linear:
            self._keep(args[0], self.weights.get(args[1].data_ptr()))
        elif function in (torch.topk, torch.Tensor.topk):
            self.chosen = result[1].cpu()
        return result

    def _keep(self, values, weight):
        name = weight and activation_of(weight)
        if name and values.numel() > 0:
            self.inputs[name] = values.detach().reshape(-1, values.shape[-1]).cpu()

    def check(self, has_experts):
        """That the layer ran as assumed and experts got their tokens; else it is a defect, not the user's mistake."""
        expected = {"attn_in", "o_in", "ffn_in"} | (set() if has_experts else {"down_in"})
        missing = expected - self.inputs.keys()
        if missing:
            raise RuntimeError(f"no call of torch.nn.functional.linear gave {', '.join(sorted(missing))}")
        if not has_experts:
            return
        for expert in self.chosen.unique().tolist():
            rows = torch.where((self.chosen == expert).T)[1]  # those whose first choice it is, then their second, ...
            name = f"mlp.experts.{expert}.ffn_in"
            if name not in self.inputs or not torch.equal(self.inputs[name], self.inputs["ffn_in"][rows]):
                raise RuntimeError(f"expert {expert} did not get the {len(rows)} tokens that the router chose for it")
