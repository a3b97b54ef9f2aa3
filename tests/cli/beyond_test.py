#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/reproduce/beyond_the_paper.py: the idealised end of its tables is the closed form, and costs only cost.

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


class BeyondTest(unittest.TestCase):
    def test_costs_start_at_the_closed_form_and_only_cost(self):
        done = subprocess.run(
            [f"{ROOT}/scripts/reproduce/beyond_the_paper.py", "--models", "Qwen3-8B", "--m", "16,4096"],
            capture_output=True,
            text=True,
            env=os.environ | {"OSCSIM": PROGRAM},
            timeout=240,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
        headings = [row for row in rows if row[0] == "M"]
        self.assertEqual([len(row) for row in headings], [9, 8])
        costs = {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in rows if len(row) == 9 and row[0].isdigit()}
        self.assertEqual(set(costs), {"16", "4096"})
        self.assertAlmostEqual(costs["4096"][0], QWEN3_8B, delta=0.01)
        for speedups in costs.values():
            for before, after in zip(speedups[:5], speedups[1:6]):  # what only OSC has, or has more of
                self.assertLessEqual(after, before + 0.002)
            self.assertLess(speedups[-1], speedups[0])


if __name__ == "__main__":
    main()
