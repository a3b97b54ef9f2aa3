#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oscsim quantize, gemm and describe: numbers of casts and accumulators that other implementations compute otherwise.

usage: faults_numerics_test.py OSCSIM SOURCE_ROOT
"""

import json
import math
import struct

from matrix_files import npy, read_npy, read_safetensors
from program import ProgramTest, main

FORMULA = "E4M3 of the real number amax S / 6, rounded once"


class NumericsFaults(ProgramTest):
    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def quantize(self, row, fmt, *options):
        """(tensors, metadata, decoded row) of one row."""
        self.write("x.npy", npy([row]))
        self.check_done(["quantize", "x.npy", "--format", fmt, "-o", "q.safetensors", *options])
        tensors, metadata = read_safetensors(self.read("q.safetensors"))
        return tensors, metadata, struct.unpack(f"<{len(row)}f", tensors["decoded"][2])

    def patch(self, name, byte, value):
        """Writes one byte of a tensor of q.safetensors."""
        content = bytearray(self.read("q.safetensors"))
        begin = 8 + struct.unpack("<Q", content[:8])[0]
        offset = json.loads(content[8:begin])[name]["data_offsets"][0]
        content[begin + offset + byte] = value
        self.write("q.safetensors", bytes(content))

    def described(self, fmt):
        return self.check_done(["describe", "format", fmt])

    def test_a2_a_row_of_small_numbers_is_not_zero(self):
        for fmt, step in (("int8", 51 / 127), ("int4", 3 / 7)):
            value = self.quantize([4e-6] * 64, fmt)[2][63]
            self.assertAlmostEqual(value / (step * 1e-5), 1, places=6)
            self.assertIn("max(amax, 1e-5) / ", self.described(fmt))

    def test_a18_variant_a_group_of_small_numbers_has_its_own_step(self):
        decoded = self.quantize([1e-4 * (i % 16) / 15 for i in range(128)], "int4_asym")[2]
        self.assertEqual(len(set(decoded)), 16)
        self.assertAlmostEqual(decoded[15] / 1e-4, 1, places=2)

    def test_a3_nvfp4_scale_is_a_switch_of_quantize(self):
        row = [4.5625] + [0.0] * 15 + [1.7109375] + [0.0] * 15
        for rule, byte in ((None, 115), ("exact", 115), ("te_main", 115), ("te_2x", 114)):
            tensors, metadata, _ = self.quantize(row, "nvfp4", *(["--nvfp4-scale", rule] if rule else []))
            self.assertEqual((tensors["scales"][2][1], metadata["nvfp4_scale"]), (byte, rule or "exact"))
        self.assertEqual(self.quantize([0.11132812], "nvfp4_single")[0]["scales"][2][0], 9)
        self.assertIn(FORMULA, self.described("nvfp4"))

    def test_a3_variant_nvfp4_scale_reaches_gemm_and_schemes(self):
        self.write("a.npy", npy([[1.0] + [0.0] * 15 + [0.084821425] * 16]))
        self.write("b.npy", npy([[0.0] * 16 + [1.0] * 16]))
        found = {}
        for rule in ("exact", "te_main", "te_2x"):
            options = f"--format-a nvfp4 --format-b bf16 --nvfp4-scale {rule} -o y.npy --json y.json --verify"
            text = self.check_done(["gemm", "a.npy", "b.npy", *options.split()])
            self.assertIn(f"cast to nvfp4, scale {rule}, rounding nearest_even\n", text)
            found[rule] = read_npy(self.read("y.npy"))[0]
            with open(self.path("y.json")) as file:
                self.assertEqual(json.load(file)["nvfp4_scale"], rule)
        self.assertEqual(found["exact"], found["te_2x"])
        self.assertNotEqual(found["exact"], found["te_main"])
        command = "run --machine edge_npu --scheme w4a4_nvfp4 --gemm 16,16,64,attn_in --timing-only"
        self.check_done([*command.split(), "--set", "scheme.nvfp4_scale=te_2x"])
        self.assertIn("E4M3 scale of an NVFP4 block", self.check_done(["describe", "scheme"]).replace("\n", " "))
        self.check_refused(
            "quantize a.npy --format mxfp4 --nvfp4-scale exact -o q.safetensors".split(),
            "--nvfp4-scale: only formats with E4M3 scales have one, mxfp4 does not",
        )

    def test_a4_a_sub_block_that_cancels_aligns(self):
        # 36.25 in block 0; in block 1 products cancel under scales of 2^20.
        big = 2.0**20
        a = [6.0, 0.5] + [0.0] * 30 + [4 * big, 4 * big] + [0.0] * 30
        b = [6.0, 0.5] + [0.0] * 30 + [4 * big, -4 * big] + [0.0] * 30
        self.write("a.npy", npy([a]))
        self.write("b.npy", npy([b]))
        for accumulator, result in (("blackwell_mxf4", 32), ("fused(35,4,rz,16,skip)", 36.25), ("exact", 36.25)):
            options = f"--format-a mxfp4 --format-b mxfp4 --accumulator {accumulator} -o y.npy --verify"
            self.check_done(["gemm", "a.npy", "b.npy", *options.split()])
            self.assertEqual(read_npy(self.read("y.npy"))[0], [[result]], accumulator)
        self.assertIn("SUB-BLOCK[,ZEROS]", self.check_done(["gemm", "--help"]))

    def test_a5_ties_of_hif4_go_away_from_zero(self):
        row = [7.0] + [0.0] * 7 + [0.125] + [0.0] * 55
        _, metadata, decoded = self.quantize(row, "hif4")
        self.assertEqual((decoded[8], metadata["rounding"]), (0.25, "half_away"))
        self.assertEqual(self.quantize(row, "hif4", "--rounding", "nearest_even")[2][8], 0)
        self.assertIn("ties away from zero, as the published quantisers", self.described("hif4"))

    def test_a5_variant_other_formats_keep_ties_to_even(self):
        self.assertEqual(self.quantize([6.0, 2.5] + [0.0] * 30, "mxfp4")[2][1], 2)
        formats = json.loads(self.check_done(["describe", "format", "--json"]))
        self.assertEqual({f["name"] for f in formats if f["rounding"] != "nearest_even"}, {"hif4"})

    def test_a6_a_scale_with_a_sign_is_refused(self):
        self.write("b.npy", npy([[1.0] * 64]))
        self.quantize([1.0] * 64, "nvfp4")
        self.patch("scales", 2, 0xB8)
        for command in (
            "gemm q.safetensors b.npy --format-b bf16 -o y.npy",
            "gemm b.npy q.safetensors --format-a bf16 -o y.npy",
        ):
            self.check_refused(
                command.split(),
                "q.safetensors: tensor 'scales': the scale 0xb8 of block 2 in row 0 has its sign bit set; "
                "allowed: 0x00 to 0x7f, scales are unsigned",
            )

    def test_a6_variant_amxfp4_and_nan_scales(self):
        self.write("b.npy", npy([[1.0] * 64]))
        self.quantize([1.0, -1.0] * 32, "amxfp4")
        self.patch("scales", 3, 0xBC)
        self.check_refused(
            "gemm q.safetensors b.npy --format-b bf16 -o y.npy".split(),
            "q.safetensors: tensor 'scales': the scale 0xbc of block 1 in row 0 has its sign bit set; "
            "allowed: 0x00 to 0x7f, scales are unsigned",
        )
        self.quantize([1.0] * 64, "nvfp4_single")
        self.patch("scales", 1, 0x7F)
        self.check_refused(
            "gemm q.safetensors b.npy --format-b bf16 -o y.npy".split(),
            "q.safetensors has NaN at [0, 16]; --allow-nonfinite goes on and propagates NaN",
        )

    def test_a7_sixteen_bits_overflow_and_saturate_by_a_switch(self):
        row, saturate = [65520.0, 1.0], ("--overflow", "saturate")
        _, metadata, decoded = self.quantize(row, "fp16")
        self.assertEqual((decoded, metadata["overflow"]), ((math.inf, 1), "infinity"))
        self.assertEqual(self.quantize(row, "fp16", *saturate)[2], (65504, 1))
        self.assertEqual(self.quantize([-3.4e38], "bf16")[2], (-math.inf,))
        self.assertEqual(self.quantize([-3.4e38], "bf16", *saturate)[2], (-(2.0**128 - 2.0**120),))
        self.assertIn("Inf (IEEE 754)", self.described("fp16"))
        self.check_refused(
            "quantize x.npy --format fp8 --overflow saturate -o q.safetensors".split(),
            "--overflow: only formats with 16-bit elements overflow, fp8 does not",
        )

    def test_a7_variant_decoded_zeros_have_signs(self):
        for fmt, small in (("mxfp4", -0.1), ("nvfp4", -0.1), ("hif4", -0.1), ("mxfp8", -1e-9), ("fp16", -1e-30)):
            zero = self.quantize([6.0, small] + [0.0] * 14, fmt)[2][1]
            self.assertEqual((zero, math.copysign(1, zero)), (0, -1), fmt)


if __name__ == "__main__":
    main()
