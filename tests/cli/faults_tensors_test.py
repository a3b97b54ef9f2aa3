#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tensor files and checkpoints that the program refused, misread or took a part of. What codes, scales and products have
to be is computed here once more.

usage: faults_tensors_test.py OSCSIM SOURCE_ROOT
"""

import json
import math
import os
import random
import struct

from matrix_files import PACK, npy_bytes, read_safetensors, safetensors
from program import ProgramTest, main

for name in ("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "F8_E4M3FNUZ"):
    PACK[name] = bytes
PACK["I32"] = lambda values: struct.pack(f"<{len(values)}i", *values)

E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
INDEX = "model.safetensors.index.json"
M, N, K = 4, 6, 64
TRACE = """schema: 1
gemms:
  - {{name: "{name}", position: attn_in, m: {m}, n: {n}, k: {k}, input: "model.layers.0.attn_in"}}
"""
Q_PROJ = "model.layers.0.self_attn.q_proj"
EXPERTS = "model.layers.0.mlp.experts"


def fp32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def bf16(values):
    return struct.unpack(f"<{len(values)}f", b"".join(b"\0\0" + struct.pack("<f", value)[2:] for value in values))


def e4m3(code):
    mantissa, exponent = code & 7, code >> 3 & 15
    magnitude = math.ldexp(mantissa, -9) if exponent == 0 else math.ldexp(8 + mantissa, exponent - 10)
    return -magnitude if code & 0x80 else magnitude


def e2m1(code):
    return -E2M1[code & 7] if code & 8 else E2M1[code & 7]


def nibbles(data):
    return [code for byte in data for code in (byte & 15, byte >> 4)]


def product(x, weight, scales, block, outer):
    """Y of the definition: sums of a block exact, one FP32 rounding for each block, then the outer scales one by one.
    `scales[row][i]` is what a sum over block i is multiplied by, `outer` a list of functions of the weight's row."""
    rows = []
    for values in x:
        rows.append([])
        for row, codes in enumerate(weight):
            total = 0.0
            for first in range(0, len(codes), block):
                part = sum(a * b for a, b in zip(values[first : first + block], codes[first : first + block]))
                total = fp32(total + part * scales[row][first // block])
            for factor in outer:
                total = fp32(total * factor(row))
            rows[-1].append(total)
    return rows


class TensorsTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(7)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def bytes(self, count, largest=255):
        return [self.random.randint(0, largest) for _ in range(count)]

    def values(self, rows, k):
        return [self.random.randint(-64, 64) / 16 for _ in range(rows * k)]

    def grid(self, rows, k, peak, values):
        """Rows that a cast changes in nothing: the largest magnitude of each block of 16 is `peak`."""
        table = []
        for _ in range(rows):
            row = [self.random.choice(values) * self.random.choice((-1, 1)) for _ in range(k)]
            row[::16] = [peak] * len(row[::16])
            table.append(row)
        return table

    def run_gemm(self, weights, *more, name=Q_PROJ, n=N, k=K, x=None, scheme="w4a4", refused=None):
        x = x or self.grid(M, k, 6, E2M1)
        self.write("trace.yaml", TRACE.format(name=name, m=len(x), n=n, k=k))
        self.write("x.safetensors", safetensors({"model.layers.0.attn_in": ("F32", (len(x), k), sum(x, []))}))
        arguments = ["run", "--machine", "edge_npu", "--trace", "trace.yaml", "--scheme", scheme, "--baseline", "w8a8",
                     "--tensors", "x.safetensors", "--tensors", weights, "--outputs", "y.safetensors", "--json", "r.json",
                     "--verify", *more]  # fmt: skip
        if refused is not None:
            return self.check_refused(arguments, refused)
        text = self.check_done(arguments)
        tensors, _ = read_safetensors(self.read("y.safetensors"))
        ((_, shape, data),) = tensors.values()
        flat = struct.unpack(f"<{len(data) // 4}f", data)
        rows = [list(flat[row * shape[1] : (row + 1) * shape[1]]) for row in range(shape[0])]
        return rows, json.loads(self.read("r.json"))["gemms"][0], text

    def quantized(self, argument, *more):
        done = self.run_program(["quantize", argument, "--format", "mxfp4", "-o", "q.safetensors", *more])
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_safetensors(self.read("q.safetensors"))[0], done


class LeftOutTest(TensorsTest):
    def test_b3_scales_and_codes_are_listed_and_not_quantised(self):
        self.write(
            "w.safetensors",
            safetensors(
                {
                    "a.weight": ("F8_E4M3", (2, 64), self.bytes(128, 100)),
                    "a.weight_scale_inv": ("F32", (1, 2), [1.0, 2.0]),
                    "b.weight": ("BF16", (2, 64), self.values(2, 64)),
                    "c.weight_packed": ("U8", (2, 32), self.bytes(64)),
                    "c.weight_scale": ("BF16", (2, 2), [1.0] * 4),
                    "d.qweight": ("I32", (2, 8), [0] * 16),
                    "d.scales": ("F16", (2, 2), [1.0] * 4),
                    "e.experts": ("BF16", (2, 2, 32), self.values(4, 32)),
                    "e.norm": ("BF16", (32,), self.values(1, 32)),
                    "f.weight": ("BF16", (2, 32), self.values(2, 32)),
                }
            ),
        )
        tensors, done = self.quantized("w.safetensors", "--json", "q.json")
        self.assertEqual({name.rsplit(".", 1)[0] for name in tensors}, {"b.weight", "f.weight"})
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        reasons = {line[0]: line[1] for line in lines if len(line) == 2}
        codes, scales = "packed codes, or integers", "scales of a quantised tensor"
        for name, end in (
            ("a.weight", "F8_E4M3  [2, 64]    F8_E4M3: quantised already"),
            ("a.weight_scale_inv", f"F32      [1, 2]     {scales}"),
            ("c.weight_packed", f"U8       [2, 32]     U8: {codes}"),
            ("c.weight_scale", f"BF16     [2, 2]     {scales}"),
            ("d.qweight", f"I32      [2, 8]     I32: {codes}"),
            ("d.scales", f"F16      [2, 2]     {scales}"),
            ("e.experts", "BF16     [2, 2, 32]  3 dimensions"),
            ("e.norm", "BF16     [32]        1 dimension"),
        ):
            self.assertEqual(reasons[name].split(), end.split())
        self.assertIn("; 2 quantised, 8 left out\n", done.stdout)
        left_out = json.loads(self.read("q.json"))["left_out"]
        self.assertEqual(len(left_out), 8)
        self.assertEqual(
            left_out[1], {"name": "a.weight_scale_inv", "dtype": "F32", "shape": [1, 2], "reason": scales}
        )

    def test_b3_variant_names_of_other_quantisers(self):
        kinds = {
            "weight_scale_2": "scales", "input_scale": "scales", "weight_global_scale": "scales", "k_scale": "scales",
            "gate_up_proj_scales": "scales", "absmax": "scales", "weight_zero_point": "zero points",
            "gate_up_proj_bias": "a bias",
        }  # fmt: skip
        tensors = {f"m.{name}": ("F32", (2, 32), [1.0] * 64) for name in kinds}
        tensors["m.upscale_proj.weight"] = tensors["m.rescale"] = ("F32", (2, 32), [2.0] * 64)
        self.write("w.safetensors", safetensors(tensors))
        found, done = self.quantized("w.safetensors", "--json", "q.json")
        self.assertEqual({name.rsplit(".", 1)[0] for name in found}, {"m.upscale_proj.weight", "m.rescale"})
        for tensor in json.loads(self.read("q.json"))["left_out"]:
            self.assertTrue(tensor["reason"].startswith(kinds[tensor["name"][2:]]), tensor)
        # Asked for by name, a tensor is what the user says.
        self.assertEqual(set(self.quantized("w.safetensors:m.k_scale")[0]), {"codes", "scales", "decoded"})

    def test_b3_variant_nothing_left_is_refused(self):
        self.write(
            "w.safetensors",
            safetensors({"w": ("F8_E4M3", (1, 32), [0] * 32), "w_scale": ("F32", (1, 1), [1.0])}),
        )
        self.check_refused(
            ["quantize", "w.safetensors", "--format", "mxfp4", "-o", "q.safetensors"],
            "w.safetensors: no tensor with two dimensions of BF16, F16 or F32 besides scales, zero points and biases\n"
            "  tensors: w F8_E4M3 [1, 32], w_scale F32 [1, 1]",
        )
        self.assertFalse(os.path.exists(self.path("q.safetensors")))


class JsonTest(TensorsTest):
    def test_b4_nul_behind_the_value(self):
        header = b'{"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}\0{"x":1}'
        self.write("w.safetensors", struct.pack("<Q", len(header)) + header + bytes(4))
        self.check_refused(
            ["quantize", "w.safetensors", "--format", "mxfp4", "-o", "q.safetensors"],
            "w.safetensors: header:1:57: not valid JSON: a NUL byte behind the value",
        )
        self.write("config.json", b'{"model_type": "qwen3"}\0{}')
        self.check_refused(
            ["trace", "config.json", "--phase", "prefill", "--tokens", "8"],
            "config.json:1:24: not valid JSON: a NUL byte behind the value",
        )

    def test_b4_variant_index(self):
        self.write(f"model/{INDEX}", b'{"weight_map": {"w": "w.safetensors"}}\n\0 {"weight_map": {}}')
        self.run_gemm("model", refused=f"model/{INDEX}:2:1: not valid JSON: a NUL byte behind the value")


class ArrayTest(TensorsTest):
    ROWS = [[(3 * row + col) % 7 - 3.25 for col in range(32)] for row in range(2)]

    def codes(self, content, note=""):
        self.write("w.npy", content)
        tensors, done = self.quantized("w.npy")
        self.assertEqual(done.stderr, note)
        return tensors["codes"], tensors["scales"]

    def test_c4_every_layout_of_an_array_is_the_same_matrix(self):
        flat = sum(self.ROWS, [])
        columns = [self.ROWS[row][col] for col in range(32) for row in range(2)]
        plain = self.codes(npy_bytes("<f4", (2, 32), struct.pack("<64f", *flat)))
        note = "oscsim: note: w.npy: FP64, converted to FP32: rounded to nearest, ties to even\n"
        self.assertEqual(self.codes(npy_bytes("<f4", (2, 32), struct.pack("<64f", *columns), fortran=True)), plain)
        self.assertEqual(self.codes(npy_bytes(">f4", (2, 32), struct.pack(">64f", *flat))), plain)
        self.assertEqual(self.codes(npy_bytes("<f8", (2, 32), struct.pack("<64d", *flat)), note), plain)
        self.assertEqual(self.codes(npy_bytes("<f4", (1, 2, 32), struct.pack("<64f", *flat))), plain)
        row = self.codes(npy_bytes("<f4", (1, 32), struct.pack("<32f", *flat[:32])))
        self.assertEqual(self.codes(npy_bytes("<f4", "(32,)", struct.pack("<32f", *flat[:32]))), row)

    def test_c4_variant_all_at_once(self):
        columns = [self.ROWS[row][col] for col in range(32) for row in range(2)]
        plain = self.codes(npy_bytes("<f2", (2, 32), struct.pack("<64e", *sum(self.ROWS, []))))
        note = "oscsim: note: w.npy: FP64, converted to FP32: rounded to nearest, ties to even\n"
        content = npy_bytes(">f8", (1, 1, 2, 32), struct.pack(">64d", *columns), fortran=True)
        self.assertEqual(self.codes(content, note), plain)

    def test_c4_activations_with_a_batch_of_one(self):
        name, values = "model.layers.0.attn_in", self.values(16, K)
        tables = []
        for shape in ((16, K), (1, 16, K)):
            self.write("x.safetensors", safetensors({name: ("BF16", shape, values)}))
            self.check_done(["calibrate", "x.safetensors", "-o", "table.yaml"])
            tables.append([line for line in self.read("table.yaml").splitlines() if b"sha256" not in line])
        self.assertEqual(*tables)
        self.write("x.safetensors", safetensors({name: ("BF16", (2, 8, K), values)}))
        self.check_refused(
            ["calibrate", "x.safetensors", "-o", "t.yaml"],
            f"x.safetensors: tensor '{name}' has shape [2, 8, {K}]; expected two sizes, tokens and channels",
        )

    def test_c4_variant_run_with_a_batch_of_one(self):
        weight = {f"{Q_PROJ}.weight": ("BF16", (N, K), self.values(N, K))}
        self.write("w.safetensors", safetensors(weight))
        x = self.grid(M, K, 6, E2M1)
        wanted, _, _ = self.run_gemm("w.safetensors", x=x)
        batch = safetensors({"model.layers.0.attn_in": ("F32", (1, M, K), sum(x, []))})
        self.write("batch.safetensors", batch)
        self.check_done(["run", "--machine", "edge_npu", "--trace", "trace.yaml", "--scheme", "w4a4", "--tensors",
                         "batch.safetensors", "--tensors", "w.safetensors", "--outputs", "z.safetensors"])  # fmt: skip
        self.assertEqual(read_safetensors(self.read("z.safetensors"))[0], read_safetensors(self.read("y.safetensors"))[0])
        self.assertEqual(len(wanted), M)


class CheckpointsTest(TensorsTest):
    def outputs(self, tensors, name=Q_PROJ, n=N, k=K):
        self.write("w.safetensors", safetensors(tensors))
        return self.run_gemm("w.safetensors", name=name, n=n, k=k, x=self.x)[0]

    def setUp(self):
        super().setUp()
        self.x = self.grid(M, K, 6, E2M1)
        self.weight = ("BF16", (N, K), self.values(N, K))

    def test_c5_prefixes(self):
        wanted = self.outputs({f"{Q_PROJ}.weight": self.weight})
        core = Q_PROJ.removeprefix("model.")
        for prefix in ("model.language_model.", "", "language_model.model."):
            other = {f"{prefix}{core}.weight": self.weight, f"vision.{core}.weight": ("BF16", (N, K), [1.0] * N * K)}
            self.assertEqual(self.outputs(other), wanted, prefix)
        self.write("w.safetensors", safetensors({f"{prefix}{core}.weight": self.weight for prefix in ("", "language_model.")}))
        self.run_gemm(
            "w.safetensors",
            refused=f"w.safetensors: '{Q_PROJ}.weight' may be 'language_model.{core}.weight' or '{core}.weight': a trace "
            "that names one of them as its weight decides",
        )

    def shards(self, listed):
        other = {"model.norm.weight": ("BF16", (K,), self.values(1, K))}
        self.write("model/model-00001-of-00002.safetensors", safetensors(other))
        self.write("model/model-00002-of-00002.safetensors", safetensors({f"{Q_PROJ}.weight": self.weight}))
        if listed is not None:
            self.write(f"model/{INDEX}", json.dumps({"weight_map": listed}))

    def test_c5_shards_without_an_index(self):
        wanted = self.outputs({f"{Q_PROJ}.weight": self.weight})
        self.shards(None)
        self.assertEqual(self.run_gemm("model", x=self.x)[0], wanted)
        files = [entry["file"] for entry in json.loads(self.read("r.json"))["provenance"]["tensors"]]
        self.assertEqual(files, ["x.safetensors", f"model/model-00002-of-00002.safetensors:{Q_PROJ}.weight"])

    def test_c5_an_index_that_leaves_a_weight_out(self):
        wanted = self.outputs({f"{Q_PROJ}.weight": self.weight})
        shard = "model-00002-of-00002.safetensors"
        self.shards({"model.norm.weight": "model-00001-of-00002.safetensors", "other": shard})
        self.assertEqual(self.run_gemm("model", x=self.x)[0], wanted)

    def test_c5_quantize_takes_a_folder(self):
        self.shards(None)
        self.write("model/model-00001-of-00002.safetensors", safetensors({"b.weight": self.weight}))
        found, done = self.quantized("model")
        self.assertEqual({name.rsplit(".", 1)[0] for name in found}, {f"{Q_PROJ}.weight", "b.weight"})
        self.write("w.safetensors", safetensors({"b.weight": self.weight}))
        alone, _ = self.quantized("w.safetensors")
        self.assertEqual(found["b.weight.codes"], alone["codes"])
        self.check_refused(
            ["quantize", "model", "--format", "mxfp4", "-o", "model/model-00002-of-00002.safetensors"],
            "-o model/model-00002-of-00002.safetensors: is the input model/model-00002-of-00002.safetensors; nothing is "
            "written over what is read",
        )

    def test_c5_stacked_experts(self):
        experts, inner = 3, 10
        parts = {p: [self.values(inner, K) for _ in range(experts)] for p in ("gate", "up")}
        rows = {p: [[part[i * K : (i + 1) * K] for i in range(inner)] for part in parts[p]] for p in parts}

        def flat(stack):
            return sum((sum(matrix, []) for matrix in stack), [])

        def transposed(matrix):
            return [list(column) for column in zip(*matrix)]

        first = [gate + up for gate, up in zip(rows["gate"], rows["up"])]  # [2 I, H]
        turns = [[row for pair in zip(gate, up) for row in pair] for gate, up in zip(rows["gate"], rows["up"])]
        layouts = {
            "transformers": {f"{EXPERTS}.gate_up_proj": ("BF16", (experts, 2 * inner, K), flat(first))},
            "llama4": {f"{EXPERTS}.gate_up_proj": ("BF16", (experts, K, 2 * inner), flat(map(transposed, first)))},
            "gpt-oss": {
                f"{EXPERTS}.gate_up_proj": ("BF16", (experts, K, 2 * inner), flat(map(transposed, turns))),
                f"{EXPERTS}.gate_up_proj_bias": ("BF16", (experts, 2 * inner), [0.0] * experts * 2 * inner),
            },
        }
        for part in ("gate", "up"):
            name = f"{EXPERTS}.2.{part}_proj"
            wanted = self.outputs({f"{name}.weight": ("BF16", (inner, K), parts[part][2])}, name, inner)
            for layout, tensors in layouts.items():
                self.assertEqual(self.outputs(tensors, name, inner), wanted, (part, layout))
        self.write("w.safetensors", safetensors(layouts["transformers"]))
        self.run_gemm("w.safetensors", name=f"{EXPERTS}.3.up_proj", n=inner,
                      refused=f"w.safetensors: '{EXPERTS}.gate_up_proj' BF16 [3, 20, 64] has no expert 3")  # fmt: skip

    def test_c5_variant_square_down_projections(self):
        """[experts, I, H] with I = H: only what stands beside it says which way it lies."""
        side, name = K, f"{EXPERTS}.1.down_proj"
        matrices = [[self.values(1, side) for _ in range(side)] for _ in range(2)]
        straight = sum((sum(matrix, []) for matrix in matrices), [])
        turned = sum((list(column) for matrix in matrices for column in zip(*matrix)), [])
        wanted = self.outputs({f"{name}.weight": ("BF16", (side, side), straight[side * side :])}, name, side)

        def stack(values):
            return {f"{EXPERTS}.down_proj": ("BF16", (2, side, side), values)}

        self.assertEqual(self.outputs(stack(straight), name, side), wanted)
        bias = {f"{EXPERTS}.gate_up_proj_bias": ("BF16", (2, 2 * side), [0.0] * 4 * side)}
        self.assertEqual(self.outputs(stack(turned) | bias, name, side), wanted)
        wide = {f"{EXPERTS}.gate_up_proj": ("BF16", (2, side, 2 * side), [0.0] * 4 * side * side)}
        self.assertEqual(self.outputs(stack(turned) | wide, name, side), wanted)


class StoredWeightsTest(TensorsTest):
    def fp4(self, block):
        packed = self.bytes(N * K // 2)
        codes = [e2m1(code) for code in nibbles(packed)]
        return packed, [codes[row * K : (row + 1) * K] for row in range(N)], K // block

    def check(self, tensors, scheme, x, wanted, way, folder="model"):
        self.write(f"{folder}/model.safetensors", safetensors(tensors))
        rows, gemm, text = self.run_gemm(folder, x=x, scheme=scheme)
        self.assertEqual(rows, wanted)
        self.assertEqual(gemm["scheme"]["weight"], way)
        self.assertIn(f"weights under {scheme}: {way} (1 GEMM)\n", text)
        self.assertEqual(gemm["scheme"]["verification"]["differing"], 0)

    def test_c6_nvfp4_of_compressed_tensors_and_modelopt(self):
        packed, codes, blocks = self.fp4(16)
        scales = self.bytes(N * blocks, 0x7E)
        x = self.grid(M, K, 6, E2M1)
        # The activation's largest magnitude is 6: its block scales are 448, its FP32 scale 1 / 448.
        factors = [[448 * e4m3(scales[row * blocks + i]) for i in range(blocks)] for row in range(N)]
        for global_scale in (1000.0, fp32(2688 / 0.3)):
            outer = fp32(1 / global_scale)
            wanted = product(x, codes, factors, 16, [lambda _: fp32(1 / 448), lambda _: outer])
            tensors = {
                f"{Q_PROJ}.weight_packed": ("U8", (N, K // 2), packed),
                f"{Q_PROJ}.weight_scale": ("F8_E4M3", (N, blocks), scales),
                f"{Q_PROJ}.weight_global_scale": ("F32", (1,), [global_scale]),
            }
            self.check(tensors, "w4a4_nvfp4", x, wanted, "NVFP4, as stored")
            tensors = {
                f"{Q_PROJ}.weight": ("U8", (N, K // 2), packed),
                f"{Q_PROJ}.weight_scale": ("F8_E4M3", (N, blocks), scales),
                f"{Q_PROJ}.weight_scale_2": ("F32", (), [outer]),
            }
            self.check(tensors, "w4a4_nvfp4", x, wanted, "NVFP4, as stored")

    def mxfp4(self):
        packed, codes, blocks = self.fp4(32)
        scales = [120 + code % 16 for code in self.bytes(N * blocks)]
        factors = [[2.0 ** (scales[row * blocks + i] - 127) for i in range(blocks)] for row in range(N)]
        return packed, codes, blocks, scales, factors

    def test_c6_mxfp4_of_compressed_tensors(self):
        packed, codes, blocks, scales, factors = self.mxfp4()
        x = self.grid(M, K, 6, E2M1)
        tensors = {
            f"{Q_PROJ}.weight_packed": ("U8", (N, K // 2), packed),
            f"{Q_PROJ}.weight_scale": ("U8", (N, blocks), scales),
        }
        self.check(tensors, "w4a4", x, product(x, codes, factors, 32, []), "MXFP4, as stored")
        # Another format takes the values, and says so.
        _, gemm, _ = self.run_gemm("model", x=x, scheme="w4a4_nvfp4")
        self.assertEqual(gemm["scheme"]["weight"], "MXFP4, decoded and cast to nvfp4")
        self.assertEqual(gemm["baseline"]["weight"], "MXFP4, decoded and cast to fp8")

    def test_c6_gpt_oss(self):
        experts, (packed, codes, blocks, scales, factors) = 2, self.mxfp4()
        inner = N // 2
        x = self.grid(M, K, 6, E2M1)
        filler = self.bytes(len(packed))
        tensors = {
            f"{EXPERTS}.gate_up_proj_blocks": ("U8", (experts, N, blocks, 16), filler + packed),
            f"{EXPERTS}.gate_up_proj_scales": ("U8", (experts, N, blocks), [127] * len(scales) + scales),
            f"{EXPERTS}.gate_up_proj_bias": ("BF16", (experts, N), [0.0] * experts * N),
            f"{EXPERTS}.down_proj_blocks": ("U8", (experts, N, blocks, 16), filler + packed),
            f"{EXPERTS}.down_proj_scales": ("U8", (experts, N, blocks), [127] * len(scales) + scales),
        }
        self.write("w.safetensors", safetensors(tensors))
        wanted = product(x, codes, factors, 32, [])
        for part, columns in (("gate", slice(0, None, 2)), ("up", slice(1, None, 2))):
            rows, gemm, _ = self.run_gemm("w.safetensors", name=f"{EXPERTS}.1.{part}_proj", n=inner, x=x)
            self.assertEqual(rows, [row[columns] for row in wanted], part)
            self.assertEqual(gemm["scheme"]["weight"], "MXFP4, as stored")
        self.assertEqual(self.run_gemm("w.safetensors", name=f"{EXPERTS}.1.down_proj", x=x)[0], wanted)

    def fp8(self):
        data = [code if code & 0x7F != 0x7F else 0 for code in self.bytes(N * K)]
        codes = [[e4m3(code) for code in data[row * K : (row + 1) * K]] for row in range(N)]
        x = self.grid(M, K, 448, [0, 1, 1.5, 2, 3, 4, 7, 8])
        return data, codes, x, [[1.0] * (K // 32)] * N

    def test_c6_fp8_with_one_scale_and_with_one_for_each_row(self):
        data, codes, x, ones = self.fp8()
        weight = {f"{Q_PROJ}.weight": ("F8_E4M3", (N, K), data)}
        scale = fp32(0.0123)
        for shape in ((), (1,), (1, 1)):
            tensors = weight | {f"{Q_PROJ}.weight_scale": ("F32", shape, [scale])}
            wanted = product(x, codes, ones, 32, [lambda _: 1.0, lambda _: scale])
            self.check(tensors, "w8a8", x, wanted, "FP8 with one scale, as stored")
        scales = bf16([0.01 * (row + 1) for row in range(N)])
        for shape in ((N,), (N, 1)):
            tensors = weight | {f"{Q_PROJ}.weight_scale": ("BF16", shape, scales)}
            wanted = product(x, codes, ones, 32, [lambda _: 1.0, lambda row: scales[row]])
            self.check(tensors, "w8a8", x, wanted, "FP8 with a scale for each row, as stored")

    def test_c6_fp8_in_blocks_is_decoded(self):
        n, k = 130, 160
        data = [code if code & 0x7F != 0x7F else 0 for code in self.bytes(n * k)]
        scales = [fp32(0.001 * (i + 1)) for i in range(4)]
        values = [fp32(e4m3(code) * scales[i // k // 128 * 2 + i % k // 128]) for i, code in enumerate(data)]
        weight = {
            f"{Q_PROJ}.weight": ("F8_E4M3", (n, k), data),
            f"{Q_PROJ}.weight_scale_inv": ("F32", (2, 2), scales),
        }
        x = self.grid(M, k, 6, E2M1)
        self.write("blocks.safetensors", safetensors(weight))
        rows, gemm, _ = self.run_gemm("blocks.safetensors", n=n, k=k, x=x, scheme="w8a8_mxfp8")
        way = "FP8 with a scale for each block of 128 x 128, decoded and cast to mxfp8"
        self.assertEqual(gemm["scheme"]["weight"], way)
        self.write("plain.safetensors", safetensors({f"{Q_PROJ}.weight": ("F32", (n, k), values)}))
        self.assertEqual(self.run_gemm("plain.safetensors", n=n, k=k, x=x, scheme="w8a8_mxfp8")[0], rows)

    def test_c6_variant_mxfp8_and_int8(self):
        data, codes, x, _ = self.fp8()
        scales = [120 + code % 16 for code in self.bytes(N * 2)]
        factors = [[2.0 ** (scales[2 * row + i] - 127) for i in range(2)] for row in range(N)]
        tensors = {
            f"{Q_PROJ}.weight": ("F8_E4M3", (N, K), data),
            f"{Q_PROJ}.weight_scale": ("U8", (N, K // 32), scales),
        }
        # 448 in every block: its scale is 1.
        self.check(tensors, "w8a8_mxfp8", x, product(x, codes, factors, 32, []), "MXFP8, as stored")
        data = self.bytes(N * K)
        codes = [[code - 256 * (code > 127) for code in data[row * K : (row + 1) * K]] for row in range(N)]
        x = self.grid(M, K, 127, range(100))
        row_scales = [fp32(0.01 * (row + 1)) for row in range(N)]
        tensors = {
            f"{Q_PROJ}.weight": ("I8", (N, K), data),
            f"{Q_PROJ}.weight_scale": ("F32", (N, 1), row_scales),
        }
        wanted = product(x, codes, [[1.0]] * N, K, [lambda _: 1.0, lambda row: row_scales[row]])
        self.check(tensors, "w8a8_int8", x, wanted, "INT8 with a scale for each row, as stored")

    def test_c6_variant_osc_casts_only_its_branch(self):
        packed, codes, blocks, scales, factors = self.mxfp4()
        tensors = {
            f"{Q_PROJ}.weight_packed": ("U8", (N, K // 2), packed),
            f"{Q_PROJ}.weight_scale": ("F8_E8M0", (N, blocks), scales),
        }
        self.write("w.safetensors", safetensors(tensors))
        for setting in ("false", "true"):
            setting = f"scheme.outliers.zero_weight_rows={setting}"
            _, gemm, _ = self.run_gemm("w.safetensors", "--set", setting, scheme="osc")
            self.assertEqual(gemm["scheme"]["weight"], "MXFP4, as stored")

    def test_c6_variant_gemm(self):
        packed, codes, blocks, scales, factors = self.mxfp4()
        x = self.grid(M, K, 6, E2M1)
        tensors = {
            f"{Q_PROJ}.weight_packed": ("U8", (N, K // 2), packed),
            f"{Q_PROJ}.weight_scale": ("U8", (N, blocks), scales),
        }
        self.write("model/model.safetensors", safetensors(tensors))
        self.write("x.npy", npy_bytes("<f4", (M, K), struct.pack(f"<{M * K}f", *sum(x, []))))
        wanted = product(x, codes, factors, 32, [])
        for weight in (f"model:{Q_PROJ}.weight", f"model/model.safetensors:{Q_PROJ}.weight"):
            self.check_done(["gemm", "x.npy", weight, "--format-a", "mxfp4", "--verify", "-o", "y.safetensors"])
            data = read_safetensors(self.read("y.safetensors"))[0]["output"][2]
            self.assertEqual(data, struct.pack(f"<{M * N}f", *sum(wanted, [])))
        text = self.check_done(["gemm", "x.npy", weight, "--format-a", "mxfp4", "--format-b", "fp8", "-o", "y.npy"])
        self.assertIn(f"  B         {weight} (values of MXFP4) [6, 64], cast to fp8, ", text)

    def test_c6_what_does_not_fit_is_refused(self):
        packed, _, _ = self.fp4(16)
        weight = f"{Q_PROJ}.weight"
        codes = {f"{weight}_packed": ("U8", (N, K // 2), packed)}
        fp8 = {weight: ("F8_E4M3", (N, K), [0] * N * K)}
        negative = {
            f"{weight}_scale": ("F8_E4M3", (N, 4), [0x38] * 9 + [0xB8] + [0x38] * 14),
            f"{weight}_global_scale": ("F32", (1,), [1.0]),
        }
        for tensors, message in (
            (codes, f"'{weight}_packed' U8 [6, 32] without '{weight}_scale'"),
            (fp8, f"tensor '{weight}' has dtype F8_E4M3; allowed: BF16, F16, F32"),
            (fp8 | {f"{weight}_scale": ("F32", (N, 2), [1.0] * 12)},
             f"'{weight}_scale' F32 [6, 2] does not fit '{weight}' F8_E4M3 [6, 64]: scales are one, one for each row, or "
             "one for each block of 128 x 128"),
            (codes | {f"{weight}_scale": ("U8", (N, 4), [127] * 24)},
             f"'{weight}_scale' U8 [6, 4] does not fit '{weight}_packed' U8 [6, 32]: expected U8 [6, 2]"),
            ({f"{weight}_packed": ("I32", (N, 8), [0] * 48)},
             f"'{weight}_packed' I32 [6, 8]: packed weights that are read have two E2M1 codes in a byte, U8 with two "
             "sizes"),
            (codes | negative, f"tensor '{weight}_scale' has 0xb8 at [2, 1]: a negative scale"),
        ):  # fmt: skip
            self.write("w.safetensors", safetensors(tensors))
            with self.subTest(message):
                self.run_gemm("w.safetensors", refused=f"w.safetensors: {message}")


if __name__ == "__main__":
    main()
