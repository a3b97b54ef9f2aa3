#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the READMEs say: their commands work, their links lead somewhere, the files that they name are there.

usage: readme_test.py OSCSIM SOURCE_ROOT
"""

import glob
import os
import re
import subprocess
import unittest

from program import PROGRAM, ROOT, ProgramTest, main

# They install, build and test: this test runs inside them. ladder_test.py, beyond_test.py, figures_test.py and
# reproduce_test.py run the others.
NOT_RUN = {
    "scripts/run.sh",
    "scripts/test.sh",
    "scripts/reproduce/accuracy_ladder.py",
    "scripts/reproduce/beyond_the_paper.sh",
    "scripts/reproduce/accuracy_curve.sh",
    "scripts/report.py",
    "scripts/plot.py",
}

# Stands for a name of the reader's choice.
PLACEHOLDERS = {"x_timing.h"}

FILE_NAME = re.compile(r"[\w.*/-]+(\.(h|cpp|py|sh|cmake|yaml|csv|md)|/)")


def pages():
    """(path below the root, text) of every Markdown file of ours."""
    for folder, folders, files in os.walk(ROOT):
        left_out = (".", "build") if folder == ROOT else (".",)
        folders[:] = sorted(name for name in folders if not name.startswith(left_out))
        for name in sorted(files):
            if name.endswith(".md"):
                path = os.path.join(folder, name)
                with open(path) as file:
                    yield os.path.relpath(path, ROOT), file.read()


def code_blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_code_blocks(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def tables(text):
    """Rows of cells of each table, its heading first."""
    for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().split("\n")]
        yield [row for row in rows if not re.fullmatch(r"[-: ]*", "".join(row))]


class CommandTest(ProgramTest):
    def test_every_command_works(self):
        ran = []
        for page, text in pages():
            for block in code_blocks(text, "sh"):
                for command in filter(None, map(str.strip, block.split("\n"))):
                    if command.split()[0] in NOT_RUN:
                        continue
                    with self.subTest(page=page, command=command):
                        self.run_command(command)
                    ran.append(command.split()[0])
        self.assertIn("build/oscsim", ran)
        self.assertIn("scripts/reproduce/osc_table2.sh", ran)

    def run_command(self, command):
        ours = re.sub(r"^build/oscsim ", '"$OSCSIM" ', command).replace("/tmp/", f"{self.folder.name}/")
        done = subprocess.run(
            ["bash", "-c", ours],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OSCSIM": PROGRAM},
            timeout=120,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)


class NameTest(unittest.TestCase):
    def check_exists(self, page, name):
        places = [os.path.join(ROOT, os.path.dirname(page), name), os.path.join(ROOT, name)]
        self.assertTrue(any(glob.glob(place) for place in places), f"{page}: there is no '{name}'")

    def test_links_lead_somewhere(self):
        count = 0
        for page, text in pages():
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code_blocks(text)):
                if re.match(r"[a-z]+:", target) or target.startswith("#"):
                    continue
                with self.subTest(page=page, target=target):
                    self.check_exists(page, target.split("#")[0])
                count += 1
        self.assertGreater(count, 10)

    def test_files_in_code_type_exist(self):
        count = 0
        for page, text in pages():
            for name in re.findall(r"`([^`\n]+)`", without_code_blocks(text)):
                if not FILE_NAME.fullmatch(name) or name in PLACEHOLDERS or name.startswith("build/"):
                    continue
                with self.subTest(page=page, name=name):
                    self.check_exists(page, name)
                count += 1
        self.assertGreater(count, 10)

    def test_tables_of_files_name_what_is_there(self):
        folder_of = {"folder": "", "file": "", "script": "", "machine": "machines/"}
        count = 0
        for page, text in pages():
            for heading, *rows in tables(without_code_blocks(text)):
                if heading[0] not in folder_of:
                    continue
                for row in rows:
                    for cell in row[0].split(", "):
                        name = re.sub(r"^\[(.*)\]\(.*\)$", r"\1", cell).strip("`")
                        with self.subTest(page=page, name=name):
                            suffix = ".yaml" if heading[0] == "machine" else ""
                            self.check_exists(page, folder_of[heading[0]] + name + suffix)
                        count += 1
        self.assertGreater(count, 20)

    def test_every_machine_and_trace_is_described(self):
        for page, folder, suffix in (("configs", "configs/machines", ".yaml"), ("traces", "traces", "")):
            with open(f"{ROOT}/{page}/README.md") as file:
                cells = [row[0] for table in tables(file.read()) for row in table]
            named = {name for cell in cells for name in cell.split(", ")}
            for name in os.listdir(f"{ROOT}/{folder}"):
                if name.endswith(".yaml"):
                    self.assertIn(name.removesuffix(suffix), named)


if __name__ == "__main__":
    main()
