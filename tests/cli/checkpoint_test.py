#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Weights of Hugging Face checkpoints, in shards and whole: read where they lie, and what is wrong with them.

usage: checkpoint_test.py OSCSIM SOURCE_ROOT
"""

import json
import os
import random
import struct

from matrix_files import safetensors
from program import ProgramTest, main

M, N, K = 8, 16, 64
INDEX = "model.safetensors.index.json"
NAME = "model.layers.{}.self_attn.q_proj"
TRACE = """schema: 1
gemms:
  - {name: "model.layers.{layer}.self_attn.q_proj", layers: 0-1, position: attn_in, m: 8, n: 16, k: 64,
     input: "model.layers.{layer}.attn_in"}
"""

random.seed(3)


def values(count):
    return [random.randrange(-32, 33) / 16 for _ in range(count)]


WEIGHTS = {f"{NAME.format(layer)}.weight": ("BF16", (N, K), values(N * K)) for layer in (0, 1)}
INPUTS = {f"model.layers.{layer}.attn_in": ("BF16", (M, K), values(M * K)) for layer in (0, 1)}
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]

# Qwen3-8B: hidden 4096, 36 layers, vocabulary of 151936, about 16 GB in BF16; 46 layers make 20 GB.
LAYERS = 46
LAYER = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.k_proj": (1024, 4096),
    "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096),
    "mlp.gate_proj": (12288, 4096),
    "mlp.up_proj": (12288, 4096),
    "mlp.down_proj": (4096, 12288),
}
VOCABULARY = {"model.embed_tokens.weight": (151936, 4096), "lm_head.weight": (151936, 4096)}


class CheckpointTest(ProgramTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("model"))
        self.write("trace.yaml", TRACE)
        self.write("x.safetensors", safetensors(INPUTS))

    def write(self, name, content):
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)

    def write_index(self, weight_map):
        self.write(f"model/{INDEX}", json.dumps({"metadata": {"total_size": 4096}, "weight_map": weight_map}))

    def write_checkpoint(self):
        for shard, (name, tensor) in zip(SHARDS, WEIGHTS.items()):
            self.write(f"model/{shard}", safetensors({name: tensor}))
        self.write_index(dict(zip(WEIGHTS, SHARDS)))

    def arguments(self, weights="model", *more):
        return ["run", "--machine", "edge_npu", "--trace", "trace.yaml", "--tensors", "x.safetensors", "--tensors",
                weights, *more]  # fmt: skip

    def result(self, weights, *more):
        self.check_done([*self.arguments(weights, *more), "--json", "r.json"])
        with open(self.path("r.json")) as file:
            return json.load(file)

    @staticmethod
    def hashes(result):
        return [gemm[side]["output_sha256"] for gemm in result["gemms"] for side in ("scheme", "baseline")]

    def test_folder_index_and_single_file_give_the_same_bits(self):
        self.write("w.safetensors", safetensors(WEIGHTS))
        expected = self.result("w.safetensors", "--verify")
        self.write("model/model.safetensors", safetensors(WEIGHTS))
        self.assertEqual(self.hashes(self.result("model")), self.hashes(expected))
        os.remove(self.path("model/model.safetensors"))
        self.write_checkpoint()
        for weights in ("model", "model/", f"model/{INDEX}"):
            self.assertEqual(self.hashes(self.result(weights)), self.hashes(expected), weights)
        self.assertEqual(len(set(self.hashes(expected))), 4)

    def test_provenance_hashes_the_index_and_the_tensors_that_are_used(self):
        self.write_checkpoint()
        files = [entry["file"] for entry in self.result("model", "--layers", "1")["provenance"]["tensors"]]
        used = f"model/{SHARDS[1]}:{NAME.format(1)}.weight"
        self.assertEqual(files, ["x.safetensors", f"model/{INDEX}", used])

    def test_shards_that_no_gemm_needs_may_be_missing(self):
        self.write_checkpoint()
        os.remove(self.path(f"model/{SHARDS[1]}"))
        self.result("model", "--layers", "0")
        self.check_refused(
            self.arguments(),
            f"model/{SHARDS[1]}: there is no such shard; model/{INDEX} says that tensor '{NAME.format(1)}.weight' is in it",
        )

    def test_refused_checkpoints(self):
        name = f"{NAME.format(1)}.weight"
        self.write_checkpoint()
        self.write(f"model/{SHARDS[1]}", safetensors({"model.layers.1.self_attn.k_proj.weight": WEIGHTS[name]}))
        self.check_refused(
            self.arguments(),
            f"model/{SHARDS[1]}: no tensor '{name}'; did you mean 'model.layers.1.self_attn.k_proj.weight'?\n"
            f"  model/{INDEX} says that it is there",
        )
        self.write(f"model/{SHARDS[1]}", safetensors({name: ("BF16", (K, N), values(N * K))}))
        self.check_refused(
            self.arguments(), f"model/{SHARDS[1]}: tensor '{name}' has shape [{K}, {N}], expected [{N}, {K}]"
        )
        self.write(f"model/{SHARDS[1]}", safetensors({name: WEIGHTS[name]})[:-1])
        self.check_refused(
            self.arguments(),
            f"model/{SHARDS[1]}: truncated: tensor '{name}' ends at byte 2048 of the data, the file has 2047; "
            "1 bytes are missing",
        )
        self.write_index({"model.layers.1.self_attn.q_prj.weight": SHARDS[1]})
        self.check_refused(
            self.arguments("model", "--layers", "1"),
            f"x.safetensors, model/{INDEX}: no tensor '{name}'; did you mean 'model.layers.1.self_attn.q_prj.weight'?",
        )
        self.write_index({name: SHARDS[0], "model.layers.1.attn_in": SHARDS[0]})
        self.check_refused(
            self.arguments(),
            f"model/{INDEX}: tensor 'model.layers.1.attn_in' is also in x.safetensors; every name may be there once",
        )

    def test_refused_indices(self):
        cases = [
            ("[]", "is a list; expected an object with weight_map"),
            ("{}", "no weight_map: not the index of a checkpoint in shards"),
            ('{"weight_map": {}}', "weight_map is empty"),
            ('{"weight_map": ["a"]}', "weight_map is a list; expected an object"),
            (
                '{"weight_map": {"a": "../a.safetensors"}}',
                "tensor 'a' is in the text '../a.safetensors'; expected the name of a .safetensors file in the same folder",
            ),
            (
                '{"weight_map": {"a": 1}}',
                "tensor 'a' is in the integer 1; expected the name of a .safetensors file in the same folder",
            ),
            ('{"weight_map": {"a": "b", "a": "b"}}', "duplicate key 'a' in the JSON text"),
        ]
        for content, message in cases:
            with self.subTest(message):
                self.write(f"model/{INDEX}", content)
                self.check_refused(self.arguments(), f"model/{INDEX}: {message}")
        os.remove(self.path(f"model/{INDEX}"))
        self.check_refused(
            self.arguments(),
            f"model: a folder without {INDEX} or model.safetensors; allowed: FILE.safetensors, the folder of a "
            "checkpoint, or its index",
        )

    def test_names_out_of_a_file_do_not_steer_the_terminal(self):
        header = json.dumps({"\x1b[31m": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}).encode()
        self.write("x.safetensors", struct.pack("<Q", len(header)) + header + bytes(4))
        done = self.run_program(self.arguments())
        self.assertEqual(done.returncode, 2)
        self.assertIn("tensor '?[31m'", done.stderr)
        self.assertNotIn("\x1b", done.stderr)


class LargeCheckpointTest(ProgramTest):
    """20 GB in files that are holes: only what is used may be touched."""

    def write_shard(self, name, shapes):
        header, end = {}, 0
        for tensor, (n, k) in shapes.items():
            header[tensor] = {"dtype": "BF16", "shape": [n, k], "data_offsets": [end, end + 2 * n * k]}
            end += 2 * n * k
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path(f"model/{name}"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + end)
        return end

    def write_checkpoint(self):
        os.mkdir(self.path("model"))
        weight_map, size = {}, 0
        for layer in range(-1, LAYERS):
            shard = f"model-{layer + 2:05}-of-{LAYERS + 1:05}.safetensors"
            shapes = {f"model.layers.{layer}.{name}.weight": shape for name, shape in LAYER.items()}
            shapes = VOCABULARY if layer < 0 else shapes
            size += self.write_shard(shard, shapes)
            weight_map |= dict.fromkeys(shapes, shard)
        with open(self.path(f"model/{INDEX}"), "w") as file:
            json.dump({"metadata": {"total_size": size}, "weight_map": weight_map}, file)
        return size

    def test_one_layer_of_20_gb_is_replayed_in_less_than_1_gib(self):
        size = self.write_checkpoint()
        self.assertGreater(size, 20e9)
        tokens = 4
        self.check_done(["trace", "Qwen3-8B", "--phase", "prefill", "--tokens", str(tokens), "-o", "trace.yaml"])
        inputs = {"attn_in": 4096, "o_in": 4096, "ffn_in": 4096, "down_in": 12288}
        tensors = {f"model.layers.20.{name}": ("BF16", (tokens, k), [1.0] * (tokens * k)) for name, k in inputs.items()}
        with open(self.path("x.safetensors"), "wb") as file:
            file.write(safetensors(tensors))
        arguments = ["run", "--trace", "trace.yaml", "--layers", "20", "--tensors", "x.safetensors", "--tensors", "model",
                     "--json", "r.json"]  # fmt: skip
        mebibytes = self.peak_mebibytes(arguments)
        with open(self.path("r.json")) as file:
            gemms = json.load(file)["gemms"]
        self.assertEqual(len(gemms), 7)
        for gemm in gemms:  # a hole is zeros, and so is the product
            self.assertEqual(gemm["scheme"]["max_abs_error"], 0, gemm["name"])
        if mebibytes is not None:
            print(f"{size / 1e9:.1f} GB in {LAYERS + 1} shards, one layer, {tokens} tokens: {mebibytes:.0f} MiB")
            self.assertLess(mebibytes, 1024)


if __name__ == "__main__":
    main()
