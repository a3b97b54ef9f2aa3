#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/oscsim.py: run, sweep and load give DataFrames; the program's message is the exception's text.

usage: python_environment.sh --notebook notebook_test.py OSCSIM SOURCE_ROOT
"""

import json
import os
import sys

from program import PROGRAM, ROOT, SMALL, ProgramTest, main

os.environ["OSCSIM"] = PROGRAM
sys.path.insert(0, f"{ROOT}/scripts")
import oscsim  # noqa: E402

SWEEP = {
    "schema": 1,
    "base": {"machine": "edge_npu", "gemms": ["64,256,512,attn_in"]},
    "axes": {"machine.core.gather.lanes": [4, 8], "scheme.fallback.positions": [[], ["attn_in"]]},
}


class NotebookTest(ProgramTest):
    def test_run_gives_what_the_json_says(self):
        self.check_done([*SMALL, "--timing-only", "--set", "machine.cores=1", "--json", "result.json"])
        with open(self.path("result.json")) as file:
            expected = json.load(file)
        result = oscsim.run(machine="edge_npu", gemm="8,16,64,attn_in", timing_only=True, set={"machine.cores": 1})
        self.assertEqual(result.data, expected)
        self.assertEqual(result.speedup, expected["total"]["speedup"])
        self.assertEqual(list(result.rows["kind"]), ["gemm", "shared"])
        self.assertEqual(result.rows["scheme_cycles"].sum(), expected["total"]["scheme"]["cycles"])
        self.assertTrue(oscsim.load(self.path("result.json")).equals(result.rows))
        self.assertEqual(result.rows.attrs["provenance"], expected["provenance"])

    def test_options_are_those_of_the_command_line(self):
        options = {
            "gemm": ["1,2,3", "4,5,6"],
            "timing_only": True,
            "verify": False,
            "set": {"a.b": [1, "x"], "c": True},
        }
        self.assertEqual(
            list(oscsim.options_of(options)),
            ["--gemm", "1,2,3", "--gemm", "4,5,6", "--timing-only", "--set", "a.b=[1, x]", "--set", "c=true"],
        )

    def test_sweep_of_a_dict_goes_on_and_loads(self):
        part = oscsim.sweep(SWEEP, self.path("out"), limit=1, jobs=1)
        self.assertEqual(list(part["status"]), ["ok", "missing", "missing", "missing"])
        rows = oscsim.sweep(SWEEP, self.path("out"))
        self.assertEqual(list(rows["status"]), ["ok"] * 4)
        self.assertEqual(list(rows["machine.core.gather.lanes"]), [4, 4, 8, 8])
        self.assertTrue(oscsim.load(self.path("out")).equals(rows))
        self.assertEqual(rows.attrs["sweep"]["points"], 4)

    def check_error(self, text, function, *arguments, **options):
        with self.assertRaises(oscsim.Error) as caught:
            function(*arguments, **options)
        self.assertEqual(str(caught.exception), text)

    def test_errors_have_the_program_s_message(self):
        done = self.run_program(["run", "--machine", "edge_npuu"])
        self.check_error(done.stderr.removeprefix("oscsim: ").strip(), oscsim.run, machine="edge_npuu")
        self.check_error(
            f"{self.path('out')}.json:8:2: unknown key 'axis' at the top level\n"
            "  allowed: schema, description, base, axes, linked, "
            "where, random, points; did you mean 'axes'?",
            oscsim.sweep,
            {"schema": 1, "base": {"gemms": ["8,8,8"]}, "axis": {}},
            self.path("out"),
        )

    def test_files_that_are_no_results_are_refused(self):
        nothing, other = self.path("nothing"), self.path("other.json")
        with open(other, "w") as file:
            file.write('{"gemms": 3}\n')
        os.mkdir(self.path("empty"))
        self.check_error(f"{nothing}: No such file or directory", oscsim.load, nothing)
        self.check_error(
            f"{other}: neither a result of oscsim run --json nor a folder of oscsim sweep", oscsim.load, other
        )
        self.check_error(
            f"{self.path('empty')}/results.jsonl: No such file or directory; "
            f"oscsim sweep merge {self.path('empty')} writes it",
            oscsim.load,
            self.path("empty"),
        )


if __name__ == "__main__":
    main()
