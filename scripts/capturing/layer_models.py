# SPDX-License-Identifier: Apache-2.0
"""Models of one layer: the class of transformers with num_hidden_layers = 1, which gets the weights of one layer of the
checkpoint after the other. Its own forward makes masks and rotary embeddings: nothing of the model is repeated here."""
import copy

import torch
from transformers import AutoConfig, AutoModel


class LayerModels:
    """Holds the weights of one layer of each kind (dense or with experts, full or sliding attention)."""

    def __init__(self, checkpoint, device):
        self.checkpoint = checkpoint
        self.config = AutoConfig.from_pretrained(str(checkpoint.folder))
        self.device = device
        self.models = {}

    @property
    def layers(self):
        return self.config.num_hidden_layers

    def has_experts(self, layer):
        config = self.config
        return (
            config.model_type == "qwen3_moe"
            and config.num_experts > 0
            and layer not in config.mlp_only_layers
            and (layer + 1) % config.decoder_sparse_step == 0
        )

    def attention_type(self, layer):
        types = getattr(self.config, "layer_types", None)
        return types[layer] if types else None

    def load(self, layer, dtype):
        """The model whose layers[0] is this layer, to compute in `dtype`."""
        kind = (self.has_experts(layer), self.attention_type(layer))
        if kind not in self.models:
            self.models[kind] = self._make(*kind, dtype)
        model = self.models[kind]
        with torch.no_grad():
            for name, parameter in model.layers[0].named_parameters():
                self._fill(f"model.layers.{layer}.", name, parameter)
        return model

    def _make(self, has_experts, attention_type, dtype):
        config = copy.deepcopy(self.config)
        if attention_type:
            config.layer_types = [attention_type]
        config.num_hidden_layers = 1
        if config.model_type == "qwen3_moe":
            config.decoder_sparse_step = 1
            config.mlp_only_layers = [] if has_experts else [0]
        config.vocab_size = 1  # embeddings are given
        config.pad_token_id = config.bos_token_id = config.eos_token_id = None
        config._experts_implementation = "eager"  # experts one by one; versions before 5 know no other
        return AutoModel.from_config(config, dtype=dtype).eval().to(self.device)

    def _fill(self, prefix, name, parameter):
        if parameter.dim() < 3:
            parameter.copy_(self.checkpoint.tensor(prefix + name, parameter.shape))
            return
        # transformers 5 holds all experts in one tensor, gate_proj above up_proj; a checkpoint has them apart.
        parts = ["gate_proj", "up_proj"] if name.endswith("gate_up_proj") else ["down_proj"]
        for expert, whole in enumerate(parameter):
            for part, rows in zip(parts, whole.chunk(len(parts))):
                rows.copy_(self.checkpoint.tensor(f"{prefix}mlp.experts.{expert}.{part}.weight", rows.shape))
