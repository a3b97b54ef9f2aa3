#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chains of dense Qwen3 layers computed a second time, with numpy in FP64 and a MXFP4 cast of its own, and compared with
`oscsim run --chain`: errors of every GEMM on captured and on chained inputs, and of every layer's output.

    chain_numpy.py OSCSIM
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN = 64, 4, 2, 32, 160
LENGTHS, LAYERS, EPSILON, THETA = [5, 11, 3], 2, 1e-6, 10000.0
TOKENS = sum(LENGTHS)
GEMMS = {  # name: position, n, k
    "self_attn.q_proj": ("attn_in", HEADS * HEAD_DIM, HIDDEN),
    "self_attn.k_proj": ("attn_in", KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": ("attn_in", KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.o_proj": ("o_in", HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": ("ffn_in", FFN, HIDDEN),
    "mlp.up_proj": ("ffn_in", FFN, HIDDEN),
    "mlp.down_proj": ("down_in", HIDDEN, FFN),
}


def mxfp4(x):
    """OCP MX v1.0: blocks of 32 with a power of two, the rule `floor`; E2M1, to nearest even, saturating."""
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % 32)))
    blocks = padded.reshape(len(x), -1, 32)
    largest = np.abs(blocks).max(axis=2, keepdims=True)
    scale = 2.0 ** (np.floor(np.log2(np.where(largest > 0, largest, 1))) - 2)
    scaled = blocks / scale
    step = 2.0 ** (np.maximum(np.floor(np.log2(np.maximum(np.abs(scaled), 1))), 0) - 1)
    return (np.clip(np.round(scaled / step) * step, -6, 6) * scale).reshape(padded.shape)[:, : x.shape[1]]


