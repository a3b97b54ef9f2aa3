#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mappings, the unit of 16-bit work and the end of simulated time, seen from the command line.

usage: faults_mapper_test.py OSCSIM SOURCE_ROOT
"""

import json
import os
import subprocess
import sys

from program import PROGRAM, ROOT, ProgramTest, main

MACHINES = sorted(name[:-5] for name in os.listdir(f"{ROOT}/configs/machines") if name.endswith(".yaml"))


class FaultsMapperTest(ProgramTest):
    def result(self, *arguments):
        self.check_done(["run", "--timing-only", *arguments, "--json", "r.json"])
        with open(self.path("r.json")) as file:
            return json.load(file)

    def test_a1_decode_with_one_key(self):
        model = ["trace", "Qwen3-8B", "--phase", "decode", "--tokens", "16", "--layers", "0", "--attention"]
        self.check_done([*model, "-o", "t.yaml"])
        for machine in MACHINES:
            for scheme in ("bf16", "w8a8_mxfp8"):
                result = self.result("--trace", "t.yaml", "--machine", machine, "--scheme", scheme)
                attention = [entry for entry in result["operations"] if entry["op"] == "attention"]
                self.assertGreater(attention[0]["scheme"]["cycles"], 0, machine)

    def test_a1_variant_prefill_of_one_token(self):
        model = ["trace", "Qwen3-30B-A3B", "--phase", "prefill", "--tokens", "1", "--layers", "0", "--attention"]
        self.check_done([*model, "-o", "t.yaml"])
        for machine in MACHINES:
            self.result("--trace", "t.yaml", "--machine", machine, "--scheme", "w8a8_mxfp8")

    def edge(self, scheme, *settings):
        options = [word for setting in settings for word in ("--set", setting)]
        gemm = ["--gemm", "2048,4096,4096,attn_in", "--machine", "edge_npu"]
        return self.result(*gemm, "--scheme", scheme, "--baseline", "w8a8", *options)["gemms"][0]

    def test_a11_edge_npu_multiplies_16_bit_on_its_tensor_unit(self):
        gemm = self.edge("bf16")
        ratio = gemm["scheme"]["cycles"] / gemm["baseline"]["cycles"]
        self.assertLess(ratio, 2.1)  # half the rate of 8 bit
        self.assertGreater(ratio, 1.9)
        self.assertEqual(gemm["scheme"]["busy_cycles"]["branch"], 0)
        self.assertEqual(gemm["scheme"]["energy_parts_uj"]["branch"], 0)

    def test_a11_variant_the_width_of_the_branch_is_the_branchs_alone(self):
        narrow, wide = self.edge("osc"), self.edge("osc", "machine.core.branch.k0=16")
        for side in (narrow["baseline"], wide["baseline"]):
            del side["energy_uj"], side["energy_parts_uj"]  # a wider branch leaks more
        self.assertEqual(narrow["baseline"], wide["baseline"])
        self.assertGreater(narrow["scheme"]["busy_cycles"]["branch"], 10 * wide["scheme"]["busy_cycles"]["branch"])
        bf16 = [self.edge("bf16", f"machine.core.branch.k0={k0}")["scheme"] for k0 in (1, 16)]
        self.assertEqual(bf16[0]["cycle_stack"], bf16[1]["cycle_stack"])

    def test_a11_variant_no_16_bit_rate_at_all(self):
        gemm = self.edge("bf16", "machine.core.tensor.k0_16bit=0")
        self.assertEqual(gemm["scheme"]["busy_cycles"]["tensor"], 0)
        self.assertEqual(gemm["scheme"]["energy_parts_uj"]["tensor"], 0)
        self.assertGreater(gemm["scheme"]["cycles"], 7 * gemm["baseline"]["cycles"])
        shared = ["--set", "machine.core.tensor.k0_16bit=0", "--set", "machine.core.branch.placement=shared"]
        done = self.run_program(["run", "--timing-only", "--gemm", "16,16,32", "--machine", "edge_npu", *shared])
        self.assertEqual(done.returncode, 2)
        self.assertIn(
            "core.tensor.k0_16bit is 0, but core.branch.placement is shared; allowed: placement own, or a 16-bit rate",
            done.stderr,
        )

    def test_a11_describe_says_whose_16_bit_work_is(self):
        text = " ".join(self.check_done(["describe", "machine"]).split())
        self.assertIn("does other 16-bit work (GEMMs, attention) only where core.tensor.k0_16bit is 0", text)

    def test_a12_a_byte_a_second_ends_with_the_limit(self):
        self.check_refused(
            ["run", "--timing-only", "--gemm", "16,16,32,attn_in", "--set", "machine.hbm.bandwidth=1B/s"],
            "gemm_16x16x32.input: its simulated time passes 14849990347506 cycles (9000 s at 1.65 GHz), the most that can "
            "be simulated",
        )

    def test_a12_variant_a_slow_clock_is_right(self):
        gemm = ["--gemm", "16,16,32,attn_in", "--scheme", "w4a4"]
        fast = self.result(*gemm, "--set", "machine.clock=2GHz")
        slow = self.result(*gemm, "--set", "machine.clock=1kHz")
        slow, fast = (result["gemms"][0]["scheme"] for result in (slow, fast))
        self.assertGreater(slow["time_us"], 1e4 * fast["time_us"])
        self.assertAlmostEqual(slow["time_us"], slow["cycles"] * 1e3, places=3)

    def test_a8_search_against_random_mappings(self):
        """The short form of scripts/reproduce/search_cases.py: all cases is minutes."""
        command = [sys.executable, "-B", f"{ROOT}/scripts/reproduce/search_cases.py", "--limit", "8", "--pins", "8"]
        done = subprocess.run(
            command, env=os.environ | {"OSCSIM": PROGRAM}, capture_output=True, text=True, timeout=120
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout.splitlines()[-1], r"^8 of 8 within 5 % of the best random mapping, worst ")


if __name__ == "__main__":
    main()
