#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/reproduce/all.sh: the paper's table agrees; deviations and scripts that fail do not pass.

usage: reproduce_test.py OSCSIM SOURCE_ROOT
"""

import os
import re
import shutil
import subprocess

from program import PROGRAM, ROOT, ProgramTest, main

TIMES = re.compile(r" +[\d.]+ s .*")


class ReproduceTest(ProgramTest):
    def reproduce(self, *arguments, root=ROOT):
        done = subprocess.run(
            [f"{root}/scripts/reproduce/all.sh", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"OSCSIM": PROGRAM},
            timeout=200,
        )
        return done.returncode, TIMES.sub("", done.stdout).splitlines()[1:], done.stderr

    def copy(self, expected, command="printf 'speed-up 1.503 of 2\\n'", tolerance=0.002):
        """all.sh with a single table of its own."""
        folder = self.path("root/scripts/reproduce")
        shutil.rmtree(self.path("root"), ignore_errors=True)
        os.makedirs(f"{folder}/mine")
        for name in ("all.sh", "all.py"):
            shutil.copy(f"{ROOT}/scripts/reproduce/{name}", folder)
        shutil.copy(f"{ROOT}/scripts/support.py", self.path("root/scripts"))
        with open(f"{folder}/mine/table.toml", "w") as file:
            file.write(f'title = "x"\ntolerance = {tolerance}\n[quick]\ncommand = """{command}"""\nminutes = 0.1\n')
        if expected is not None:
            with open(f"{folder}/mine/quick.txt", "w") as file:
                file.write(expected)
        return self.path("root")

    def test_the_paper_s_table_and_a_sweep_agree(self):
        status, lines, error = self.reproduce("--quick", "osc_table2", "sweep_branch_hidden")
        self.assertEqual((status, error), (0, ""), lines)
        self.assertEqual(
            [line.split() for line in lines], [["osc_table2", "agrees"], ["sweep_branch_hidden", "agrees"]]
        )

    def test_numbers_agree_within_the_tolerance_and_text_exactly(self):
        for expected in ("speed-up 1.503 of 2\n", "speed-up   1.505 of 2\n", "speed-up 1.501 of 2\n"):
            self.assertEqual(self.reproduce(root=self.copy(expected)), (0, ["mine  agrees"], ""))
        for expected in ("speed-up 1.506 of 2", "speed-up 1.503 of 3", "slow-down 1.503 of 2"):
            wanted = [f"  expected {expected}", "  printed  speed-up 1.503 of 2"]
            self.assertEqual(self.reproduce(root=self.copy(expected + "\n")), (1, ["mine  deviates", *wanted], ""))
        missing = self.copy("speed-up 1.503 of 2\nmore\n")
        self.assertEqual(self.reproduce(root=missing), (1, ["mine  deviates", "  expected more"], ""))

    def test_a_script_that_fails_is_no_agreement(self):
        root = self.copy("", "echo why >&2; exit 3")
        self.assertEqual(
            self.reproduce("--full", root=root),
            (1, ["mine  failed", "  echo why >&2; exit 3: exit status 3", "why"], ""),
        )
        wanted = "  scripts/reproduce/mine/quick.txt is not there; --write mine makes it"
        root = self.copy(None)
        self.assertEqual(self.reproduce(root=root), (1, ["mine  failed", wanted], ""))
        self.assertEqual(self.reproduce("--write", "mine", root=root)[0], 0)
        self.assertEqual(self.reproduce(root=root), (0, ["mine  agrees"], ""))

    def test_an_unknown_table_is_refused(self):
        status, lines, error = self.reproduce("osc_tabel2")
        self.assertEqual((status, lines), (1, []))
        self.assertRegex(error, r"^all: no table 'osc_tabel2'\n  there are: .*; did you mean 'osc_table2'\?\n$")

    def test_every_table_has_its_expected_values(self):
        folder = f"{ROOT}/scripts/reproduce"
        names = [name for name in os.listdir(folder) if os.path.exists(f"{folder}/{name}/table.toml")]
        self.assertGreater(len(names), 5)
        with open(f"{folder}/README.md") as file:
            readme = file.read()
        for name in names:
            with open(f"{folder}/{name}/table.toml") as file:
                forms = re.findall(r"^\[(\w+)\]$", file.read(), re.MULTILINE)
            for form in forms:
                self.assertTrue(os.path.exists(f"{folder}/{name}/{form}.txt"), f"{name} {form}")
            self.assertIn(name, readme)


if __name__ == "__main__":
    main()
