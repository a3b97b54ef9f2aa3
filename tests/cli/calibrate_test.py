#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`oscsim calibrate`: the summary, the table file, decisions that a replay follows, and what is refused.

usage: calibrate_test.py OSCSIM SOURCE_ROOT
"""

import itertools
import json
import math
import os
import re
import subprocess

from matrix_files import safetensors
from program import PROGRAM, ProgramTest, main

TOKENS, K, GROUP = 20, 64, 32
LAYER = "model.layers.{}."


def activation(shares, k=K):
    """Ones, and 64 in channel 3 of each group for a share of the tokens, in channel 5 for the others; no outlier for a
    share of None."""
    rows = [[1.0] * k for _ in range(TOKENS)]
    for group, share in enumerate(shares):
        for token in range(TOKENS if share is not None else 0):
            rows[token][group * GROUP + (3 if token < share * TOKENS else 5)] = 64.0
    return ("BF16", (TOKENS, k), [value for row in rows for value in row])


def layers(shares):
    return {
        LAYER.format(layer) + name: activation(share)
        for name, each in shares.items()
        for layer, share in enumerate(each)
    }


SHARES = {"attn_in": [(0.9, 0.8), (0.6, None)], "down_in": [(0.6, 0.6), (0.6, 0.6)]}


class CalibrateTest(ProgramTest):
    def write(self, name, content):
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def table(self, name, text):
        """What the file says of one activation."""
        part = re.search(rf"- input: {re.escape(name)}\n((    .*\n)*)", text).group(1)
        return dict(line.strip().split(": ", 1) for line in part.splitlines())

    def test_density_by_position_and_layer(self):
        self.write("x.safetensors", safetensors(layers(SHARES)))
        lines = self.check_done(["calibrate", "x.safetensors", "--alpha", "3"]).splitlines()
        self.assertEqual(lines[0], "4 activations, groups of 32 channels, threshold 3 x mean magnitude")
        rows = [line.split() for line in lines]
        # Means over the groups with outliers, then over the layers.
        self.assertIn(["attn_in", "2", "4", "25.0", "72.5", "60.0", "85.0", "high", "osc"], rows)
        self.assertIn(["down_in", "2", "4", "0.0", "60.0", "60.0", "60.0", "moderate", "osc"], rows)
        self.assertEqual(rows[-2:], [["0", "85.0", "60.0"], ["1", "60.0", "60.0"]])

    def test_table_file_holds_channels_counts_and_provenance(self):
        weight = {"model.layers.0.mlp.up_proj.weight": ("F32", (2, 3), [0.0] * 6)}
        self.write("x.safetensors", safetensors(layers(SHARES) | weight))
        self.check_done(["calibrate", "x.safetensors", "--alpha", "3", "-o", "t.yaml"])
        text = self.read("t.yaml")
        found = self.table("model.layers.1.attn_in", text)
        mean = (TOKENS * (K - 1) + TOKENS * 64) / (TOKENS * K)
        expected = {
            "position": "attn_in",
            "decision": "osc",
            "tokens": "20",
            "threshold": repr(3 * mean),
            "density": "0.6",
            "channels": "[3, -1]",
            "above": "[20, 0]",
            "hits": "[12, 0]",
        }
        self.assertEqual(found, expected)
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        self.assertIn(f"version: {json.dumps(version)}", text)
        self.assertRegex(text, r"files:\n  - file: x.safetensors\n    sha256: \"?[0-9a-f]{64}")
        self.assertNotIn("up_proj", text)

    @staticmethod
    def spread(channels):
        """One group whose outlier moves over so many channels."""
        rows = [[64.0 if channel == token % channels else 1.0 for channel in range(GROUP)] for token in range(TOKENS)]
        return ("F32", (TOKENS, GROUP), [value for row in rows for value in row])

    def test_tiers_decide_and_the_command_line_decides_otherwise(self):
        # Three channels share the tokens: 7, 7 and 6 of 20, 35 %; four: 5 each, 25 %.
        tensors = {
            "attn_in": activation((0.65,), GROUP),
            "o_in": self.spread(3),
            "ffn_in": activation((None,), GROUP),
            "down_in": self.spread(4),
        }
        tensors = {f"model.layers.0.{name}": tensor for name, tensor in tensors.items()}
        self.write("x.safetensors", safetensors(tensors))
        rows = [line.split() for line in self.check_done(["calibrate", "x.safetensors", "-o", "t.yaml"]).splitlines()]
        self.assertIn(["attn_in", "1", "1", "0.0", "65.0", "65.0", "65.0", "high", "osc"], rows)
        self.assertIn(["o_in", "1", "1", "0.0", "35.0", "35.0", "35.0", "moderate", "osc"], rows)
        self.assertIn(["ffn_in", "1", "1", "100.0", "-", "-", "-", "no", "outliers", "osc"], rows)
        self.assertIn(["down_in", "1", "1", "0.0", "25.0", "25.0", "25.0", "low", "fallback"], rows)
        self.assertEqual(self.table("model.layers.0.down_in", self.read("t.yaml"))["decision"], "fallback")
        decisions = ["--decide", "down_in=osc", "--decide", "o_in=fallback"]
        text = self.check_done(["calibrate", "x.safetensors", *decisions, "-o", "u.yaml"])
        self.assertRegex(text, r"(?m)^o_in .* moderate +fallback \(--decide\)$")
        self.assertRegex(text, r"(?m)^down_in .* low +osc \(--decide\)$")
        text = self.read("u.yaml")
        self.assertEqual([self.table(name, text)["decision"] for name in tensors], ["osc", "fallback", "osc", "osc"])

    def test_held_out_tokens_show_how_often_the_table_hits(self):
        self.write("x.safetensors", safetensors(layers({"attn_in": [(0.9, 0.8), (None, 1)]})))
        # Group 0 of layer 1 has no channel in the table: its outliers are missed.
        self.write("y.safetensors", safetensors(layers({"attn_in": [(0.7, 0.4), (1, 1)]})))
        arguments = ["calibrate", "x.safetensors", "--holdout", "y.safetensors", "--alpha", "3", "-o", "t.yaml"]
        text = self.check_done(arguments)
        self.assertIn("0  85.0 / 55.0", re.sub(r" {3,}", "  ", text))
        self.assertIn("1  100.0 / 50.0", re.sub(r" {3,}", "  ", text))
        tables = [self.table(f"model.layers.{layer}.attn_in", self.read("t.yaml")) for layer in (0, 1)]
        rates = [float(table["held_out_hit_rate"]) for table in tables]
        self.assertTrue(math.isclose(rates[0], 0.55) and rates[1] == 0.5, rates)
        self.assertRegex(self.read("t.yaml"), r"held_out:\n  - file: y.safetensors\n")

    def test_many_layers_are_grouped_into_few_rows(self):
        self.write("x.safetensors", safetensors(layers({"attn_in": [(0.5, 0.5)] * 36})))
        lines = self.check_done(["calibrate", "x.safetensors", "--alpha", "3"]).splitlines()
        names = [line.split()[0] for line in lines if re.match(r"\d+-\d+ ", line)]
        self.assertEqual(names, [f"{first}-{first + 2}" for first in range(0, 36, 3)])

    def test_replay_follows_the_decision(self):
        name = "gemm_20x16x64"
        weights = {f"{name}.weight": ("BF16", (16, K), [(i * 53 % 97 - 48) / 32 for i in range(16 * K)])}
        self.write("x.safetensors", safetensors({f"{name}.input": activation((0.9, 0.8))} | weights))
        formats, hashes = {}, {}
        for position, decision in itertools.product(("attn_in", "down_in"), ("osc", "fallback")):
            decide = ["--decide", f"other={decision}"]
            self.check_done(["calibrate", "x.safetensors", "--alpha", "3", *decide, "-o", "t.yaml"])
            run = ["run", "--machine", "edge_npu", "--gemm", f"20,16,64,{position}", "--tensors", "x.safetensors"]
            self.check_done([*run, "--table", "t.yaml", "--verify", "--json", "r.json"])
            gemm = json.loads(self.read("r.json"))["gemms"][0]
            formats[position, decision] = gemm["scheme"]["formats"]
            hashes[position, decision] = gemm["scheme"]["output_sha256"], gemm["baseline"]["output_sha256"]
        for position in ("attn_in", "down_in"):  # whatever the scheme's own positions say
            self.assertEqual(formats[position, "osc"], "mxfp4 + bf16 branch")
            self.assertEqual(formats[position, "fallback"], "mxfp8")
        self.assertEqual(hashes["attn_in", "osc"], hashes["down_in", "osc"])
        self.assertEqual(hashes["attn_in", "fallback"], hashes["down_in", "fallback"])
        self.assertNotEqual(hashes["attn_in", "osc"][0], hashes["attn_in", "fallback"][0])
        self.assertEqual(len({baseline for _, baseline in hashes.values()}), 1)

    def test_fallback_needs_formats_in_the_scheme(self):
        self.write("s.yaml", "activation: mxfp4\nweight: mxfp4\noutliers: {group: 32}\n")
        table = "{input: gemm_8x16x64.input, decision: fallback, channels: [0, 1]}"
        self.write("t.yaml", f"schema: 1\ngroup: 32\ntables:\n  - {table}\n")
        self.check_refused(
            ["run", "--machine", "edge_npu", "--gemm", "8,16,64", "--scheme", "s.yaml", "--table", "t.yaml"],
            "t.yaml: decides fallback for 'gemm_8x16x64.input', but scheme 's' has no fallback\n"
            "  allowed: decision osc there, or a scheme with fallback.positions (which may be empty: [])",
        )

    def test_memory_does_not_grow_with_the_tokens(self):
        tokens, k = 40_000, 4096  # 320 MiB, all of it a hole
        entry = {"dtype": "BF16", "shape": [tokens, k], "data_offsets": [0, 2 * tokens * k]}
        header = json.dumps({"model.layers.0.attn_in": entry}).encode()
        with open(self.path("x.safetensors"), "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + 2 * tokens * k)
        mebibytes = self.peak_mebibytes(["calibrate", "x.safetensors"])
        if mebibytes is not None:
            print(f"calibration of {2 * tokens * k / 2**20:.0f} MiB: {mebibytes:.0f} MiB")
            self.assertLess(mebibytes, 160)

    def test_refused_arguments(self):
        self.write("x.safetensors", safetensors(layers({"attn_in": [(0.9,)]})))
        self.write("w.safetensors", safetensors({"a.weight": activation((1,))}))
        cases = [
            ([], "no input: FILE.safetensors with activations"),
            (["x.safetensors", "--group", "1"], "--group: 1; allowed: 2 to 4096"),
            (["x.safetensors", "--alpha", "-1"], "--alpha: -1; allowed: 0 to 1000000"),
            (["x.safetensors", "--decide", "attn_in"], "--decide attn_in: expected POSITION=osc or POSITION=fallback"),
            (
                ["x.safetensors", "--decide", "atn_in=osc"],
                "--decide atn_in=osc: unknown 'atn_in'\n"
                "  allowed: attn_in, o_in, ffn_in, down_in, router, lm_head, other; did you mean 'attn_in'?",
            ),
            (
                ["x.safetensors", "--decide", "attn_in=ocs"],
                "--decide attn_in=ocs: unknown 'ocs'\n  allowed: osc, fallback; did you mean 'osc'?",
            ),
            (["x.safetensors", "--decide", "o_in=osc"], "--decide o_in=osc: no tensor of that position"),
            (
                ["x.safetensors", "--decide", "attn_in=osc", "--decide", "attn_in=osc"],
                "--decide attn_in=osc: a second decision for attn_in",
            ),
            (
                ["x.safetensors", "-o", "x.safetensors"],
                "-o x.safetensors: is the input x.safetensors; nothing is written over what is read",
            ),
            (
                ["w.safetensors"],
                "w.safetensors: no activations\n"
                "  allowed: matrices with a name that ends in .attn_in, .o_in, .ffn_in, .down_in or .input",
            ),
            (
                ["x.safetensors", "x.safetensors"],
                "x.safetensors: tensor 'model.layers.0.attn_in' is also in x.safetensors; every name may be there once",
            ),
        ]
        for arguments, message in cases:
            with self.subTest(message):
                self.check_refused(["calibrate", *arguments], message)

    def test_refused_tensors(self):
        name = "model.layers.0.attn_in"
        good = activation((0.9, 0.8))
        self.write("x.safetensors", safetensors({name: good}))
        bad = list(good[2])
        bad[7 * K + 9] = math.nan
        cases = [
            ({name: ("BF16", (TOKENS, K), bad)}, [], f"z.safetensors: tensor '{name}' has NaN at [7, 9]"),
            (
                {name: ("I64", (2, 2), [1] * 4)},
                [],
                f"z.safetensors: tensor '{name}' has dtype I64; allowed: BF16, F16, F32",
            ),
            (
                {name: ("F32", (4,), [1.0] * 4)},
                [],
                f"z.safetensors: tensor '{name}' has shape [4]; expected two sizes, tokens and channels",
            ),
            (
                {name: ("F32", (4, 0), [])},
                [],
                f"z.safetensors: tensor '{name}' has shape [4, 0]; expected two sizes, tokens and channels",
            ),
            (
                {name: ("F32", (1, 4), [1.0] * 4)},
                ["x.safetensors", "--holdout"],
                f"z.safetensors: tensor '{name}' has 4 channels, the calibrated one has 64",
            ),
            (
                {"model.layers.1.attn_in": good},
                ["x.safetensors", "--holdout"],
                "z.safetensors: none of its activations is calibrated; held-out tokens have the same tensor names",
            ),
        ]
        for tensors, before, message in cases:
            with self.subTest(message):
                self.write("z.safetensors", safetensors(tensors))
                self.check_refused(["calibrate", *before, "z.safetensors", "-o", "t.yaml"], message)
                self.assertFalse(os.path.exists(self.path("t.yaml")))


if __name__ == "__main__":
    main()
