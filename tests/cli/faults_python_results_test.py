#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scripts on damaged results: a message with file, line and reason, exit status 2, never a traceback.

usage: faults_python_results_test.py OSCSIM SOURCE_ROOT
"""

import copy
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

from program import PROGRAM, ROOT, ProgramTest, main

os.environ["OSCSIM"] = PROGRAM
sys.path.insert(0, f"{ROOT}/scripts")
import oscsim  # noqa: E402
import support  # noqa: E402
from figures import results  # noqa: E402
from figures.reports import report_of  # noqa: E402
from optimising import journal  # noqa: E402

RUN = ["run", "--trace", "qwen3_8b_prefill_full", "--layers", "0-1", "--timing-only", "--json", "r.json"]
SWEEP = """schema: 1
base: {machine: edge_npu, gemms: ["16,64,64,attn_in"], timing_only: false}
axes:
  machine.core.gather.lanes: [2, 4]
  scheme: [osc, w4a4]
  mapping.m: [16, 4096]
"""
GONE = object()
DAMAGES = [GONE, None, "x", "", 0, -1, 1e300, 1e-300, 10**40, [], {}, [3], {"a": {"b": []}}, True]
DAMAGES += [float("nan"), float("inf"), "\ud800", "\0\x1b[31m", 3.7, "0B/s", "1.2.3GHz"]


def places(value, at=()):
    """All paths to values in JSON."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def damaged(value, place, damage):
    if not place:
        return value if damage is GONE else damage
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if damage is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = damage
    return value


def lines_of(value):
    return "".join(json.dumps(line) + "\n" for line in (value if isinstance(value, list) else [value]))


