#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/optimise.py: errors of its section, the Pareto set, resuming, determinism.

usage: optimise_test.py OSCSIM SOURCE_ROOT
"""

import csv
import json
import os
import signal
import subprocess
import time

from program import PROGRAM, ROOT, ProgramTest, main

SPACE = """schema: 1
base:
  machine: edge_npu
  gemms: ["64,256,512,attn_in"]
axes:
  machine.core.gather.lanes: [2, 4, 8, 16]
  machine.core.branch.k0: {from: 1, to: 8, scale: log2}
  scheme.fallback.positions: [[], [attn_in]]
linked:
  - machine.core.buffers.l0a: [8KiB, 16KiB]
    machine.core.buffers.l0b: [8KiB, 16KiB]
where: [machine.core.branch.k0 <= machine.core.gather.lanes]
"""
SECTION = """optimise:
  objectives: [{maximise: speedup}, {minimise: area_mm2}]
  generations: 2
  population: 4
  seed: 3
"""
WRONG = """optimise:
  objectives: [{maximise: speedpu}, {larger: speedup}, area_mm2]
  constraints: [scheme_time_us < 10us, "area_mm < 3"]
  genarations: 2
  population: 1
  seed: [1]
"""


class OptimiseTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        subprocess.run([f"{ROOT}/scripts/python_environment.sh", "--optimise"], check=True)

    def write(self, text, name="space.yaml"):
        with open(self.path(name), "w") as file:
            file.write(text)

    def start(self, folder="out"):
        return subprocess.Popen(
            [f"{ROOT}/scripts/optimise.py", "space.yaml", "-o", folder, "--jobs", "1"],
            cwd=self.folder.name,
            env=os.environ | {"OSCSIM": PROGRAM},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def optimise(self, folder="out"):
        process = self.start(folder)
        out, error = process.communicate(timeout=250)
        return process.returncode, out, error

    def check_done(self, folder="out"):
        status, out, error = self.optimise(folder)
        self.assertEqual(status, 0, error)
        return out

    def rows(self, path):
        with open(self.path(path)) as file:
            return [json.loads(line) for line in file]

    def results(self, folder):
        texts = []
        for name in ("front.csv", "front.jsonl", "points/results.jsonl"):
            with open(self.path(f"{folder}/{name}")) as file:
                texts.append(file.read())
        return texts

    def check_refused(self, message, folder="out"):
        status, out, error = self.optimise(folder)
        self.assertEqual((status, out, error), (2, "", f"optimise: {message}\n"))

    def test_the_front_is_what_no_point_dominates(self):
        self.write(SPACE + SECTION)
        lines = self.check_done().splitlines()
        self.assertEqual([line.split(":")[0] for line in lines[:2]], ["generation 1 of 2", "generation 2 of 2"])
        rows, front = self.rows("out/points/results.jsonl"), self.rows("out/front.jsonl")
        self.assertEqual(lines[2:], [f"{len(front)} points on the front", "out/front.csv"])
        self.assertGreater(len(rows), 4)
        self.assertTrue(all(row["status"] == "ok" for row in rows))
        self.assertTrue(all(row["machine.core.branch.k0"] <= row["machine.core.gather.lanes"] for row in rows))
        for row in rows:
            self.assertEqual(row["machine.core.buffers.l0a"], row["machine.core.buffers.l0b"])

        def dominates(a, b):
            better = (a["speedup"] >= b["speedup"], a["area_mm2"] <= b["area_mm2"])
            return all(better) and (a["speedup"], a["area_mm2"]) != (b["speedup"], b["area_mm2"])

        expected = {row["key"] for row in rows if not any(dominates(other, row) for other in rows)}
        self.assertEqual({row["key"] for row in front}, expected)
        self.assertLess(len(front), len(rows))
        with open(self.path("out/front.csv")) as file:
            self.assertEqual([row["key"] for row in csv.DictReader(file)], [row["key"] for row in front])

    def test_constraints_hold_on_the_front(self):
        self.write(SPACE + SECTION + '  constraints: ["machine_mm2 < 1"]\n'.replace("machine", "area"))
        self.check_done()
        self.assertEqual(self.rows("out/front.jsonl"), [])
        rows = self.rows("out/points/results.jsonl")
        bound = sorted(row["area_mm2"] for row in rows)[len(rows) // 2]
        self.write(SPACE + SECTION + f'  constraints: ["area_mm2 >= {bound!r}"]\n')
        self.check_done("bounded")
        front = self.rows("bounded/front.jsonl")
        self.assertTrue(front)
        self.assertTrue(all(row["area_mm2"] >= bound for row in front))

    def test_interrupted_and_killed_it_ends_with_the_same_front(self):
        self.write(SPACE + SECTION.replace("generations: 2", "generations: 6"))
        self.check_done("whole")
        stopped = 0
        for number, delay in ((signal.SIGINT, 0.4), (signal.SIGKILL, 0.5), (signal.SIGTERM, 0.6)):
            process = self.start("out")
            journal = self.path("out/journal.log")
            end = time.monotonic() + 60
            size = os.path.getsize(journal) if os.path.exists(journal) else 0
            while process.poll() is None and time.monotonic() < end:
                if os.path.exists(journal) and os.path.getsize(journal) > size + delay * 5000:
                    break
                time.sleep(0.002)
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
            if process.returncode == 0:
                continue
            stopped += 1
            if number != signal.SIGKILL:
                self.assertEqual(
                    (process.returncode, error), (130, "optimise: interrupted; the same command goes on\n")
                )
        self.assertGreater(stopped, 0)
        self.check_done("out")
        self.assertEqual(self.results("out"), self.results("whole"))

    def test_more_generations_go_on_and_another_seed_does_not(self):
        self.write(SPACE + SECTION)
        self.check_done()
        first = self.rows("out/points/results.jsonl")
        self.write(SPACE + SECTION.replace("generations: 2", "generations: 3"))
        self.assertTrue(self.check_done().startswith("generation 3 of 3: "))
        self.assertEqual(self.rows("out/points/results.jsonl")[: len(first)], first)
        self.write(SPACE + SECTION.replace("seed: 3", "seed: 4"))
        self.check_refused("out: was begun with another seed; take another folder")

    def test_errors_of_the_section_come_at_once_with_their_places(self):
        self.write(SPACE + WRONG)
        status, out, error = self.optimise()
        self.assertEqual((status, out), (2, ""))
        lines = error.splitlines()
        columns = next(line for line in lines if line.startswith("  allowed: speedup"))
        allowed = columns.partition(";")[0]
        self.assertEqual(
            lines,
            [
                "optimise: space.yaml:16:3: unknown key 'genarations' in optimise",
                "  allowed: objectives, constraints, population, generations, seed; did you mean 'generations'?",
                "space.yaml:14:27: 'speedpu' is no column of the rows with a number",
                f"{allowed}; did you mean 'speedup'?",
                "space.yaml:14:37: an objective is {maximise: COLUMN} or {minimise: COLUMN}",
                "space.yaml:14:56: an objective is {maximise: COLUMN} or {minimise: COLUMN}",
                "space.yaml:15:17: a constraint is COLUMN <= NUMBER (or <, >=, >), the number in the column's unit",
                "space.yaml:15:40: 'area_mm' is no column of the rows with a number",
                f"{allowed}; did you mean 'area_mm2'?",
                "space.yaml:17:15: optimise.population is 1; allowed: 2 to 10000",
                "space.yaml:18:9: optimise.seed must be a whole number",
            ],
        )
        self.assertFalse(os.path.exists(self.path("out/journal.log")))

    def test_errors_of_the_sweep_part_name_the_user_s_lines(self):
        self.write(SECTION + SPACE.replace("gather.lanes: [2", "gather.lnaes: [2"))
        status, _, error = self.optimise()
        first = "optimise: space.yaml:11:3: unknown key 'lnaes' in core.gather"
        self.assertEqual((status, error.splitlines()[0]), (2, first))
        self.write(SPACE)
        self.check_refused("space.yaml: has no section optimise; scripts/README.md describes it")
        self.write(SPACE + SECTION + "random: {count: 3}\n")
        self.check_refused("space.yaml:18:1: random cannot stand beside optimise: the optimiser chooses the points")

    def test_an_objective_without_values_is_an_error(self):
        self.write(SPACE + SECTION.replace("area_mm2", "scheme_sqnr_db"))
        status, _, error = self.optimise()
        self.assertEqual(
            (status, error),
            (2, "optimise: space.yaml: 'scheme_sqnr_db' has no value in these runs; is the base timing_only?\n"),
        )


if __name__ == "__main__":
    main()
