#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/oscsim.py: run, sweep and load give DataFrames; the program's message is the exception's text.

usage: python_environment.sh --notebook notebook_test.py OSCSIM SOURCE_ROOT
"""

import decimal
import json
import os
import pathlib
import sys

import numpy as np
import pandas
from program import PROGRAM, ROOT, SMALL, ProgramTest, main

os.environ["OSCSIM"] = PROGRAM
sys.path.insert(0, f"{ROOT}/scripts")
import oscsim  # noqa: E402

SWEEP = {
    "schema": 1,
    "base": {"machine": "edge_npu", "gemms": ["64,256,512,attn_in"]},
    "axes": {"machine.core.gather.lanes": [4, 8], "scheme.fallback.positions": [[], ["attn_in"]]},
}

TIMESTAMP = "pandas._libs.tslibs.timestamps.Timestamp"


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

    def check_sweep(self, axes, expected, folder):
        rows = oscsim.sweep(SWEEP | {"axes": axes}, self.path(folder))
        self.assertEqual(list(rows["status"]), ["ok"] * len(rows))
        for path, values in expected.items():
            self.assertEqual(list(rows[path].unique()), values)

    def test_c10_sweeps_take_arrays(self):
        self.check_sweep({"machine.cores": np.arange(1, 3)}, {"machine.cores": [1, 2]}, "arrays")

    def test_c10_variant_what_notebooks_hold_is_taken(self):
        axes = {
            "machine.cores": range(1, 3),
            "machine.core.gather.lanes": pandas.Series([np.int64(4), 8]),
            "scheme.outliers.alpha": (np.float64(4.5), np.float32(5)),
            "machine.core.gather.zero_behind": np.array([True, False]),
        }
        expected = {
            "machine.cores": [1, 2],
            "machine.core.gather.lanes": [4, 8],
            "scheme.outliers.alpha": [4.5, 5],
            "machine.core.gather.zero_behind": [True, False],
        }
        self.check_sweep(axes, expected, "many")
        machine = pathlib.Path(ROOT, "configs/machines/edge_npu.yaml")
        self.check_sweep({"machine": [machine]}, {"machine": [str(machine)]}, "paths")
        result = oscsim.run(
            machine=machine,
            gemm=[(8, np.int64(16), 64, "attn_in"), np.array([8, 32, 64])],
            timing_only=np.bool_(True),
            set={"machine.cores": np.int64(1), "scheme.fallback.positions": ("attn_in",)},
            seed=np.uint8(3),
        )
        self.assertEqual(list(result.rows["n"].dropna()), [16, 32])
        self.assertEqual(result.data["provenance"]["machine"]["cores"], 1)
        self.assertEqual(list(oscsim.options_of({"gemm": (8, 16, 64), "set": {"a": None}})), [
            "--gemm", "8,16,64", "--set", "a=none",
        ])  # fmt: skip

    def test_c10_variant_other_types_are_refused_by_key(self):
        allowed = "allowed: numbers, text, true and false, None, paths, and lists, ranges, arrays and dicts of them"
        for value, kind, text in (
            ({4}, TypeError, f"axes.machine.cores: cannot take a set; {allowed}"),
            ([1, b"2"], TypeError, f"axes.machine.cores[1]: cannot take a bytes; {allowed}"),
            (decimal.Decimal(2), TypeError, f"axes.machine.cores: cannot take a decimal.Decimal; {allowed}"),
            ([pandas.Timestamp(0)], TypeError, f"axes.machine.cores[0]: cannot take a {TIMESTAMP}; {allowed}"),
            (np.array([1, np.nan]), ValueError, "axes.machine.cores[1]: nan is no finite number"),
            ({3: 4}, TypeError, "axes.machine.cores: 3 is no text, so it is no key"),
        ):
            with self.assertRaises(kind) as caught:
                oscsim.sweep(SWEEP | {"axes": {"machine.cores": value}}, self.path("refused"))
            self.assertEqual(str(caught.exception), text)
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_b1_variant_a_sweep_s_description_overwrites_sweeps_only(self):
        self.check_done([*SMALL, "--timing-only", "--json", "result.json"])
        with open(self.path("result.json")) as file:
            before = file.read()
        text = f"{self.path('result.json')}: is no sweep and would be overwritten by this one; take another folder"
        self.check_error(text, oscsim.sweep, SWEEP, self.path("result"))
        with open(self.path("result.json")) as file:
            self.assertEqual(file.read(), before)

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
        self.check_error(f"{other}: is no result of a run; oscsim run --json FILE writes one", oscsim.load, other)
        self.check_error(
            f"{self.path('empty')}: has no results.jsonl; oscsim sweep merge {self.path('empty')} writes it",
            oscsim.load,
            self.path("empty"),
        )


if __name__ == "__main__":
    main()
