#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes every figure and table again and compares what its script prints with the expected values.

    scripts/reproduce/all.sh [--quick|--full] [NAME...]

A folder beside this file that holds a table.toml is one of them; README.md has the format. --quick (the default) takes
small forms, minutes in all. --write NAME... takes what was printed as expected, and shows what changes. OSCSIM names
another program than build/oscsim. Exit status 1 when something deviates or fails.
"""

import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True  # nothing is written to the source tree
import support  # noqa: E402

DECIMAL = re.compile(r"(-?\d+\.\d+)")


class Table:
    """One folder."""

    def __init__(self, folder):
        self.folder, self.name = folder, folder.name
        data = tomllib.loads((folder / "table.toml").read_text())
        self.title, self.tolerance = data["title"], data["tolerance"]
        self.forms = {form: data[form] for form in ("quick", "full") if form in data}
        unknown = data.keys() - {"title", "tolerance", "quick", "full"}
        if unknown or not self.forms or any(form.keys() != {"command", "minutes"} for form in self.forms.values()):
            sys.exit(f"{folder}/table.toml: holds title, tolerance and, in quick, full or both, command and minutes")

    def form(self, wanted):
        """The wanted form; what has one only runs in that."""
        return wanted if wanted in self.forms else next(iter(self.forms))

    def expected_file(self, form):
        return self.folder / f"{form}.txt"


def differences(expected, printed, tolerance):
    """Lines that differ: text exactly but for its spacing, numbers with a decimal point by more than the tolerance."""
    lines = [[DECIMAL.split(" ".join(line.split())) for line in text.splitlines()] for text in (expected, printed)]

    def same(a, b):
        if len(a) != len(b) or a[::2] != b[::2]:
            return False
        return all(abs(float(x) - float(y)) <= tolerance + 1e-9 for x, y in zip(a[1::2], b[1::2]))

    found = []
    for index in range(max(map(len, lines))):
        before, after = (text[index] if index < len(text) else None for text in lines)
        if before is None or after is None or not same(before, after):
            found += [
                f"  {sign} {''.join(line)}"
                for sign, line in (("expected", before), ("printed ", after))
                if line is not None
            ]
    return found


def run(table, form):
    """(status, what explains it, output)."""
    command = table.forms[form]["command"]
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return "failed", [f"  {command}: exit status {done.returncode}", *done.stderr.splitlines()[-5:]], done.stdout
    expected = table.expected_file(form)
    if not expected.exists():
        return "failed", [f"  {expected.relative_to(ROOT)} is not there; --write {table.name} makes it"], done.stdout
    found = differences(expected.read_text(), done.stdout, table.tolerance)
    return ("deviates" if found else "agrees"), found, done.stdout


def write(table, form, printed):
    path = table.expected_file(form)
    before = path.read_text() if path.exists() else ""
    print(
        "".join(difflib.unified_diff(before.splitlines(True), printed.splitlines(True), str(path), "printed")), end=""
    )
    support.write_whole(path, printed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--quick", dest="form", action="store_const", const="quick", default="quick")
    forms.add_argument("--full", dest="form", action="store_const", const="full")
    parser.add_argument("--write", action="store_true", help="take what is printed as expected")
    parser.add_argument("names", metavar="NAME", nargs="*", help="folders (default: all)")
    arguments = parser.parse_args()
    tables = {path.parent.name: Table(path.parent) for path in sorted(HERE.glob("*/table.toml"))}
    for name in arguments.names:
        if name not in tables:
            near = difflib.get_close_matches(name, tables, 1)
            sys.exit(
                f"all: no table '{name}'\n  there are: {', '.join(tables)}"
                + (f"; did you mean '{near[0]}'?" if near else "")
            )
    if arguments.write and not arguments.names:
        parser.error("--write needs names")
    program = os.environ.get("OSCSIM", str(ROOT / "build/oscsim"))
    if not os.access(program, os.X_OK):
        sys.exit(f"all: {program} is not there: run scripts/run.sh first")

    width = max(map(len, tables))
    agree = True
    print(f"{'table':{width}}  {'status':8}  {'time':>8}  {'expected':>8}", flush=True)
    for table in [tables[name] for name in arguments.names or tables]:
        form, begin = table.form(arguments.form), time.monotonic()
        status, found, printed = run(table, form)
        if arguments.write and (status != "failed" or not table.expected_file(form).exists()) and printed:
            write(table, form, printed)
            status, found = "written", []
        minutes = f"{table.forms[form]['minutes']} min"
        print(f"{table.name:{width}}  {status:8}  {time.monotonic() - begin:6.1f} s  {minutes:>8}", flush=True)
        for line in found:
            print(line, flush=True)
        agree &= status in ("agrees", "written")
    return 0 if agree else 1


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "all"))
