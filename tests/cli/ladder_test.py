#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The accuracy ladder of the README is what its command prints.

usage: ladder_test.py OSCSIM SOURCE_ROOT
"""

import os
import subprocess
import unittest

from program import PROGRAM, ROOT, main


class LadderTest(unittest.TestCase):
    maxDiff = None

    def test_readme_shows_what_the_command_prints(self):
        command = [f"{ROOT}/scripts/reproduce/accuracy_ladder.py"]
        printed = subprocess.run(
            command, env=os.environ | {"OSCSIM": PROGRAM}, capture_output=True, text=True, timeout=300
        )
        self.assertEqual((printed.returncode, printed.stderr), (0, ""))
        with open(f"{ROOT}/README.md") as file:
            readme = file.read()
        heading = printed.stdout.split("\n")[0]
        self.assertIn(heading, readme)
        shown = readme[readme.index(heading) :].split("\n\n")[0] + "\n"
        self.assertEqual(printed.stdout, shown)


if __name__ == "__main__":
    main()
