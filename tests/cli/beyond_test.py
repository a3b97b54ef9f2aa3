#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/reproduce/beyond_the_paper.sh: the idealised end of its table is the closed form, costs only cost, and the README
shows its rows.

usage: beyond_test.py OSCSIM SOURCE_ROOT
"""

import os
import subprocess
import unittest

from program import PROGRAM, ROOT, main

# Speed-up of a layer's linear layers, compute-bound, groups of 32, down_proj in FP8 for both: its share of the
# multiply-accumulates keeps its time, the rest takes (1 + 4 / 32) / 2 of it.
def ceiling(down_share):
    return 1 / (down_share + (1 - down_share) * (1 + 4 / 32) / 2)


# Multiply-accumulates of a token, from the models' config.json: q, k, v, o, gate, up and down.
QWEN3_8B = ceiling(12288 * 4096 / (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 12288 * 4096))

MODELS = ("Qwen3-8B", "Qwen3-30B-A3B")


class BeyondTest(unittest.TestCase):
    def test_costs_start_at_the_closed_form_and_only_cost_and_readme_shows_them(self):
        done = subprocess.run(
            [f"{ROOT}/scripts/reproduce/beyond_the_paper.sh", "--m", "16,2048"],
            capture_output=True,
            text=True,
            env=os.environ | {"OSCSIM": PROGRAM},
            timeout=240,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(f"{ROOT}/README.md") as file:
            readme = file.read()
        lines = done.stdout.partition("\n\n")[0].splitlines()
        for line in lines:
            self.assertIn(line + "\n", readme)
        rows = [line.strip("| ").split(" | ") for line in lines[2:]]
        self.assertEqual([row[:2] for row in rows], [[model, m] for model in MODELS for m in ("16", "2048")])
        costs = {tuple(row[:2]): [float(cell.split()[0]) for cell in row[2:10]] for row in rows}
        self.assertAlmostEqual(costs["Qwen3-8B", "2048"][0], QWEN3_8B, delta=0.01)
        for speedups in costs.values():
            for before, after in zip(speedups[:5], speedups[1:6]):  # what only OSC has, or has more of
                self.assertLessEqual(after, before + 0.002)
            self.assertLess(speedups[-1], speedups[0])


if __name__ == "__main__":
    main()
