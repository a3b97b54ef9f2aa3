#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oscsim quantize: codes, scales, decoded values and errors against casts that are written here once more.

usage: quantize_test.py OSCSIM SOURCE_ROOT
"""

import json
import math
import os
import random
import struct

from matrix_files import flat, npy, npy_bytes, read_safetensors, safetensors
from program import ProgramTest, main

E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def fp32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def float_value(code, exponent_bits, mantissa_bits, bias):
    mantissa, exponent = code % (1 << mantissa_bits), code >> mantissa_bits & ((1 << exponent_bits) - 1)
    sign = -1 if code >> (exponent_bits + mantissa_bits) else 1
    if exponent == 0:
        return sign * math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return sign * math.ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits)


def nearest(grid, magnitude):
    """Index of the nearest value; ties to the even index."""
    return min(range(len(grid)), key=lambda i: (abs(grid[i] - magnitude), i % 2))


def mxfp4(row):
    """(codes, scale codes, values) of a row: OCP MX v1.0, the floor rule."""
    codes, scales, values = [], [], []
    for first in range(0, len(row), 32):
        block = row[first : first + 32]
        largest = max(map(abs, block))
        scale = 0 if largest == 0 else min(max(math.frexp(largest)[1] - 1 - 2, -127), 127) + 127
        for value in block:
            code = nearest(E2M1, math.ldexp(abs(value), 127 - scale))
            sign = math.copysign(1, value)
            codes.append(code + (8 if sign < 0 else 0))
            values.append(sign * math.ldexp(E2M1[code], scale - 127))
        scales.append(scale)
    return codes, scales, values


def nibbles(data, row_bytes):
    """Rows of 4-bit codes, element 0 in the low nibble."""
    rows = [data[begin : begin + row_bytes] for begin in range(0, len(data), row_bytes)]
    return [[code for byte in row for code in (byte & 15, byte >> 4)] for row in rows]


def gaussian(seed, rows, k, spread=1.0):
    rng = random.Random(seed)
    return [[fp32(rng.gauss(0, spread) * 2 ** rng.randint(-3, 3)) for _ in range(k)] for _ in range(rows)]


class QuantizeTest(ProgramTest):
    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name="q.safetensors"):
        with open(self.path(name), "rb") as file:
            return read_safetensors(file.read())

    def quantize(self, rows, fmt, *options, cols=None):
        """(tensors, metadata, decoded rows)"""
        self.write("x.npy", npy(rows, cols))
        self.check_done(["quantize", "x.npy", "--format", fmt, "-o", "q.safetensors", *options])
        tensors, metadata = self.read()
        dtype, shape, data = tensors["decoded"]
        self.assertEqual((dtype, shape), ("F32", [len(rows), len(rows[0]) if rows else cols]))
        values = struct.unpack(f"<{len(data) // 4}f", data)
        width = shape[1]
        return tensors, metadata, [list(values[i : i + width]) for i in range(0, len(values), width)]


class CodesTest(QuantizeTest):
    def test_mxfp4_is_what_the_standard_says(self):
        for k in (32, 33, 77, 128):
            with self.subTest(k):
                rows = gaussian(k, 5, k)
                rows[2] = [0.0] * k
                rows[3][1:3] = [-0.0, -1e-30]
                tensors, metadata, decoded = self.quantize(rows, "mxfp4")
                blocks, even = -(-k // 32), k + k % 2
                self.assertEqual(tensors["codes"][:2], ("F4", [5, even]))
                self.assertEqual(tensors["scales"][:2], ("F8_E8M0", [5, blocks]))
                self.assertEqual((metadata["k"], metadata["padding_columns"]), (str(k), str(even - k)))
                for row, found in enumerate(nibbles(tensors["codes"][2], even // 2)):
                    codes, scales, values = mxfp4(rows[row])
                    self.assertEqual(found, codes + [0] * (even - k))
                    self.assertEqual(list(tensors["scales"][2][row * blocks : (row + 1) * blocks]), scales)
                    self.assertEqual(decoded[row], values)

    def test_values_are_codes_times_scales(self):
        rows = gaussian(7, 4, 77)

        def codes_of(tensors, k=77):
            dtype, shape, data = tensors["codes"]
            if dtype == "F4":
                return [[float_value(code, 2, 1, 1) for code in row[:k]] for row in nibbles(data, shape[1] // 2)]
            decode = {
                "F8_E4M3": lambda code: float_value(code, 4, 3, 7),
                "F8_E5M2": lambda code: float_value(code, 5, 2, 15),
                "I8": lambda code: code - 256 if code > 127 else code,
            }[dtype]
            return [[decode(code) for code in data[row * k : (row + 1) * k]] for row in range(shape[0])]

        block_scale = {
            "F8_E8M0": lambda code: math.ldexp(1, code - 127),
            "F8_E4M3": lambda code: float_value(code, 4, 3, 7),
        }
        units = {"mxint8": 1 / 64}
        for fmt in "mxfp4 mxfp8 mxfp8_e5m2 mxint8 nvfp4 nvfp4_single int8 fp8 fp8_e5m2 fp8_tensor".split():
            with self.subTest(fmt):
                tensors, _, decoded = self.quantize(rows, fmt)
                outer = [1.0] * len(rows)
                if "outer_scale" in tensors:
                    dtype, shape, data = tensors["outer_scale"]
                    self.assertEqual((dtype, shape), ("F32", [1] if "tensor" in fmt or fmt == "nvfp4" else [4]))
                    outer = struct.unpack(f"<{shape[0]}f", data) * (4 // shape[0])
                for row, codes in enumerate(codes_of(tensors)):
                    for col, code in enumerate(codes):
                        scale = 1.0
                        if "scales" in tensors:
                            dtype, shape, data = tensors["scales"]
                            block = col * shape[1] // (80 if shape[1] == 5 else 96)
                            scale = block_scale[dtype](data[row * shape[1] + block])
                        expected = fp32(fp32(code * units.get(fmt, 1) * scale) * outer[row])
                        self.assertEqual(decoded[row][col], expected, (row, col))

    def test_16_bit_formats_are_plain_casts(self):
        rows = gaussian(3, 3, 11)
        tensors, _, decoded = self.quantize(rows, "fp16")
        self.assertEqual(tensors["codes"], ("F16", [3, 11], struct.pack("<33e", *flat(rows))))
        self.assertEqual(flat(decoded), list(struct.unpack("<33e", tensors["codes"][2])))
        tensors, _, decoded = self.quantize(decoded, "bf16")
        self.assertEqual(tensors["codes"][:2], ("BF16", [3, 11]))
        self.assertEqual(set(tensors), {"codes", "decoded"})

    def test_scale_rule_and_rounding(self):
        rows = [[7.0, 0.25] + [0.0] * 30]
        self.assertEqual(self.quantize(rows, "mxfp4")[2][0][:2], [6, 0])
        _, metadata, decoded = self.quantize(rows, "mxfp4", "--scale-rule", "even", "--rounding", "half_away")
        self.assertEqual(decoded[0][:2], [8, 0])
        self.assertEqual((metadata["scale_rule"], metadata["rounding"]), ("even", "half_away"))
        self.assertEqual(self.quantize(rows, "mxfp4", "--rounding", "half_away")[2][0][:2], [6, 0.5])

    def test_empty_and_single_rows(self):
        for fmt in json.loads(self.check_done(["describe", "format", "--json"])):
            with self.subTest(fmt["name"]):
                tensors, _, _ = self.quantize([], fmt["name"], cols=40)
                self.assertEqual(tensors["codes"][1][0], 0)
                _, _, decoded = self.quantize([[1.0]], fmt["name"])
                self.assertAlmostEqual(decoded[0][0], 1.0, delta=0.15)

    def test_bf16_of_ml_dtypes_is_read_when_told(self):
        values = [1.0, -2.5, 3.0, 0.5]
        data = b"".join(struct.pack("<f", value)[2:] for value in values)
        self.write("x.npy", npy_bytes("|V2", (2, 2), data))
        self.check_done(["quantize", "x.npy", "--npy-bf16", "--format", "bf16", "-o", "q.safetensors"])
        self.assertEqual(self.read()[0]["codes"], ("BF16", [2, 2], data))


class FilesTest(QuantizeTest):
    MATRICES = {
        "bias": ("F32", [4], [0.0] * 4),
        "ids": ("I64", [1, 1], [3]),
        "k_proj": ("F16", [2, 3], [1, 2, 3, 4, 5, 6]),
        "q_proj": ("BF16", [1, 2], [8, -8]),
    }

    def test_every_matrix_of_a_file_is_quantised_under_its_name(self):
        self.write("w.safetensors", safetensors(self.MATRICES))
        text = self.check_done("quantize w.safetensors --format mxfp8 -o q.safetensors --json r.json".split())
        tensors, metadata = self.read()
        names = {f"{name}.{part}" for name in ("k_proj", "q_proj") for part in ("codes", "scales", "decoded")}
        self.assertEqual(set(tensors), names)
        self.assertEqual(tensors["q_proj.decoded"][2], struct.pack("<2f", 8, -8))
        self.assertEqual((metadata["k_proj.k"], metadata["q_proj.k"], metadata["format"]), ("3", "2", "mxfp8"))
        with open(self.path("r.json")) as file:
            result = json.load(file)
        self.assertEqual([tensor["name"] for tensor in result["tensors"]], ["k_proj", "q_proj"])
        self.assertRegex(text, r"\nk_proj +2 +3 +12 +66 +88 +exact +0 +0 +0\.000 +0\.000\n")

    def test_one_matrix_of_a_file(self):
        self.write("w.safetensors", safetensors(self.MATRICES))
        self.check_done("quantize w.safetensors:k_proj --format bf16 -o q.safetensors".split())
        self.assertEqual(set(self.read()[0]), {"codes", "decoded"})

    def test_report_is_what_the_file_says(self):
        rows = gaussian(11, 6, 100)
        _, _, decoded = self.quantize(rows, "mxfp4", "--json", "r.json")
        with open(self.path("r.json")) as file:
            tensor = json.load(file)["tensors"][0]
        errors = [abs(a - b) for a, b in zip(flat(rows), flat(decoded))]
        sqnr = 10 * math.log10(math.fsum(a * a for a in flat(rows)) / math.fsum(e * e for e in errors))
        self.assertAlmostEqual(tensor["sqnr_db"], sqnr, places=9)
        self.assertEqual(tensor["max_abs_error"], max(errors))
        self.assertAlmostEqual(tensor["mean_abs_error"], math.fsum(errors) / 600, places=12)
        self.assertEqual(tensor["zeroed"], sum(a != 0 and b == 0 for a, b in zip(flat(rows), flat(decoded))))
        # 128 columns of 4 bits and 4 scales for each row
        self.assertEqual((tensor["bytes_before"], tensor["bytes_after"]), (2400, 6 * (64 + 4)))
        self.assertAlmostEqual(tensor["bits_per_element"], 8 * 6 * 68 / 600)
        clipped = 0
        for row, found in zip(rows, decoded):
            for first in range(0, 100, 32):
                largest = max(map(abs, row[first : first + 32]))
                unit = math.ldexp(1, math.frexp(largest)[1] - 3)
                clipped += sum(abs(value) > 7 * unit for value in row[first : first + 32])
        self.assertGreater(clipped, 0)
        self.assertEqual(tensor["clipped"], clipped)

    def test_nothing_is_left_behind_by_an_error(self):
        rows = gaussian(1, 2, 40)
        rows[1][33] = math.nan
        self.write("x.npy", npy(rows))
        self.write("q.safetensors", b"old")
        self.check_refused(
            "quantize x.npy --format mxfp4 -o q.safetensors --json r.json".split(),
            "x.npy has NaN at [1, 33]; --allow-nonfinite goes on and propagates NaN",
        )
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["q.safetensors", "x.npy"])
        with open(self.path("q.safetensors"), "rb") as file:
            self.assertEqual(file.read(), b"old")

    def test_nan_stays_in_its_block_when_allowed(self):
        rows = gaussian(1, 2, 64)
        rows[1][33] = math.nan
        tensors, _, decoded = self.quantize(rows, "mxfp4", "--allow-nonfinite")
        self.assertEqual(tensors["scales"][2][3], 0xFF)
        self.assertEqual([math.isnan(value) for value in decoded[1]], [False] * 32 + [True] * 32)
        self.assertFalse(any(map(math.isnan, decoded[0])))


class ErrorTest(QuantizeTest):
    def test_wrong_command_lines(self):
        names = ", ".join(row["name"] for row in json.loads(self.check_done(["describe", "format", "--json"])))
        self.write("x.npy", npy([[1.0, 2.0]]))
        self.write("empty.npy", npy([[], []]))
        self.write("stack.npy", npy_bytes("<f4", (2, 1, 1), struct.pack("<2f", 1, 2)))
        self.write("double.npy", npy_bytes("<f8", (1, 2), struct.pack("<2d", 1, 1e39)))
        self.write("w.safetensors", safetensors(FilesTest.MATRICES))
        self.write("v.safetensors", safetensors({"bias": FilesTest.MATRICES["bias"]}))
        listed = "\n  tensors: bias F32 [4], ids I64 [1, 1], k_proj F16 [2, 3], q_proj BF16 [1, 2]"
        os.link(self.path("x.npy"), self.path("same.npy.safetensors"))
        os.mkfifo(self.path("pipe.npy"))
        before = sorted(os.listdir(self.folder.name))
        done = "--format mxfp4 -o q.safetensors"
        for arguments, message in (
            ("", "no input: FILE.npy, FILE.safetensors or FILE.safetensors:TENSOR"),
            ("x.npy", f"--format is missing; allowed: {names}"),
            ("x.npy --format mxfp4", "-o is missing: the .safetensors file to write"),
            (
                "x.npy --format mxfp5 -o q.safetensors",
                f"--format: unknown 'mxfp5'\n  allowed: {names}; did you mean 'mxfp4'?",
            ),
            (
                f"x.npy {done} --scale-rule flor",
                "--scale-rule: unknown 'flor'\n  allowed: floor, even, ceil, rceil; did you mean 'floor'?",
            ),
            (
                "x.npy --format nvfp4 -o q.safetensors --scale-rule ceil",
                "--scale-rule: only formats with E8M0 scales have one, nvfp4 does not",
            ),
            (
                f"x.npy {done} --rounding even",
                "--rounding: unknown 'even'\n  allowed: nearest_even, half_away",
            ),
            (
                "x.npy --format mxfp4 -o q.npy",
                "-o q.npy: codes and scales are several tensors; allowed: FILE.safetensors",
            ),
            (
                f"x.txt {done}",
                "x.txt: unknown kind of file; allowed: FILE.npy, FILE.safetensors, FILE.safetensors:TENSOR",
            ),
            (f"y.npy {done}", "y.npy: no such file; did you mean 'x.npy'?"),
            (f"pipe.npy {done}", "pipe.npy: is not a regular file; only those can be mapped into memory"),
            (f"empty.npy {done}", "empty.npy has no columns: shape [2, 0]"),
            (
                f"stack.npy {done}",
                "stack.npy: shape is [2, 1, 1]; expected two sizes, rows and columns\n"
                "  a stack of matrices: save one, a[0], or all rows, a.reshape(-1, a.shape[-1])",
            ),
            (
                f"w.safetensors:q_prjo {done}",
                f"w.safetensors: no tensor 'q_prjo'; did you mean 'q_proj'?{listed}",
            ),
            (f"w.safetensors:ids {done}", "w.safetensors: tensor 'ids' has dtype I64; allowed: BF16, F16, F32"),
            (
                f"v.safetensors {done}",
                "v.safetensors: no tensor with two dimensions of BF16, F16 or F32\n  tensors: bias F32 [4]",
            ),
            (
                "x.npy --format mxfp4 -o same.npy.safetensors",
                "-o same.npy.safetensors: is the input x.npy; nothing is written over what is read",
            ),
            (
                f"w.safetensors {done} --json ./w.safetensors",
                "--json ./w.safetensors: is the input w.safetensors; nothing is written over what is read",
            ),
            (f"x.npy {done} --json ./q.safetensors", "-o and --json name the same file, ./q.safetensors"),
            (
                "x.npy --format mxfp4 -o nowhere/q.safetensors",
                "nowhere/q.safetensors: cannot be written: there is no folder 'nowhere'",
            ),
        ):
            with self.subTest(arguments):
                self.check_refused(["quantize", *arguments.split()], message)
        self.assertEqual(sorted(os.listdir(self.folder.name)), before)

    def test_quantised_files_are_not_quantised_again_by_accident(self):
        self.quantize([[1.0, 3.3]], "mxfp4")
        self.check_refused(
            "quantize q.safetensors --format mxfp4 -o r.safetensors".split(),
            "q.safetensors: was written by oscsim quantize; q.safetensors:decoded are its values as a matrix",
        )
        self.check_done("quantize q.safetensors:decoded --format mxfp4 -o r.safetensors".split())
        self.assertEqual(self.read("r.safetensors")[0], self.read()[0])

    def test_reader_that_goes_away(self):
        self.write("x.npy", npy([[1.0, 2.0]]))
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as closed_pipe:
            arguments = "quantize x.npy --format mxfp4 -o q.safetensors".split()
            done = self.run_program(arguments, capture_output=False, stdout=closed_pipe)
        self.assertEqual(done.returncode, 0)
        self.assertIn("codes", self.read()[0])


if __name__ == "__main__":
    main()
