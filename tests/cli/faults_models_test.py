#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults in what is read of models and topologies, through the program.

usage: faults_models_test.py OSCSIM SOURCE_ROOT
"""

import json
import resource
import subprocess
import unittest

from program import IS_SANITIZED, PROGRAM, ProgramTest, main

DECODE = ["--phase", "decode", "--tokens", "1", "--context", "131072"]
WINDOW = {"model_type": "qwen3", "num_hidden_layers": 2, "use_sliding_window": True, "sliding_window": 4096}


class FaultsModels(ProgramTest):
    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    def test_a13_window_of_4096_at_context_131072(self):
        self.write("c.json", {**WINDOW, "max_window_layers": 1})
        self.check_done(["trace", "c.json", *DECODE, "--attention", "-o", "t.yaml"])
        self.check_done(["run", "--trace", "t.yaml", "--timing-only", "--machine", "edge_npu", "--json", "r.json"])
        with open(self.path("r.json")) as file:
            operations = json.load(file)["operations"]
        attention = [operation for operation in operations if operation["op"] == "attention"]
        self.assertEqual([operation["sizes"]["keys"] for operation in attention], [131073, 4096])
        cycles = [operation["baseline"]["cycles"] for operation in attention]
        self.assertLess(20 * cycles[1], cycles[0])

    @unittest.skipIf(IS_SANITIZED, "two minutes")
    def test_a13_variant_prefill_costs_what_the_window_shows(self):
        self.write("c.json", {**WINDOW, "max_window_layers": 1, "sliding_window": 128})
        self.check_done(["trace", "c.json", "--phase", "prefill", "--tokens", "4096", "--attention", "-o", "t.yaml"])
        self.check_done(["run", "--trace", "t.yaml", "--timing-only", "--machine", "edge_npu", "--json", "r.json"])
        with open(self.path("r.json")) as file:
            operations = json.load(file)["operations"]
        full, window = (one["baseline"]["cycles"] for one in operations if one["op"] == "attention")
        # 128 of 2048 keys on average, in whole tiles.
        self.assertLess(4 * window, full)

    def test_c8_a_byte_that_is_not_utf8(self):
        self.write("t.csv", b"Layer,M,N,K\ncaf\xe9,1,2,3\n")
        self.check_refused(["trace", "--from-csv", "t.csv"], "t.csv:2:4: not UTF-8 text: byte 0xE9")

    def test_c8_variant_expressions_of_the_command_line(self):
        for arguments in (["--only", b"caf\xe9|gemm"], ["--layers", b"\xe9"], ["--set", b"machine.description=\xe9"]):
            done = subprocess.run(
                [PROGRAM, "run", "--gemm", "8,16,64", "--timing-only", *arguments, "--json", self.path("r.json")],
                capture_output=True,
            )
            self.assertIn(done.returncode, (0, 2), arguments)
            self.assertNotIn(b"defect", done.stderr)
            done.stderr.decode()  # what is printed is UTF-8

    def test_d5_experts_and_layers_beyond_memory(self):
        for key, said in (
            ({"num_experts": 2**30}, "c has 1073741824 experts in each of 24 layers"),
            ({"num_hidden_layers": 2**30}, "c has 1073741824 layers"),
        ):
            self.write("c.json", {"model_type": "qwen3_moe", **key})
            done = subprocess.run(
                [PROGRAM, "trace", "c.json", *DECODE],
                cwd=self.path("."),
                capture_output=True,
                text=True,
                timeout=20,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (10, 10)),
            )
            self.assertEqual(done.returncode, 2)
            self.assertEqual(done.stderr, f"oscsim: {said}: more than 1000000 GEMMs in one trace\n")

    def test_d15_a_name_of_a_megabyte(self):
        self.write("c.json", {"model_type": "a" * 2**20})
        self.check_refused(
            ["trace", "c.json", *DECODE],
            f"c.json: architecture '{'a' * 60}… (1,048,576 bytes)' is not supported; allowed: qwen3 "
            "(Qwen3ForCausalLM), qwen3_moe (Qwen3MoeForCausalLM)",
        )

    def test_d15_variant_a_number_of_100_kilobytes(self):
        self.write("t.csv", b"a,1,2," + b"9" * 100_000 + b"\n")
        self.check_refused(
            ["trace", "--from-csv", "t.csv"],
            f"t.csv:1: K must be an integer: '{'9' * 60}… (100,000 bytes)' does not fit in 63 bits",
        )


if __name__ == "__main__":
    main()