class ResultsTest(ProgramTest):
    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def sweep(self):
        self.write("s.yaml", SWEEP)
        self.check_done(["sweep", "s.yaml", "-o", "s"])
        return self.json("s/sweep.json"), results.read_rows(self.path("s"))

    def json(self, name):
        with open(self.path(name)) as file:
            return json.load(file)

    def refusal(self, read, name):
        """Its message, or None when the damage does not matter. Any other exception is a failure."""
        try:
            read(self.path(name))
        except support.UserError as error:
            return str(error).removeprefix(f"{self.folder.name}/")
        return None

    def check_damages(self, value, write, reads, count):
        """`write` puts a damaged value where `reads` find it."""
        chosen = random.Random(1)
        candidates = [place for place in places(value) if not {"scheme_resolved", "machine_resolved"} & set(place)]
        refused = 0
        for _ in range(count):
            place, damage = chosen.choice(candidates), chosen.choice(DAMAGES)
            write(damaged(value, place, damage))
            for read, name in reads:
                with self.subTest(place=place, damage=damage, read=read.__name__):
                    message = self.refusal(read, name)
                    if message is not None:
                        refused += 1
                        self.assertRegex(message, r"^[\w./]+(:\d+)?: [^\x00-\x1f\ud800]+$")
        self.assertGreater(refused, count // 4)

    def test_d12_damaged_runs(self):
        self.check_done(RUN)
        run = self.json("r.json")
        for group in ("gemms", "shared", "operations"):
            run[group] = run[group][:2] + run[group][-1:]
        for part in ("scheme", "baseline", "synthetic"):
            run["provenance"][part] = {}
        self.check_damages(
            run,
            lambda value: self.write("m.json", json.dumps(value, indent=2)),
            [(report_of, "m.json"), (results.read_result, "m.json")],
            700,
        )

    def test_d12_damaged_heads_of_sweeps(self):
        head, rows = self.sweep()
        self.write("m/results.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        head["base"]["baseline_resolved"] = {}
        self.check_damages(
            head,
            lambda value: self.write("m/sweep.json", json.dumps(value, indent=2)),
            [(report_of, "m"), (results.read_head, "m")],
            400,
        )

    def test_d12_damaged_rows(self):
        head, rows = self.sweep()
        self.write("m/sweep.json", json.dumps(head))
        self.check_damages(
            rows,
            lambda value: self.write("m/results.jsonl", lines_of(value)),
            [(report_of, "m"), (oscsim.read_rows, "m")],
            500,
        )

    def test_d12_damaged_journals(self):
        """Of optimise.py, in the shapes in which Optuna writes them."""
        lines = [
            {"op_code": 0, "worker_id": "w", "study_name": "optimise", "directions": [2, 1]},
            {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"sense": {"seed": 3}}},
            {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": "2026-01-01T00:00:00"},
            {"op_code": 9, "worker_id": "w", "trial_id": 0, "system_attr": {"NSGAIISampler:generation": 0}},
            {"op_code": 8, "worker_id": "w", "trial_id": 0, "user_attr": {"violations": [0.0]}},
            {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1, "values": [float("inf"), 2.5]},
        ]

        def mend(path):
            journal.mend(pathlib.Path(path))

        self.check_damages(
            lines,
            lambda value: self.write("journal.log", lines_of(value)),
            [(mend, "journal.log")],
            300,
        )
        whole = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        self.write("journal.log", whole + '{"op_co')
        self.assertIsNone(self.refusal(mend, "journal.log"))
        with open(self.path("journal.log")) as file:
            self.assertEqual(file.read(), whole)
        self.write("journal.log", "notes of mine")
        message = "journal.log: is no journal of optimise.py; take another folder"
        self.assertEqual(self.refusal(mend, "journal.log"), message)
        with open(self.path("journal.log")) as file:
            self.assertEqual(file.read(), "notes of mine")

    def test_d12_variant_what_another_version_adds_is_shown(self):
        """Parts of a stack that the figures do not know; a tensor unit without a 16-bit rate."""
        self.check_done(RUN)
        result = self.json("r.json")
        result["provenance"]["machine"]["core"]["tensor"]["k0_16bit"] = 0
        result["gemms"][0]["scheme"]["cycle_stack"]["wait_moon"] = 1000
        self.write("m.json", json.dumps(result | {"more": 3}))
        figures = {figure.name: figure.content for figure in report_of(self.path("m.json")).figures}
        self.assertIn("wait_moon", [series.name for series in figures["cycles"].series])
        roofs = [series.name.split()[0] for series in figures["roofline"].panels[0].series if not series.marker]
        self.assertEqual(roofs, ["HBM", "4-bit", "8-bit"])

    def test_d12_the_line_and_what_is_wrong_are_named(self):
        self.check_done(RUN)
        result = self.json("r.json")
        text = json.dumps(result, indent=2)
        lines = text.split("\n")
        line = next(number for number, one in enumerate(lines, 1) if '"time_us"' in one)
        cases = [
            (text.replace(lines[line - 1], '"time_us": null,', 1), "is null; expected a number"),
            (text.replace(lines[line - 1], '"time_us": NaN,', 1), "is NaN; expected a finite number"),
            (text.replace(lines[line - 1], '"time_us": -3,', 1), "is -3; expected a number from 0 on"),
            (text.replace(lines[line - 1], '"time_us": {},', 1), "is an object; expected a number"),
        ]
        for damage, why in cases:
            self.write("m.json", damage)
            self.assertEqual(self.refusal(report_of, "m.json"), f"m.json:{line}: gemms[0].scheme.time_us {why}")
        place = text[: text.index('\n  "gemms"')].count("\n") + 3
        self.write("m.json", json.dumps(damaged(result, ("gemms", 0, "k"), GONE), indent=2))
        self.assertEqual(self.refusal(report_of, "m.json"), f"m.json:{place}: gemms[0] has no key 'k'")
        hint = "; oscsim run --json FILE writes what is expected"
        for damage, message in (
            (b"{\n\xff", "m.json:2: is no UTF-8 (byte 0xff)"),
            (b"", f"m.json:1: is no JSON (Expecting value in column 1){hint}"),
            (b"[" * 100000, f"m.json:1: is no JSON (nested too deeply){hint}"),
            (b"\n[" + b"9" * 5000 + b"]", f"m.json:2: is no JSON (a number of more than 4300 digits){hint}"),
            (b'{"a":' * 150 + b"1" + b"}" * 150, f"m.json:1: {'a.' * 99}a lies more than 100 levels deep"),
            (text.replace('"schema": 1', '"schema": 2'), "m.json:2: has schema 2; this script reads 1"),
        ):
            self.write("m.json", damage)
            self.assertEqual(self.refusal(report_of, "m.json"), message)

    def test_d12_variant_every_script_says_so(self):
        for name in ("figures", "parquet", "optimise"):
            subprocess.run([f"{ROOT}/scripts/python_environment.sh", f"--{name}"], check=True)
        self.sweep()
        shutil.copytree(self.path("s"), self.path("m"))
        with open(self.path("s/results.jsonl")) as file:
            first, second, *_ = file.read().split("\n")
        self.write("m/results.jsonl", f"{first}\n3\n")
        rows = "m/results.jsonl:2: the outermost value is 3; expected an object"
        for script, arguments in (("report", ["m", "-o", "o.html"]), ("plot", ["m", "-o", "f"]), ("to_parquet", ["m"])):
            self.check_refused_by(script, f"{script}.py: {rows}", *arguments)
        self.write("m/results.jsonl", f'{first}\n{second.replace("edge_npu", "")[:-1]},"a":[1]}}\n')
        nested = "to_parquet.py: m/results.jsonl:2: a is a list; expected a number, text, true, false or null"
        self.check_refused_by("to_parquet", nested, "m")
        mixed = json.loads(second) | {"scheme_tile_order": 3}
        self.write("m/results.jsonl", f"{first}\n{json.dumps(mixed)}\n")
        done = self.script("to_parquet", "m")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, r"^to_parquet.py: m/results.jsonl: JSON parse error: .*\n$")
        self.write("o.yaml", "schema: 1\nbase: {machine: edge_npu, gemms: ['16,64,64']}\naxes: {machine.cores: [1, 2]}\n"
                   "optimise: {objectives: [{minimise: area_mm2}], generations: 1, population: 2}\n")  # fmt: skip
        self.write("out/journal.log", '{"op_code": 4, "worker_id": "w"}\n')
        message = "optimise: out/journal.log:1: the outermost value has no key 'study_id'"
        self.check_refused_by("optimise", message, "o.yaml", "-o", "out")
        lines = [{"op_code": 0, "worker_id": "w", "study_name": "optimise", "directions": [1]}]
        lines += [{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": "never"}]
        self.write("out/journal.log", lines_of(lines))
        done = self.script("optimise", "o.yaml", "-o", "out")
        self.assertRegex(
            done.stderr, r"^optimise: out/journal.log: Optuna cannot read it \(.*\); take another folder\n$"
        )
        self.assertEqual(done.returncode, 2)
        self.assertFalse({"o.html", "f"} & set(os.listdir(self.folder.name)))

    def script(self, name, *arguments):
        command = [sys.executable, f"{ROOT}/scripts/{name}.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder.name, timeout=280)

    def check_refused_by(self, name, message, *arguments):
        done = self.script(name, *arguments)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f"{message}\n"))


if __name__ == "__main__":
    main()
