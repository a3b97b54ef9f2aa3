#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Behaviour of the built program: help, exit statuses, exact error texts, files and streams.

usage: cli_test.py OSCSIM SOURCE_ROOT
"""

import csv
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

from program import PROGRAM, ROOT, SMALL, ProgramTest, main

MACHINES = ", ".join(sorted(name[:-5] for name in os.listdir(f"{ROOT}/configs/machines") if name.endswith(".yaml")))

# (arguments, message): exit status 2, nothing on standard output, exactly this text on standard error.
# `folder` is an empty folder in the working directory.
WRONG_COMMAND_LINES = [
    ("", "no command\n  allowed: run, trace, calibrate, quantize, gemm, sweep, describe; see: oscsim --help"),
    (
        "rum",
        "unknown command 'rum'\n  allowed: run, trace, calibrate, quantize, gemm, sweep, describe; did you mean 'run'?\n"
        "  see: oscsim --help",
    ),
    ("--versoin", "unknown option '--versoin'; did you mean '--version'?\n  see: oscsim --help"),
    ("run --jsn x", "unknown option '--jsn'; did you mean '--json'?\n  see: oscsim run --help"),
    ("run --threds=2", "unknown option '--threds'; did you mean '--threads'?\n  see: oscsim run --help"),
    ("run -x", "unknown option '-x'\n  see: oscsim run --help"),
    ("run surplus", "unexpected argument 'surplus'\n  see: oscsim run --help"),
    ("run --seed", "--seed: the value is missing\n  see: oscsim run --help"),
    ("run --seed 1 --seed 2", "--seed: given more than once\n  see: oscsim run --help"),
    ("run --gemm 1,2,3 --trace qwen3_8b_decode", "--trace excludes --gemm\n  see: oscsim run --help"),
    ("trace Qwen3-8B --from-csv x.csv", "--from-csv excludes model\n  see: oscsim trace --help"),
    ("sweep --shrd 1/2", "unknown option '--shrd'; did you mean '--shard'?\n  see: oscsim sweep --help"),
    ("sweep submit x --shrds 2", "unknown option '--shrds'; did you mean '--shards'?\n  see: oscsim sweep submit --help"),
    ("sweep merge", "folder is required\n  see: oscsim sweep merge --help"),
    ("sweep merge a b", "unexpected argument 'b'\n  see: oscsim sweep merge --help"),
    ("describe machine edge_npu surplus", "unexpected argument 'surplus'\n  see: oscsim describe --help"),
]

WRONG_VALUES = [
    ("run --seed abc", "--seed: 'abc' is not a number"),
    ("run --seed -1", "--seed: -1; allowed: at least 0"),
    ("run --seed 9223372036854775808", "--seed: '9223372036854775808' does not fit in 63 bits"),
    ("run --threads -1", "--threads: -1; allowed: 0 to 1024"),
    ("run --threads 100000", "--threads: 100000; allowed: 0 to 1024"),
    (
        "run --kernel avx3",
        "--kernel: unknown 'avx3'\n  allowed: auto, avx512_vnni, avx2, portable; did you mean 'avx2'?",
    ),
    ("run --gemm 0,16,64", "--gemm '0,16,64': m = 0; allowed: at least 1"),
    ("run --gemm 8,-16,64", "--gemm '8,-16,64': n = -16; allowed: at least 1"),
    ("run --gemm -8,16,64", "--gemm '-8,16,64': m = -8; allowed: at least 1"),
    ("run --gemm 8x16x64", "--gemm '8x16x64': 1 value; expected M,N,K or M,N,K,position"),
    ("run --gemm 8,16", "--gemm '8,16': 2 values; expected M,N,K or M,N,K,position"),
    (
        "run --gemm 4294967296,4294967296,4",
        "--gemm '4294967296,4294967296,4': m x n = 4294967296 x 4294967296 overflows: its bytes do not fit in 63 bits",
    ),
    (
        "run --gemm 1000000000,1000000000,1000000000",
        "--gemm '1000000000,1000000000,1000000000': m x n x k = 1000000000 x 1000000000 x 1000000000 overflows: "
        "does not fit in 63 bits",
    ),
    (
        "run --gemm 8,16,64,attn_inn",
        "--gemm '8,16,64,attn_inn': unknown position 'attn_inn'; allowed: attn_in, o_in, ffn_in, down_in, router, "
        "lm_head, other; did you mean 'attn_in'?",
    ),
    ("run --layers x", "'x' is no range; expected a number such as 4 or a range such as 0-3"),
    (
        "run --set machin.cores=1",
        "--set machin.cores=1: unknown document 'machin'\n"
        "  allowed: machine, scheme, baseline, trace, mapping; did you mean 'machine'?",
    ),
    ("run --gemm 8,16,64 --timing-only --verify", "--verify compares outputs: not with --timing-only"),
    ("run --gemm 8,16,64 --timing-only --chain", "--chain computes outputs: not with --timing-only"),
    ("run --gemm 8,16,64 --chain", "--chain continues captured activations: it needs --tensors"),
    ("trace Qwen3-8B --phase prefill --tokens 8 --group 32", "--group needs --fit"),
    ("trace t.yaml --tokens 8 --fit x.safetensors", "--tokens needs a model: the trace that is there has its own"),
    ("trace", "no model: give a name such as Qwen3-8B, a config.json, or --from-csv FILE"),
    ("trace Qwen3-8B --tokens 8", "--phase is missing; allowed: prefill, decode"),
    (
        "trace Qwen3-8B --phase prefil --tokens 8",
        "--phase: unknown 'prefil'\n  allowed: prefill, decode; did you mean 'prefill'?",
    ),
    ("trace Qwen3-8B --phase other --tokens 8", "--phase: unknown 'other'\n  allowed: prefill, decode"),
    (
        "trace Qwen3-8B --phase decode",
        "--tokens is missing: the tokens of each sequence (prefill), or the number of sequences (decode)",
    ),
    ("trace Qwen3-8B --phase prefill --tokens 0", "--tokens: 0; allowed: at least 1"),
    ("trace Qwen3-8B --phase prefill --tokens 8 --skew 2", "--skew needs --rows skewed"),
    ("trace Qwen3-8B --phase prefill --tokens 8 --rows skewed --skew -1", "--skew: -1; allowed: 0 to 16"),
    (
        "describe machines",
        "describe: unknown kind 'machines'\n  allowed: machine, scheme, format, trace, sweep, costs; did you mean 'machine'?",
    ),
    (
        "describe format mxfp5",
        "unknown format 'mxfp5'\n  allowed: mxfp4, mxfp8, mxfp8_e5m2, mxint8, mx_e1m2, nvfp4, nvfp4_single, hif4, amxfp4, int8, int4, "
        "int4_asym, fp8, fp8_e5m2, fp8_tensor, fp8_e5m2_tensor, bf16, fp16; did you mean 'mxfp4'?",
    ),
]

WRONG_FILES = [
    (
        "run --machine edge_npuu",
        f"'edge_npuu' is neither a file nor a name in {ROOT}/configs/machines\n"
        f"  available: {MACHINES}; did you mean 'edge_npu'?",
    ),
    (
        "describe machine edge_npuu",
        f"'edge_npuu' is neither a file nor a name in {ROOT}/configs/machines\n"
        f"  available: {MACHINES}; did you mean 'edge_npu'?",
    ),
    ("run --machine missing.yaml", "missing.yaml: no such file"),
    ("run --trace nowhere/missing.yaml", "nowhere/missing.yaml: no such file; there is no folder 'nowhere'"),
    ("run --machine folder", "folder: is a directory, expected a file"),
    ("run --scheme folder", "folder: is a directory, expected a file"),
    ("run --trace folder", "folder: is a directory, expected a file"),
    (
        "run --gemm 8,16,64 --machine edge_npu --set machine.core.gather.mode=none",
        f"{ROOT}/configs/machines/edge_npu.yaml: core.gather.mode is none, but scheme 'osc' gathers outlier channels\n"
        "  allowed: on_chip, on_load, strided_dma; or a scheme without outliers",
    ),
    (
        "run --gemm 8,16,64 --machine edge_npu --set machine.core.gather.mode=onchip",
        "--set machine.core.gather.mode=onchip: unknown value 'onchip' for core.gather.mode\n"
        "  allowed: on_chip, on_load, strided_dma, none; did you mean 'on_chip'?",
    ),
    ("run --gemm 8,16,64 --tensors missing.safetensors", "missing.safetensors: no such file"),
    (
        "run --gemm 8,16,64 --tensors folder",
        "folder: a folder without model.safetensors.index.json or model.safetensors; allowed: FILE.safetensors, "
        "the folder of a checkpoint, or its index",
    ),
    ("calibrate folder", "folder: is a directory, expected a file"),
    ("run --gemm 8,16,64 --table missing.yaml", "missing.yaml: no such file"),
    ("run --gemm 8,16,64 --json nowhere/x.json", "nowhere/x.json: cannot be written: there is no folder 'nowhere'"),
    ("run --gemm 8,16,64 --csv folder", "folder: is a directory, expected a file to write"),
    ("run --gemm 8,16,64 --outputs nowhere/x", "nowhere/x: cannot be written: there is no folder 'nowhere'"),
    ("run --gemm 8,16,64 --json x --csv ./x", "--json and --csv name the same file, ./x"),
    ("trace --from-csv missing.csv", "missing.csv: no such file"),
    (
        "trace --fit folder/x.safetensors",
        "--fit folder/x.safetensors: no trace 'folder/x.yaml' beside it\n"
        "  allowed: a model or a trace in front, to be given the statistics",
    ),
    ("trace Qwen3-8B --phase prefill --tokens 8 --fit missing.safetensors", "missing.safetensors: no such file"),
    ("trace folder --phase prefill --tokens 8", "folder: is a directory, expected a file"),
    (
        "trace Qwen3-8B --phase prefill --tokens 8 -o nowhere/t.yaml",
        "nowhere/t.yaml: cannot be written: there is no folder 'nowhere'",
    ),
]


# The value of each is empty.
EMPTY_VALUES = [
    ["run", "--json"],
    ["run", "--gemm"],
    ["run", "--set"],
    ["run", "--only"],
    ["run", "--machine"],
    ["trace", "--from-csv"],
]


class ErrorTest(ProgramTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("folder"))

    def check_wrong(self, cases):
        for arguments, message in cases:
            with self.subTest(arguments):
                self.check_refused(arguments.split(), message)
        self.assertEqual(os.listdir(self.folder.name), ["folder"], "an error left a file behind")

    def test_wrong_command_lines(self):
        self.check_wrong(WRONG_COMMAND_LINES)

    def test_empty_values(self):
        for command, option in EMPTY_VALUES:
            with self.subTest(option):
                self.check_refused(
                    [command, option, ""], f"{option}: the value is empty\n  see: oscsim {command} --help"
                )
        self.check_refused(["trace", ""], "model: the value is empty\n  see: oscsim trace --help")

    def test_wrong_values(self):
        self.check_wrong(WRONG_VALUES)

    def test_wrong_files(self):
        self.check_wrong(WRONG_FILES)

    def test_unknown_key_names_the_nearest(self):
        done = self.run_program([*SMALL, "--set", "machine.core.gather.lnaes=32"])
        self.assertRegex(
            done.stderr,
            r"^oscsim: --set machine\.core\.gather\.lnaes=32: unknown key 'lnaes' in core\.gather\n"
            r"  allowed: .*\blanes\b.*; did you mean 'lanes'\?\n$",
        )
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_all_problems_of_a_file_come_with_their_places(self):
        with open(self.path("bad.yaml"), "w") as file:
            file.write("clock: 1650\ncoers: 32\n")
        done = self.run_program(["run", "--machine", "bad.yaml"])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("bad.yaml:1:8: ", done.stderr)
        self.assertIn("bad.yaml:2:1: unknown key 'coers'", done.stderr)
        self.assertIn("did you mean 'cores'?", done.stderr)


class HelpTest(ProgramTest):
    def test_version(self):
        self.assertRegex(
            self.check_done(["--version"]), r"^oscsim \d+\.\d+\.\d+ \(git (unknown|[0-9a-f]{12,40}(-dirty)?)\)\nconfigurations: /.+\n$"
        )

    def test_every_help_ends_with_an_example(self):
        sweep = [["sweep"], ["sweep", "submit"], ["sweep", "status"], ["sweep", "merge"]]
        for command in ([], ["run"], ["trace"], ["calibrate"], ["quantize"], ["gemm"], *sweep, ["describe"]):
            with self.subTest(command):
                text = self.check_done([*command, "--help"])
                self.assertRegex(text, rf"\nExamples?:\n(  oscsim {' '.join(command)}.*\n)+$")

    def test_help_lists_every_option_of_run(self):
        text = self.check_done(["run", "--help"])
        for option in (
            "machine trace scheme baseline set tensors table timing-only seed threads verify json csv outputs layers "
            "timeline timeline-cores timeline-window vcd "
            "only gemm allow-nonfinite kernel gemms-only no-memo chain"
        ).split():
            self.assertIn(f"--{option} ", text)


class RunTest(ProgramTest):
    def test_report_json_and_csv_agree(self):
        text = self.check_done([*SMALL, "--verify", "--json", "r.json", "--csv", "r.csv"])
        self.assertIn("osc against w8a8 on edge_npu", text)
        self.assertEqual(len(re.findall(r"128 of 128 outputs compared, 0 differences", text)), 2)
        with open(self.path("r.json")) as file:
            result = json.load(file)
        with open(self.path("r.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(result["schema"], 1)
        self.assertEqual(len(rows), len(result["gemms"]) + len(result["shared"]))
        for side in ("scheme", "baseline"):
            found = result["gemms"][0][side]
            self.assertEqual(int(rows[0][f"{side}_cycles"]), found["cycles"])
            self.assertEqual(sum(found["cycle_stack"].values()), found["cycles"])
            parts = result["gemms"] + result["shared"]
            total = sum(part["repeat"] * part[side]["cycles"] for part in parts if part[side])
            self.assertEqual(result["total"][side]["cycles"], total)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["r.csv", "r.json"])

    def test_same_run_writes_the_same_bytes(self):
        for name, threads in (("a", "1"), ("b", "2")):
            self.check_done([*SMALL, "--threads", threads, "--json", name])
        with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_timing_only_has_no_outputs(self):
        self.check_done([*SMALL, "--timing-only", "--json", "r.json"])
        with open(self.path("r.json")) as file:
            scheme = json.load(file)["gemms"][0]["scheme"]
        self.assertIsNone(scheme["output_sha256"])
        self.assertGreater(scheme["cycles"], 0)

    def test_repeated_options_add_up(self):
        self.check_done(
            [*SMALL, "--gemm", "4,16,64,o_in", "--set", "machine.cores=1", "--set", "trace.synthetic.magnitude=5"]
            + ["--timing-only", "--json", "r.json"]
        )
        with open(self.path("r.json")) as file:
            result = json.load(file)
        self.assertEqual([gemm["position"] for gemm in result["gemms"]], ["attn_in", "o_in"])
        self.assertEqual(result["provenance"]["machine"]["cores"], 1)


class LayerTest(ProgramTest):
    """A layer with everything that stands between its GEMMs."""

    def result(self, *arguments):
        self.check_done(["run", "--timing-only", "--layers", "0", "--json", "r.json", *arguments])
        with open(self.path("r.json")) as file:
            return json.load(file)

    def test_operations_are_in_the_totals(self):
        for trace in ("qwen3_8b_prefill_full", "qwen3_8b_decode_full"):
            with self.subTest(trace):
                result = self.result("--trace", trace)
                found = [operation["op"] for operation in result["operations"]]
                self.assertEqual(
                    found,
                    "rms_norm rms_norm rms_norm rope attention residual rms_norm silu_multiply residual".split(),
                )
                for side in ("scheme", "baseline"):
                    parts = result["gemms"] + result["operations"] + result["shared"]
                    self.assertEqual(
                        sum(part[side]["cycles"] for part in parts if part[side]), result["total"][side]["cycles"]
                    )
                    gemms = sum(part[side]["time_us"] for part in result["gemms"] + result["shared"] if part[side])
                    share = gemms / result["total"][side]["time_us"]
                    self.assertAlmostEqual(result["whole"]["gemm_share"][side], share, places=9)
                for operation in result["operations"]:
                    self.assertEqual(operation["scheme"]["cycles"], operation["baseline"]["cycles"])

    def test_gemms_only_is_the_linear_trace(self):
        for trace in ("qwen3_8b_prefill", "qwen3_8b_decode", "qwen3_30b_a3b_decode"):
            with self.subTest(trace):
                linear = self.result("--trace", trace)
                part = self.result("--trace", f"{trace}_full", "--gemms-only")
                self.assertEqual(part["operations"], [])
                self.assertGreater(part["whole"]["operations_left_out"], 0)
                for side in ("scheme", "baseline"):
                    self.assertEqual(part["total"][side]["cycles"], linear["total"][side]["cycles"])
                self.assertAlmostEqual(part["total"]["speedup"], linear["total"]["speedup"], places=12)
                self.assertEqual(linear["whole"]["gemm_share"], {"scheme": 1.0, "baseline": 1.0})
                self.assertLess(part["whole"]["gemm_share"]["scheme"], 1)

    def test_without_memo_nothing_changes(self):
        arguments = ("--machine", "edge_npu", "--trace", "qwen3_8b_decode_full")
        self.assertEqual(self.result(*arguments), self.result(*arguments, "--no-memo"))


class TraceTest(ProgramTest):
    ARGUMENTS = "trace Qwen3-0.6B --phase decode --tokens 4 --layers 0-1".split()

    def test_trace_runs(self):
        self.assertEqual(self.check_done([*self.ARGUMENTS, "-o", "t.yaml"]), "")
        self.check_done("run --trace t.yaml --machine edge_npu --timing-only --json r.json".split())
        with open(self.path("r.json")) as file:
            gemms = json.load(file)["gemms"]
        self.assertEqual(len(gemms), 14)
        self.assertEqual({gemm["m"] for gemm in gemms}, {4})

    def test_attention_adds_what_is_no_linear_layer(self):
        arguments = ["trace", "Qwen3-30B-A3B", "--phase", "decode", "--tokens", "4", "--context", "100", "--layers", "7"]
        linear = self.check_done(arguments)
        full = self.check_done([*arguments, "--attention"])
        self.assertNotIn("op: ", linear)
        found = re.findall(r"- op: (\w+)", full)
        self.assertEqual(
            found,
            "rms_norm rms_norm rms_norm rope attention residual rms_norm moe_route moe_permute silu_multiply "
            "moe_combine residual".split(),
        )
        self.assertIn("    queries: 1\n    keys: 101\n", full)

    def test_file_and_standard_output_are_the_same(self):
        self.check_done([*self.ARGUMENTS, "-o", "t.yaml"])
        with open(self.path("t.yaml")) as file:
            self.assertEqual(file.read(), self.check_done(self.ARGUMENTS))

    def test_csv_becomes_a_trace(self):
        with open(self.path("g.csv"), "w") as file:
            file.write("Layer,M,N,K,\nfirst,8,16,64,\n")
        text = self.check_done(["trace", "--from-csv", "g.csv"])
        self.assertIn("first", text)

    def test_model_folder_is_read(self):
        config = {
            "model_type": "qwen3",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": 1000,
            "tie_word_embeddings": True,
        }
        os.mkdir(self.path("folder"))
        with open(self.path("folder/config.json"), "w") as file:
            json.dump(config, file)
        arguments = "--phase prefill --tokens 8".split()
        from_folder = self.check_done(["trace", "folder", *arguments])
        self.assertEqual(from_folder, self.check_done(["trace", "folder/config.json", *arguments]))


class DescribeTest(ProgramTest):
    def test_overview_lists_every_file(self):
        text = self.check_done(["describe"])
        for folder in ("configs/machines", "configs/schemes", "configs/sweeps", "configs/costs", "traces"):
            for name in os.listdir(f"{ROOT}/{folder}"):
                if name.endswith(".yaml"):
                    self.assertIn(f"\n  {name[:-5]} ", text)

    def test_every_parameter_has_a_meaning(self):
        for kind in ("machine", "scheme", "sweep", "costs"):
            rows = json.loads(self.check_done(["describe", kind, "--json"]))
            self.assertGreater(len(rows), 10)
            for row in rows:
                self.assertTrue(row["type"] and row["meaning"], row)
            text = self.check_done(["describe", kind])
            for row in rows:
                self.assertRegex(text, rf"(?m)^{re.escape(row['path'])} .*{re.escape(row['meaning'])}")

    def test_values_of_a_file(self):
        self.assertRegex(self.check_done(["describe", "machine", "edge_npu"]), r"\ncore\.gather\.lanes +\d+ +\w")
        self.assertRegex(self.check_done(["describe", "scheme", "w8a8"]), r"\noutliers +none +\w")
        self.assertRegex(self.check_done(["describe", "costs", "7nm"]), r"\nenergy\.mac\.int8\.value +100fJ +\w")
        resolved = json.loads(self.check_done(["describe", "scheme", "osc", "--json"]))
        self.assertEqual(resolved["outliers"]["group"], 32)

    def test_formats(self):
        names = [row["name"] for row in json.loads(self.check_done(["describe", "format", "--json"]))]
        self.assertIn("mxfp4", names)
        for name in names:
            self.assertRegex(self.check_done(["describe", "format", name]), rf"^format {name}\n")

    def test_layout_and_range_of_formats(self):
        def described(name):
            return json.loads(self.check_done(["describe", "format", name, "--json"]))

        self.assertEqual(described("mxfp4")["magnitudes"], [0, 0.5, 1, 1.5, 2, 3, 4, 6])
        self.assertEqual(described("hif4")["magnitudes"], [i / 4 for i in range(8)])
        self.assertEqual(described("int4")["magnitudes"], list(range(8)))
        self.assertEqual(described("int4_asym")["magnitudes"], list(range(16)))
        ranges = {
            "mxfp8": (448, 2**-6, 2**-9, "NaN 0x7f, each with either sign"),
            "mxfp8_e5m2": (57344, 2**-14, 2**-16, "Inf 0x7c, NaN 0x7d-0x7f, each with either sign"),
            "bf16": ((2 - 2**-7) * 2.0**127, 2**-126, 2**-133, "Inf 0x7f80, NaN 0x7f81-0x7fff, each with either sign"),
            "fp16": (65504, 2**-14, 2**-24, "Inf 0x7c00, NaN 0x7c01-0x7fff, each with either sign"),
            "int8": (127, None, 1, "none"),
            "mxint8": (127 / 64, None, 1 / 64, "none"),
        }
        for name, expected in ranges.items():
            found = described(name)
            fields = ("largest", "smallest_normal", "smallest", "special")
            self.assertEqual(tuple(found[field] for field in fields), expected, name)
        sizes = {"mxfp4": 0.53125, "mxfp8": 1.03125, "nvfp4": 0.5625, "hif4": 0.5625, "amxfp4": 0.5625, "bf16": 2}
        for name, size in sizes.items():
            self.assertEqual(described(name)["bytes_per_element"], size)
        self.assertEqual(
            self.check_done(["describe", "format", "mxfp4"]),
            "format mxfp4\n"
            "  meaning      E2M1, one E8M0 scale for 32 elements\n"
            "  element      E2M1: sign bit 3, exponent bits 2-1, mantissa bit 0; bias 1\n"
            "  magnitudes   0 0.5 1 1.5 2 3 4 6\n"
            "  Inf, NaN     none\n"
            "  block        32 elements along k, 8 bits of metadata\n"
            "  block scale  E8M0: a byte with an exponent, bias 127; 2^-127 to 2^127, NaN 0xff\n"
            "  scale rule   floor(log2 amax) less the element's largest exponent (OCP MX); --scale-rule even, ceil, "
            "rceil\n"
            "  outer scale  none\n"
            "  rounding     to nearest, ties to even; --rounding half_away: ties away from zero\n"
            "  overflow     numbers beyond the largest become the largest\n"
            "  storage      0.53125 bytes for each element\n"
            "  product      blocks of 32 summed exactly and scaled exactly, one FP32 rounding (to nearest even) "
            "for each block\n"
            "  source       OCP Microscaling Formats (MX) v1.0\n",
        )

    def test_traces(self):
        # From the published shape of Qwen3-8B.
        hidden, q, kv, ffn, layers, tokens = 4096, 4096, 1024, 12288, 36, 2048
        weights = layers * (hidden * q + 2 * hidden * kv + q * hidden + 3 * hidden * ffn)
        summary = json.loads(self.check_done(["describe", "trace", "qwen3_8b_prefill", "--json"]))
        self.assertEqual((summary["gemms"], summary["layers"]), (7 * layers, layers))
        self.assertEqual((summary["weights"], summary["macs"]), (weights, weights * tokens))
        self.assertRegex(self.check_done(["describe", "trace"]), r"\nattn_in_density +number +0\.7 ")
        self.assertIn("252 in 36 layers", self.check_done(["describe", "trace", "qwen3_8b_prefill"]))


class StreamTest(ProgramTest):
    def test_reader_that_goes_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as closed_pipe:
            done = self.run_program(
                ["describe", "machine"], capture_output=False, stdout=closed_pipe, stderr=subprocess.PIPE
            )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_closed_standard_output(self):
        command = f'"{PROGRAM}" {" ".join(SMALL)} --timing-only --json r.json >&-'
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=self.folder.name, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.path("r.json")) as file:
            self.assertEqual(json.load(file)["schema"], 1)

    def test_full_device(self):
        with open("/dev/full", "w") as full:
            done = self.run_program(["describe"], capture_output=False, stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(
            (done.returncode, done.stderr), (2, "oscsim: standard output: cannot be written: No space left on device\n")
        )

    def test_json_to_standard_output_device(self):
        text = self.check_done([*SMALL, "--timing-only", "--json", "/dev/stdout"])
        self.assertEqual(json.JSONDecoder().raw_decode(text)[0]["schema"], 1)

    def open_terminal(self):
        try:
            return pty.openpty()
        except OSError as error:  # a container without /dev/pts
            self.skipTest(f"no pseudo-terminal here: {error}")

    @staticmethod
    def shown_on(terminal):
        """All that its other side, which is closed, has written."""
        text = b""
        try:
            while more := os.read(terminal, 65536):
                text += more
        except OSError:  # the end
            pass
        os.close(terminal)
        return text.decode()

    def test_describe_breaks_meanings_to_the_width_of_a_terminal(self):
        wide = self.check_done(["describe"]).splitlines()
        terminal, program_side = self.open_terminal()
        fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        done = self.run_program(["describe"], capture_output=False, stdout=program_side, stderr=subprocess.PIPE)
        os.close(program_side)
        lines = self.shown_on(terminal).splitlines()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertGreater(len(lines), len(wide))
        for folder in ("configs/machines", "configs/schemes", "configs/sweeps", "configs/costs", "traces"):
            for name in os.listdir(f"{ROOT}/{folder}"):
                if name.endswith(".yaml"):
                    self.assertTrue(any(line.startswith(f"  {name[:-5]} ") for line in lines), name)
        self.assertEqual([line for line in lines if line.startswith("  ") and len(line) > 60], [])

    def test_progress_goes_to_a_terminal_only_and_is_cleared(self):
        self.assertEqual(self.run_program([*SMALL, "--timing-only"]).stderr, "")
        terminal, program_side = self.open_terminal()
        done = self.run_program(
            [*SMALL, "--timing-only"], capture_output=False, stdout=subprocess.PIPE, stderr=program_side
        )
        os.close(program_side)
        drawn = self.shown_on(terminal)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(drawn, r"^\r0/1  \d+\.\d s  gemm_8x16x64")
        self.assertRegex(drawn, r"\r +\r$")


if __name__ == "__main__":
    main()
