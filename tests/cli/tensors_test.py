#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tensors, channel tables, schemes and machines from files: what is read, what is refused and with which words.

usage: tensors_test.py OSCSIM SOURCE_ROOT
"""

import json
import math
import struct

from program import ROOT, SMALL, ProgramTest, main

M, N, K = 8, 16, 64
WEIGHT, INPUT = "gemm_8x16x64.weight", "gemm_8x16x64.input"

# Few significant bits: the same values in FP32, FP16 and BF16.
WEIGHTS = [(i * 53 % 97 - 48) / 32 for i in range(N * K)]
INPUTS = [(i * 37 % 101 - 50) / 16 for i in range(M * K)]

ENCODE = {
    "F32": lambda values: struct.pack(f"<{len(values)}f", *values),
    "F16": lambda values: struct.pack(f"<{len(values)}e", *values),
    "BF16": lambda values: b"".join(struct.pack("<f", value)[2:] for value in values),
    "F8_E4M3": lambda values: bytes(len(values)),
}


def safetensors(tensors):
    """The bytes of a file with these tensors: name -> (dtype, shape, values)."""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        begin = len(data)
        data += ENCODE[dtype](values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def operands(weight=WEIGHTS, inputs=INPUTS, weight_dtype="F32", input_dtype="F32", weight_shape=(N, K)):
    return safetensors(
        {WEIGHT: (weight_dtype, list(weight_shape), weight), INPUT: (input_dtype, [M, K], inputs)},
    )


def with_value(values, row, col, value):
    return [value if i == row * K + col else old for i, old in enumerate(values)]


class FileTest(ProgramTest):
    def write(self, name, content):
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)

    def result(self, arguments):
        self.check_done([*SMALL, *arguments, "--json", "r.json"])
        with open(self.path("r.json")) as file:
            return json.load(file)["gemms"][0]

    def outputs(self, arguments):
        """Rows of the only tensor that --outputs writes."""
        self.check_done([*SMALL, *arguments, "--outputs", "y.safetensors"])
        with open(self.path("y.safetensors"), "rb") as file:
            content = file.read()
        data = 8 + struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:data])
        expected = {"dtype": "F32", "shape": [M, N], "data_offsets": [0, M * N * 4]}
        self.assertEqual(header["gemm_8x16x64.output"], expected)
        values = struct.unpack(f"<{M * N}f", content[data:])
        return [values[row * N : (row + 1) * N] for row in range(M)]


class TensorsTest(FileTest):
    def test_same_values_give_the_same_bits_in_every_dtype(self):
        hashes = set()
        for weight, inputs in (("F32", "F32"), ("BF16", "F16"), ("F16", "BF16")):
            self.write("t.safetensors", operands(weight_dtype=weight, input_dtype=inputs))
            result = self.result(["--tensors", "t.safetensors", "--verify"])
            for side in ("scheme", "baseline"):
                self.assertEqual(result[side]["verification"]["compared"], M * N)
                self.assertEqual(result[side]["verification"]["differing"], 0)
            hashes.add((result["scheme"]["output_sha256"], result["baseline"]["output_sha256"]))
        self.assertEqual(len(hashes), 1)

    def test_outputs_are_near_the_exact_product(self):
        self.write("t.safetensors", operands())
        found = self.outputs(["--tensors", "t.safetensors", "--scheme", "bf16"])
        for row in range(M):
            for col in range(N):
                exact = math.fsum(INPUTS[row * K + i] * WEIGHTS[col * K + i] for i in range(K))
                self.assertAlmostEqual(found[row][col], exact, delta=1e-4)

    def test_weights_and_inputs_may_be_in_two_files(self):
        self.write("both.safetensors", operands())
        self.write("w.safetensors", safetensors({WEIGHT: ("F32", [N, K], WEIGHTS)}))
        self.write("x.safetensors", safetensors({INPUT: ("F32", [M, K], INPUTS)}))
        both = self.outputs(["--tensors", "both.safetensors"])
        self.assertEqual(self.outputs(["--tensors", "w.safetensors", "--tensors", "x.safetensors"]), both)

    def test_nan_reaches_its_row_and_inf_its_column_and_nothing_else(self):
        bad = with_value(INPUTS, 3, 5, math.nan), with_value(WEIGHTS, 7, 9, -math.inf)
        for scheme in ("osc", "w4a4", "w8a8", "w8a8_int8", "w8a8_mxfp8", "bf16"):
            with self.subTest(scheme):
                arguments = ["--tensors", "t.safetensors", "--allow-nonfinite", "--verify", "--scheme", scheme]
                self.write("t.safetensors", operands(inputs=bad[0]))
                found = self.outputs(arguments)
                for row in range(M):
                    self.assertEqual([math.isnan(value) for value in found[row]], [row == 3] * N, row)
                self.write("t.safetensors", operands(weight=bad[1]))
                found = self.outputs(arguments)
                for row in range(M):
                    self.assertEqual([not math.isfinite(value) for value in found[row]], [col == 7 for col in range(N)])

    def test_refused_files(self):
        good = operands()
        header = len(good) - 4 * (N * K + M * K) - 8
        cases = [
            (b"", "truncated: the file has 0 bytes, 8 are missing to the end of the header length"),
            (good[:50], f"truncated: the header has {header} bytes, {header - 42} of them are missing"),
            (
                good[:-100],
                f"truncated: tensor '{INPUT}' ends at byte 6144 of the data, the file has 6044; 100 bytes are missing",
            ),
            (
                b"no safetensors",
                f"no safetensors file: the header length is {int.from_bytes(b'no safet', 'little')} bytes; "
                "allowed: at most 100000000",
            ),
            (operands(weight_shape=(K, N)), f"tensor '{WEIGHT}' has shape [{K}, {N}], expected [{N}, {K}]"),
            (operands(weight_dtype="F8_E4M3"), f"tensor '{WEIGHT}' has dtype F8_E4M3; allowed: BF16, F16, F32"),
            (
                operands(inputs=with_value(INPUTS, 3, 5, math.nan)),
                f"tensor '{INPUT}' has NaN at [3, 5]; --allow-nonfinite goes on and propagates NaN",
            ),
            (
                operands(weight=with_value(WEIGHTS, 7, 9, -math.inf)),
                f"tensor '{WEIGHT}' has -Inf at [7, 9]; --allow-nonfinite goes on and propagates NaN",
            ),
            (
                safetensors({"gemm_8x16x64.weigth": ("F32", [N, K], WEIGHTS), INPUT: ("F32", [M, K], INPUTS)}),
                f"no tensor '{WEIGHT}'; did you mean 'gemm_8x16x64.weigth'?",
            ),
        ]
        for content, message in cases:
            with self.subTest(message):
                self.write("t.safetensors", content)
                self.check_refused(
                    [*SMALL, "--tensors", "t.safetensors", "--outputs", "y", "--json", "r"], f"t.safetensors: {message}"
                )
        self.assertRaises(FileNotFoundError, open, self.path("y"))
        self.assertRaises(FileNotFoundError, open, self.path("r"))

    def test_what_a_later_gemm_lacks_is_said_before_the_first_one_runs(self):
        # The first GEMM's NaN would be found when it runs.
        self.write("t.safetensors", operands(inputs=with_value(INPUTS, 0, 0, math.nan)))
        self.check_refused(
            [*SMALL, "--gemm", "4,16,64,attn_in", "--tensors", "t.safetensors"],
            f"t.safetensors: no tensor 'gemm_4x16x64.input'; did you mean '{INPUT}'?",
        )

    def test_a_name_may_be_there_once(self):
        self.write("a.safetensors", operands())
        self.write("b.safetensors", safetensors({INPUT: ("F32", [M, K], INPUTS)}))
        self.check_refused(
            [*SMALL, "--tensors", "a.safetensors", "--tensors", "b.safetensors"],
            f"b.safetensors: tensor '{INPUT}' is also in a.safetensors; every name may be there once",
        )


class TableTest(FileTest):
    @staticmethod
    def table(group=32, name=INPUT, channels="[3, -1]"):
        return f"schema: 1\ngroup: {group}\ntables:\n  - input: {name}\n    channels: {channels}\n"

    def test_table_decides_what_is_gathered(self):
        self.write("t.yaml", self.table())
        self.write("u.yaml", self.table(channels="[4, 31]"))
        first, second = (self.result(["--table", name, "--verify"]) for name in ("t.yaml", "u.yaml"))
        self.assertNotEqual(first["scheme"]["output_sha256"], second["scheme"]["output_sha256"])
        self.assertEqual(first["baseline"]["output_sha256"], second["baseline"]["output_sha256"])

    def test_refused_tables(self):
        cases = [
            ("", "t.yaml: the file is empty"),
            (
                self.table(group=16, channels="[3, -1, 2, 4]"),
                "t.yaml: the tables are for groups of 16 channels, the scheme works on groups of 32",
            ),
            (
                self.table(channels="[3]"),
                f"t.yaml: the table of '{INPUT}' has 1 groups; 64 channels in groups of 32 make 2",
            ),
            (
                self.table(channels="[3, 32]"),
                f"t.yaml:5:19: channel 32 of '{INPUT}'; allowed: -1 to 31 for groups of 32",
            ),
            (
                self.table(name="gemm_8x16x64.inptu"),
                f"t.yaml: no table for '{INPUT}'; did you mean 'gemm_8x16x64.inptu'?",
            ),
        ]
        for content, message in cases:
            with self.subTest(message):
                self.write("t.yaml", content)
                self.check_refused([*SMALL, "--table", "t.yaml"], message)


class ConfigurationTest(FileTest):
    def osc(self):
        with open(f"{ROOT}/configs/schemes/osc.yaml") as file:
            return file.read()

    def test_pinned_mapping_of_a_scheme_holds_for_that_scheme(self):
        self.write("pinned.yaml", self.osc() + "mapping:\n  m: 16\n  n: 16\n  order: n_outer\n")
        free, pinned = self.result(["--verify"]), self.result(["--verify", "--scheme", "pinned.yaml"])
        tile = pinned["scheme"]["tile"]
        self.assertEqual((tile["m"], tile["n"], tile["order"]), (16, 16, "n_outer"))
        self.assertEqual(pinned["scheme"]["output_sha256"], free["scheme"]["output_sha256"])
        self.assertEqual(pinned["baseline"], free["baseline"])

    def test_wrong_mapping_is_refused_with_its_places(self):
        line = self.osc().count("\n")
        self.write("pinned.yaml", self.osc() + "mapping:\n  m: 0\n  ordr: n_outer\n")
        self.check_refused(
            [*SMALL, "--scheme", "pinned.yaml"],
            f"pinned.yaml:{line + 2}:6: mapping.m is 0; allowed: 1 to 1000000000\n"
            f"pinned.yaml:{line + 3}:3: unknown key 'ordr' in mapping\n"
            "  allowed: m, n, k, stage_k, cores_m, cores_n, core_m, core_n, order, l1_slots, scale_stages, parts_m, "
            "drain_follows, constants_folded, quantise; did you mean 'order'?",
        )

    def test_mapping_that_does_not_fit_names_the_buffer(self):
        self.write("pinned.yaml", self.osc() + "mapping:\n  n: 1000000\n")
        self.check_refused(
            [*SMALL, "--scheme", "pinned.yaml"],
            "no tile of a 8 x 16 x 64 GEMM fits the machine with mapping.n 1000000: tile of m 16 n 1000000 k 32: "
            "core.buffers.l0b of 16384 bytes is too small for two steps of 16000000 bytes",
        )

    def test_typo_in_a_machine_has_file_line_and_column(self):
        with open(f"{ROOT}/configs/machines/edge_npu.yaml") as file:
            lines = file.read().splitlines()
        line, column = next((i + 1, text.index("lanes:") + 1) for i, text in enumerate(lines) if "lanes:" in text)
        self.write("npu.yaml", "\n".join(lines).replace("lanes:", "lnaes:") + "\n")
        self.check_refused(
            ["run", "--machine", "npu.yaml", "--gemm", "8,16,64"],
            f"npu.yaml:{line}:{column}: unknown key 'lnaes' in core.gather\n"
            "  allowed: mode, ports, lanes, banks, bank_width, table_entries, table_reload, zero_behind, setup, dma_granule, "
            "dma_element; did you mean 'lanes'?",
        )


if __name__ == "__main__":
    main()