def bf16(x):
    bits = x.astype("<f4").view("<u4").astype(np.uint64)
    return (((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16).astype("<u4").view("<f4").astype(float)


def norm(x, weight):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON) * weight


def heads_of(x, weight=None):
    """[heads, tokens, head_dim], normalised and rotated with a weight."""
    x = x.reshape(TOKENS, -1, HEAD_DIM).transpose(1, 0, 2)
    if weight is None:
        return x
    x = norm(x, weight)
    positions = np.concatenate([np.arange(length) for length in LENGTHS])
    angles = positions[:, None] * THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate(
        [low * np.cos(angles) - high * np.sin(angles), high * np.cos(angles) + low * np.sin(angles)], axis=-1
    )


def attention(q, k, v):
    sequence = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    row = np.arange(TOKENS)
    seen = (sequence[:, None] == sequence) & (row[:, None] >= row)
    k, v = (np.repeat(each, HEADS // KV_HEADS, axis=0) for each in (k, v))
    scores = np.where(seen, q @ k.transpose(0, 2, 1) / np.sqrt(HEAD_DIM), -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (shares / shares.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(TOKENS, -1)


def run_layer(hidden, weights, prefix, cast, inputs, outputs):
    """The layer's output; every GEMM's input and output by its name."""

    def gemm(name, x):
        inputs[prefix + GEMMS[name][0]] = x
        outputs[prefix + name] = cast(x) @ cast(weights[f"{prefix}{name}.weight"]).T
        return outputs[prefix + name]

    weight = lambda name: weights[f"{prefix}{name}.weight"]  # noqa: E731
    x = norm(hidden, weight("input_layernorm"))
    q = heads_of(gemm("self_attn.q_proj", x), weight("self_attn.q_norm"))
    k = heads_of(gemm("self_attn.k_proj", x), weight("self_attn.k_norm"))
    v = heads_of(gemm("self_attn.v_proj", x))
    hidden = hidden + gemm("self_attn.o_proj", attention(q, k, v))
    x = norm(hidden, weight("post_attention_layernorm"))
    gate, up = gemm("mlp.gate_proj", x), gemm("mlp.up_proj", x)
    return hidden + gemm("mlp.down_proj", gate / (1 + np.exp(-gate)) * up)


def run_layers(hidden, weights, cast):
    """Inputs and outputs of all GEMMs; hidden states in front of and behind each layer."""
    inputs, outputs, states = {}, {}, [hidden]
    for layer in range(LAYERS):
        states.append(run_layer(states[-1], weights, f"model.layers.{layer}.", cast, inputs, outputs))
    return inputs, outputs, states


def closeness(y, exact):
    return {
        "sqnr_db": 10 * np.log10((exact**2).sum() / ((y - exact) ** 2).sum()),
        "max_abs_error": np.abs(y - exact).max(),
        "cosine": (y * exact).sum() / np.sqrt((y**2).sum() * (exact**2).sum()),
    }


def write(path, tensors):
    header, data = {}, b""
    for name, x in tensors.items():
        body = x.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def trace_text():
    lines = ["schema: 1", "model: small", "chain:", f"  lengths: {LENGTHS}", f"  head_dim: {HEAD_DIM}"]
    lines += [f"  rms_norm_eps: {EPSILON}", f"  rope_theta: {THETA}", "gemms:"]
    for name, (position, n, k) in GEMMS.items():
        lines += [f'  - name: "model.layers.{{layer}}.{name}"', f'    layers: "0-{LAYERS - 1}"']
        lines += [f"    position: {position}", f"    m: {TOKENS}", f"    n: {n}", f"    k: {k}"]
        lines += [f'    input: "model.layers.{{layer}}.{position}"']
    return "\n".join(lines) + "\n"


def random_weights(rng):
    weights = {}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, (_, n, k) in GEMMS.items():
            weights[f"{prefix}{name}.weight"] = rng.normal(0, k**-0.5, (n, k))
        for name, width in (("input_layernorm", HIDDEN), ("post_attention_layernorm", HIDDEN),
                            ("self_attn.q_norm", HEAD_DIM), ("self_attn.k_norm", HEAD_DIM)):  # fmt: skip
            weights[f"{prefix}{name}.weight"] = 1 + rng.normal(0, 0.3, width)
    return {name: bf16(values) for name, values in weights.items()}


def check(what, found, expected):
    decibels = abs(found["sqnr_db"] - expected["sqnr_db"])
    largest = abs(found["max_abs_error"] / expected["max_abs_error"] - 1)
    if not (decibels < 0.02 and abs(found["cosine"] - expected["cosine"]) < 1e-5 and largest < 0.01):
        sys.exit(f"{what}: found {found}, expected {expected}")
    return 1


def compare(result, exact, chains, weights, layers, casts):
    """Number of figures that agree."""
    inputs, outputs, states = exact
    agree = 0
    for row in result["gemms"]:
        name, x = row["name"], inputs[row["name"].rsplit(".", 2)[0] + "." + row["position"]]
        assert row["chain_input"]["cosine"] > 1 - 1e-9, f"{name}: the chain's own input is the captured one"
        for side, cast in casts.items():
            alone = cast(x) @ cast(weights[name + ".weight"]).T
            agree += check(f"{name}, {side}", row[side], closeness(alone, outputs[name]))
            agree += check(f"{name}, {side}, chained", row[side]["chained"],
                           closeness(chains[side][1][name], outputs[name]))  # fmt: skip
    assert [row["layer"] for row in result["layers"]] == layers and len(result["gemms"]) == len(GEMMS) * len(layers)
    for row in result["layers"]:
        assert row["gemms"] == len(GEMMS)
        state = row["layer"] + 1
        names = [f"model.layers.{row['layer']}.{name}" for name in GEMMS]
        for side, cast in casts.items():
            alone = [cast(inputs[name.rsplit(".", 2)[0] + "." + GEMMS[".".join(name.split(".")[3:])][0]])
                     @ cast(weights[name + ".weight"]).T for name in names]  # fmt: skip
            together = [np.concatenate([each.ravel() for each in part])
                        for part in (alone, [outputs[name] for name in names])]  # fmt: skip
            agree += check(f"layer {row['layer']}, {side}", row[side], closeness(*together))
            agree += check(f"layer {row['layer']}, {side}, chained", row[side]["chained"],
                           closeness(chains[side][2][state], states[state]))  # fmt: skip
    return agree


def check_refused(folder, command, message):
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if (done.returncode, done.stdout, done.stderr) != (2, "", f"oscsim: {message}\n"):
        sys.exit(f"expected the message\n{message}\nfound, with status {done.returncode},\n{done.stderr}")


def check_mistakes(folder, command):
    parts = ", ".join(GEMMS)
    check_refused(folder, [*command, "--only", "mlp|self_attn.q"],
                  "--chain: model.layers.0.mlp.gate_proj where model.layers.0.self_attn.k_proj is expected\n"
                  f"  allowed: whole dense layers of Qwen3: {parts}")  # fmt: skip
    text = trace_text()
    (folder / "trace.yaml").write_text(text.replace(f"{LENGTHS}", "[5, 11]"))
    check_refused(folder, command,
                  f"--chain: model.layers.0.self_attn.q_proj has {TOKENS} rows, the trace's `chain` 16 tokens")  # fmt: skip
    (folder / "trace.yaml").write_text(text.replace(f"head_dim: {HEAD_DIM}", "head_dim: 48"))
    check_refused(folder, command,
                  "--chain: the sizes of layer 0's GEMMs do not fit together with heads of 48 channels")  # fmt: skip


def main():
    oscsim = str(pathlib.Path(sys.argv[1]).resolve())
    rng = np.random.default_rng(5)
    weights = random_weights(rng)
    hidden = bf16(rng.normal(0, 1, (TOKENS, HIDDEN)))
    hidden[:, 7] *= 16
    exact = run_layers(hidden, weights, lambda x: x)
    captured = {f"model.layers.{layer}.hidden_in": exact[2][layer] for layer in range(LAYERS)}
    casts = {"scheme": mxfp4, "baseline": bf16}
    agree = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder / "tensors.safetensors", exact[0] | captured)
        write(folder / "weights.safetensors", weights)
        (folder / "trace.yaml").write_text(trace_text())
        command = [oscsim, "run", "--machine", "edge_npu", "--trace", "trace.yaml", "--scheme", "w4a4", "--baseline",
                   "bf16", "--tensors", "tensors.safetensors", "--tensors", "weights.safetensors", "--chain", "--json",
                   "result.json"]  # fmt: skip
        for layers in ([0, 1], [1]):
            subprocess.run([*command, "--layers", f"{layers[0]}-{layers[-1]}"], check=True, cwd=folder,
                           stdout=subprocess.DEVNULL)  # fmt: skip
            result = json.loads((folder / "result.json").read_text())
            chains = {}
            for side, cast in casts.items():  # a chain begins with what was captured
                inputs, outputs, states = {}, {}, {layers[0]: exact[2][layers[0]]}
                for layer in layers:
                    states[layer + 1] = run_layer(states[layer], weights, f"model.layers.{layer}.", cast, inputs, outputs)
                chains[side] = (inputs, outputs, states)
            agree += compare(result, exact, chains, weights, layers, casts)
        check_mistakes(folder, command)
        first, second = (run_layers(hidden, weights, mxfp4)[2][state] for state in (1, 2))
        assert closeness(second, exact[2][2])["sqnr_db"] < closeness(first, exact[2][1])["sqnr_db"], "errors accumulate"
    print(f"chain_numpy: {agree} errors of GEMMs and layers agree")


if __name__ == "__main__":
    main()
