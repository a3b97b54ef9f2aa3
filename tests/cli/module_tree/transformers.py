# SPDX-License-Identifier: Apache-2.0
"""Stands in for transformers where it cannot be installed: Qwen3 and Qwen3-MoE as a tree of torch modules with the
names, the calls and the checkpoints that scripts/capture.py and its test use. Experts are modules, as in version 4.
"""
import json
import math
import pathlib
import types

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import silu, softmax

__version__ = "module tree"


class Config(types.SimpleNamespace):
    model_type = "qwen3"
    defaults = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "num_experts": 0}

    def __init__(self, **values):
        super().__init__(**({"model_type": self.model_type} | self.defaults | values))


class Qwen3Config(Config):
    pass


class Qwen3MoeConfig(Config):
    model_type = "qwen3_moe"
    defaults = Config.defaults | {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}


class AutoConfig:
    @staticmethod
    def from_pretrained(folder):
        return Config(**json.loads((pathlib.Path(folder) / "config.json").read_text()))


class AutoTokenizer:
    """Of words between blanks."""

    @staticmethod
    def from_pretrained(folder):
        file = pathlib.Path(folder) / "tokenizer.json"
        if not file.exists():
            raise OSError(f"no {file}")
        vocabulary = json.loads(file.read_text())["model"]["vocab"]
        return lambda line: types.SimpleNamespace(input_ids=[vocabulary[word] for word in line.split()])


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)


def rotated(x, angles):
    low, high = x.chunk(2, dim=-1)
    return (x * angles.cos() + torch.cat((-high, low), dim=-1) * angles.sin()).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.head_dim = config.head_dim
        self.shared = config.num_attention_heads // config.num_key_value_heads
        q_dim, kv_dim = config.num_attention_heads * self.head_dim, config.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, q_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, kv_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, kv_dim, bias=False)
        self.o_proj = nn.Linear(q_dim, config.hidden_size, bias=False)
        self.q_norm = RmsNorm(self.head_dim, config.rms_norm_eps)
        self.k_norm = RmsNorm(self.head_dim, config.rms_norm_eps)

    def forward(self, x, angles):
        shape = (*x.shape[:2], -1, self.head_dim)
        q = rotated(self.q_norm(self.q_proj(x).view(shape)).transpose(1, 2), angles)
        k = rotated(self.k_norm(self.k_proj(x).view(shape)).transpose(1, 2), angles)
        v = self.v_proj(x).view(shape).transpose(1, 2)
        k, v = (each.repeat_interleave(self.shared, dim=1) for each in (k, v))
        scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.head_dim)
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        shares = softmax(scores.masked_fill(later, -math.inf), dim=-1, dtype=torch.float32).to(q.dtype)
        return self.o_proj(torch.matmul(shares, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, hidden, width):
        super().__init__()
        self.gate_proj = nn.Linear(hidden, width, bias=False)
        self.up_proj = nn.Linear(hidden, width, bias=False)
        self.down_proj = nn.Linear(width, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class MoeBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        experts = [Mlp(config.hidden_size, config.moe_intermediate_size) for _ in range(config.num_experts)]
        self.experts = nn.ModuleList(experts)

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        weights, chosen = torch.topk(softmax(self.gate(rows), dim=-1, dtype=torch.float32), self.top_k, dim=-1)
        weights = (weights / weights.sum(-1, keepdim=True)).to(x.dtype)
        result = torch.zeros_like(rows)
        for index, expert in enumerate(self.experts):
            place, row = torch.where((chosen == index).T)
            result.index_add_(0, row, expert(rows[row]) * weights[row, place, None])
        return result.view(x.shape)


class DecoderLayer(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        has_experts = config.num_experts > 0 and layer not in config.mlp_only_layers
        self.self_attn = Attention(config)
        if has_experts and (layer + 1) % config.decoder_sparse_step == 0:
            self.mlp = MoeBlock(config)
        else:
            self.mlp = Mlp(config.hidden_size, config.intermediate_size)
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, angles):
        x = x + self.self_attn(self.input_layernorm(x), angles)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, input_ids=None, inputs_embeds=None, use_cache=False):
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        rates = self.config.rope_theta ** (-torch.arange(0, self.config.head_dim, 2) / self.config.head_dim)
        angles = torch.outer(torch.arange(x.shape[1]).float(), rates).repeat(1, 2)
        for layer in self.layers:
            x = layer(x, angles)
        return self.norm(x)


class AutoModel:
    @staticmethod
    def from_config(config, dtype):
        return Model(config).to(dtype)


class AutoModelForCausalLM(nn.Module):
    """No head: nothing here looks at the logits."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Model(config)

    @classmethod
    def from_config(cls, config, dtype):
        return cls(config).to(dtype)

    @classmethod
    def from_pretrained(cls, folder, dtype, experts_implementation):
        model = cls.from_config(AutoConfig.from_pretrained(folder), dtype)
        state = {}
        for shard in pathlib.Path(folder).glob("*.safetensors"):
            state |= load_file(str(shard))
        model.load_state_dict(state)
        return model

    def forward(self, input_ids):
        return self.model(input_ids)

    def save_pretrained(self, folder, max_shard_size):
        """A shard for each layer and one for the rest, whatever the size."""
        folder = pathlib.Path(folder)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(vars(self.config)))
        shards = {}
        for name, value in self.state_dict().items():
            layer = name.split(".")[2] if name.startswith("model.layers.") else "rest"
            shards.setdefault(f"model-{layer}.safetensors", {})[name] = value
        for shard, tensors in shards.items():
            save_file(tensors, str(folder / shard))
        places = {name: shard for shard, tensors in shards.items() for name in tensors}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
