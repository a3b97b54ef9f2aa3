#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oscsim gemm: products of files, of what oscsim quantize wrote, and what is refused.

usage: gemm_test.py OSCSIM SOURCE_ROOT
"""

import hashlib
import json
import math
import os
import random
import re
import struct
from fractions import Fraction

from matrix_files import npy, read_npy, read_safetensors, safetensors
from program import ProgramTest, main

M, N, K = 5, 7, 100


def gaussian(seed, rows, k):
    rng = random.Random(seed)
    return [[struct.unpack("<f", struct.pack("<f", rng.gauss(0, 1)))[0] for _ in range(k)] for _ in range(rows)]


A, B = gaussian(1, M, K), gaussian(2, N, K)


class GemmTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("a.npy", npy(A))
        self.write("b.npy", npy(B))

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def gemm(self, arguments):
        """(rows of Y, its bytes, the report)"""
        text = self.check_done(["gemm", *arguments.split(), "-o", "y.npy"])
        rows, data = read_npy(self.read("y.npy"))
        self.assertIn(f"SHA-256   {hashlib.sha256(data).hexdigest()}\n", text)
        return rows, data, text

    def formats(self):
        return [row["name"] for row in json.loads(self.check_done(["describe", "format", "--json"]))]


class ProductTest(GemmTest):
    def test_accumulators(self):
        plain = "a.npy b.npy --format-a mxfp8 --format-b mxfp8"
        data, rows = {}, {}
        for name in ("fp32_rne", "exact", "hopper_fp8", "fused(25,16,rz)", "fused(8,4,rne)"):
            rows[name], data[name], text = self.gemm(f"{plain} --accumulator {name} --verify --json r.json")
            self.assertIn(f"\n  sums      {name}\n", text)
            self.assertEqual(json.loads(self.read("r.json"))["accumulator"], name)
        self.assertEqual(self.gemm(plain)[1], data["fp32_rne"])
        self.assertNotEqual(data["hopper_fp8"], data["fp32_rne"])
        # Exact sums are those of the decoded values, which doubles hold.
        self.check_done("quantize a.npy --format mxfp8 -o a.safetensors".split())
        self.check_done("quantize b.npy --format mxfp8 -o b.safetensors".split())
        left, right = ([Fraction(value) for value in self.decoded(name)] for name in ("a", "b"))
        for row in range(M):
            for col in range(N):
                exact = sum(x * w for x, w in zip(left[row * K : (row + 1) * K], right[col * K : (col + 1) * K]))
                self.assertEqual(rows["exact"][row][col], struct.unpack("<f", struct.pack("<f", exact))[0])

    def decoded(self, name):
        data = read_safetensors(self.read(f"{name}.safetensors"))[0]["decoded"][2]
        return struct.unpack(f"<{len(data) // 4}f", data)

    def test_small_integers_are_exact_in_every_format_that_holds_them(self):
        a = [[(row + col) % 4 - 1 for col in range(40)] for row in range(3)]
        b = [[(row * col) % 3 - 1 for col in range(40)] for row in range(2)]
        expected = [[sum(x * w for x, w in zip(row, column)) for column in b] for row in a]
        self.write("a.npy", npy(a))
        self.write("b.npy", npy(b))
        for pair in ("mxfp4 mxfp4", "mxfp8 mxfp4", "mxint8 mxfp8_e5m2", "bf16 fp16", "mx_e1m2 bf16", "fp16 mxfp8"):
            with self.subTest(pair):
                left, right = pair.split()
                rows, _, text = self.gemm(f"a.npy b.npy --format-a {left} --format-b {right} --verify")
                self.assertEqual(rows, expected)
                self.assertIn("accuracy  exact, largest error 0, against", text)
                self.assertIn("6 of 6 outputs compared, 0 differences\n", text)

    def test_report_compares_with_the_unquantised_product(self):
        rows, data, text = self.gemm("a.npy b.npy --format-a mxfp8 --format-b mxfp4 --json r.json --verify")
        result = json.loads(self.read("r.json"))
        self.assertEqual((result["m"], result["n"], result["k"]), (M, N, K))
        self.assertEqual((result["a"]["format"], result["b"]["format"]), ("mxfp8", "mxfp4"))
        self.assertEqual(result["accuracy_rows"], M)
        self.assertEqual(result["output_sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(result["verification"], {"compared": M * N, "outputs": M * N, "differing": 0})
        signal = noise = 0.0
        for row in range(M):
            for col in range(N):
                exact = math.fsum(x * w for x, w in zip(A[row], B[col]))
                signal, noise = signal + exact**2, noise + (rows[row][col] - exact) ** 2
        self.assertAlmostEqual(result["sqnr_db"], 10 * math.log10(signal / noise), places=3)
        self.assertIn(f"m {M} n {N} k {K}\n", text)

    def test_outputs_of_both_kinds_hold_the_same(self):
        arguments = "a.npy b.npy --format-a int8 --format-b int8"
        _, data, _ = self.gemm(arguments)
        self.check_done(["gemm", *arguments.split(), "-o", "y.safetensors"])
        tensors, metadata = read_safetensors(self.read("y.safetensors"))
        self.assertEqual(tensors, {"output": ("F32", [M, N], data)})
        self.assertEqual((metadata["format_a"], metadata["a"]), ("int8", "a.npy"))

    def test_threads_and_kernels_change_nothing(self):
        for pair in (("mxfp4", "mxfp4"), ("mxfp8", "nvfp4"), ("bf16", "hif4")):
            arguments = "a.npy b.npy --format-a {} --format-b {}".format(*pair)
            results = {self.gemm(f"{arguments} {extra}")[1] for extra in ("", "--threads 1", "--kernel portable")}
            self.assertEqual(len(results), 1, pair)

    def test_single_row_and_no_rows(self):
        self.write("one.npy", npy(A[:1]))
        self.write("none.npy", npy([], K))
        formats = "--format-a mxfp4 --format-b mxfp4 --verify"
        whole = self.gemm(f"a.npy b.npy {formats}")[0]
        self.assertEqual(self.gemm(f"one.npy b.npy {formats}")[0], whole[:1])
        self.assertEqual(self.gemm(f"none.npy b.npy {formats}")[0], [])
        self.assertEqual(self.gemm(f"a.npy none.npy {formats}")[0], [[]] * M)

    def test_nan_reaches_its_row_when_allowed(self):
        a = [list(row) for row in A]
        a[3][40] = math.nan
        self.write("nan.npy", npy(a))
        self.check_refused(
            "gemm nan.npy b.npy --format-a mxfp4 --format-b mxfp4 -o y.npy".split(),
            "nan.npy has NaN at [3, 40]; --allow-nonfinite goes on and propagates NaN",
        )
        for fmt in ("mxfp4", "int8", "bf16"):
            rows = self.gemm(f"nan.npy b.npy --format-a {fmt} --format-b {fmt} --allow-nonfinite --verify")[0]
            for row, values in enumerate(rows):
                self.assertEqual([math.isnan(value) for value in values], [row == 3] * N, fmt)


class QuantisedTest(GemmTest):
    def quantize(self, name, fmt, *options):
        self.check_done(["quantize", f"{name}.npy", "--format", fmt, "-o", f"{name}.safetensors", *options])

    def test_every_format_gives_the_bits_of_the_originals(self):
        for fmt in self.formats():
            with self.subTest(fmt):
                _, data, text = self.gemm(f"a.npy b.npy --format-a {fmt} --format-b {fmt} --verify")
                self.assertIn(f"{M * N} of {M * N} outputs compared, 0 differences\n", text)
                self.quantize("a", fmt)
                self.quantize("b", fmt)
                _, again, text = self.gemm("a.safetensors b.safetensors --verify")
                self.assertEqual(again, data)
                self.assertIn("not known: an operand was quantised before", text)
                self.assertEqual(self.gemm(f"a.npy b.safetensors --format-a {fmt}")[1], data)
                self.assertEqual(self.gemm(f"a.safetensors b.npy --format-a {fmt} --format-b {fmt}")[1], data)

    def test_casting_options_are_those_of_quantize(self):
        options = "--scale-rule", "ceil", "--rounding", "half_away"
        self.quantize("a", "mxfp4", *options)
        self.quantize("b", "mxfp4", *options)
        plain = "a.npy b.npy --format-a mxfp4 --format-b mxfp4"
        data = self.gemm(f"{plain} {' '.join(options)}")[1]
        self.assertEqual(self.gemm("a.safetensors b.safetensors")[1], data)
        self.assertNotEqual(self.gemm(plain)[1], data)

    def test_operands_of_a_file_of_several(self):
        shape = {"w.a": ("F32", (M, K), sum(A, [])), "w.b": ("F32", (N, K), sum(B, []))}
        self.write("w.safetensors", safetensors(shape))
        direct = self.gemm("w.safetensors:w.a w.safetensors:w.b --format-a nvfp4 --format-b nvfp4")[1]
        self.check_done("quantize w.safetensors --format nvfp4 -o q.safetensors".split())
        self.assertEqual(self.gemm("q.safetensors:w.a q.safetensors:w.b")[1], direct)
        self.check_refused(
            "gemm q.safetensors q.safetensors:w.b -o y.npy".split(),
            "q.safetensors: 2 quantised operands; choose one with q.safetensors:NAME\n  operands: w.a, w.b",
        )

    def test_decoded_values_are_a_matrix_like_any_other(self):
        self.quantize("a", "mxfp4")
        rows = self.gemm("a.safetensors:decoded b.npy --format-a mxfp4 --format-b mxfp4")[0]
        self.assertEqual(rows, self.gemm("a.safetensors b.npy --format-b mxfp4")[0])

    def test_wrong_options_of_quantised_operands(self):
        self.quantize("a", "mxfp4")
        self.quantize("b", "mxfp4")
        self.check_refused(
            "gemm a.safetensors b.npy --format-a mxfp8 --format-b mxfp4 -o y.npy".split(),
            "--format-a mxfp8: a.safetensors holds mxfp4",
        )
        for option, value in (("--scale-rule", "ceil"), ("--rounding", "half_away")):
            self.check_refused(
                ["gemm", "a.safetensors", "b.safetensors", option, value, "-o", "y.npy"],
                f"{option}: nothing is cast, both operands are quantised already",
            )

    def test_quantised_nan_is_refused_too(self):
        a = [list(row) for row in A]
        a[3][40] = math.inf
        self.write("a.npy", npy(a))
        self.quantize("a", "mxfp8", "--allow-nonfinite")
        self.check_refused(
            "gemm a.safetensors b.npy --format-b mxfp8 -o y.npy".split(),
            "a.safetensors has NaN at [3, 32]; --allow-nonfinite goes on and propagates NaN",
        )
        rows = self.gemm("a.safetensors b.npy --format-b mxfp8 --allow-nonfinite --verify")[0]
        self.assertEqual([math.isnan(row[0]) for row in rows], [row == 3 for row in range(M)])


class ErrorTest(GemmTest):
    def test_wrong_command_lines(self):
        names = ", ".join(self.formats())
        self.write("t.npy", npy([[1.0] * N] * K))
        self.write("odd.npy", npy([[1.0] * 3]))
        os.link(self.path("b.npy"), self.path("same.npy"))
        before = sorted(os.listdir(self.folder.name))
        formats = "--format-a mxfp4 --format-b mxfp4"
        shapes = "Y = A B^T needs A [m, k] and B [n, k]"
        for arguments, message in (
            (
                "a.npy -o y.npy",
                "two inputs are needed, A [m, k] and B [n, k]: FILE.npy, FILE.safetensors or FILE.safetensors:TENSOR",
            ),
            (f"a.npy b.npy {formats}", "-o is missing: the .npy or .safetensors file to write"),
            (
                f"a.npy b.npy {formats} -o y.txt",
                "-o y.txt: unknown kind of file; allowed: FILE.npy, FILE.safetensors",
            ),
            (
                "a.npy b.npy --format-a mxfp4 -o y.npy",
                f"--format-b is missing: b.npy is not quantised\n  allowed: {names}",
            ),
            (
                "a.npy b.npy --format-a mxpf4 --format-b mxfp4 -o y.npy",
                f"--format-a: unknown 'mxpf4'\n  allowed: {names}; did you mean 'mxfp4'?",
            ),
            (
                f"a.npy t.npy {formats} -o y.npy",
                f"{shapes}: a.npy is [{M}, {K}], t.npy is [{K}, {N}]\n"
                f"  B has {K} rows: transpose it, np.ascontiguousarray(b.T)",
            ),
            (
                f"t.npy b.npy {formats} -o y.npy",
                f"{shapes}: t.npy is [{K}, {N}], b.npy is [{N}, {K}]\n"
                f"  B has {N} rows: transpose it, np.ascontiguousarray(b.T)",
            ),
            (f"a.npy odd.npy {formats} -o y.npy", f"{shapes}: a.npy is [{M}, {K}], odd.npy is [1, 3]"),
            (f"a.npy c.npy {formats} -o y.npy", "c.npy: no such file; did you mean 'a.npy'?"),
            (
                f"a.npy b.npy {formats} -o same.npy",
                "-o same.npy: is the input b.npy; nothing is written over what is read",
            ),
            (
                f"a.npy b.npy {formats} -o nowhere/y.npy",
                "nowhere/y.npy: cannot be written: there is no folder 'nowhere'",
            ),
            (
                f"a.npy b.npy {formats} -o y.npy --accumulator fused(25)",
                "--accumulator: accumulator 'fused(25)' has 1 parameters\n"
                "  allowed: fused(fraction bits, terms, rounding[, sub-block[, zeros]])",
            ),
            (f"a.npy b.npy {formats} -o y.npy --threads -1", "--threads: -1; allowed: 0 to 1024"),
            (
                f"a.npy b.npy {formats} -o y.npy --kernel avx3",
                "--kernel: unknown 'avx3'\n  allowed: auto, avx512_vnni, avx2, portable; did you mean 'avx2'?",
            ),
            (
                "a.npy b.npy --format-a int8 --format-b fp8 --scale-rule even -o y.npy",
                "--scale-rule: only formats with E8M0 scales have one, int8 does not",
            ),
            (f"a.npy b.npy c.npy {formats} -o y.npy", "unexpected argument 'c.npy'\n  see: oscsim gemm --help"),
        ):
            with self.subTest(arguments):
                self.check_refused(["gemm", *arguments.split()], message)
        self.assertEqual(sorted(os.listdir(self.folder.name)), before)

    def test_damaged_quantised_files_are_refused(self):
        self.check_done("quantize a.npy --format mxfp4 -o a.safetensors".split())
        content = self.read("a.safetensors")
        for size in (4, 100, len(content) - 1):
            self.write("a.safetensors", content[:size])
            done = self.run_program("gemm a.safetensors b.npy --format-b mxfp4 -o y.npy".split())
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, r"^oscsim: a\.safetensors: truncated: ")
        for find, replace in ((rb'"k":"100"', b'"k":"104"'), (rb'"format":"mxfp4"', b'"format":"mxfp8"')):
            self.write("a.safetensors", re.sub(find, replace, content))
            done = self.run_program("gemm a.safetensors b.npy --format-b mxfp4 -o y.npy".split())
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, r"^oscsim: a\.safetensors: tensor 'codes' is F4 \[5, 100\]; expected F")
        self.assertFalse(os.path.exists(self.path("y.npy")))

    def test_output_to_a_pipe_whose_reader_reads(self):
        os.mkfifo(self.path("y.npy"))
        reader = os.open(self.path("y.npy"), os.O_RDONLY | os.O_NONBLOCK)
        self.check_done("gemm a.npy b.npy --format-a bf16 --format-b bf16 -o y.npy".split())
        with os.fdopen(reader, "rb") as file:
            rows = read_npy(file.read())[0]
        self.assertEqual((len(rows), len(rows[0])), (M, N))


if __name__ == "__main__":
    main()
