#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cycles of every machine under every scheme, and output hashes of every scheme, against golden.csv.

    golden.py OSCSIM            exit status 1 and a diff when something changed
    golden.py OSCSIM --update   shows the diff and rewrites golden.csv
    golden.py OSCSIM --every N  takes every Nth pair of machine and scheme, and all bits
"""
import argparse
import difflib
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
GOLDEN = HERE / "golden.csv"
TIMED = ["2048,4096,4096,attn_in", "16,12288,4096,ffn_in", "100,200,320,down_in"]
COMPUTED = ["70,130,1060,attn_in", "33,65,97,down_in", "5,7,33,router", "128,256,512,ffn_in"]


def run(oscsim, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder) / "result.json"
        command = [oscsim, "run", "--json", str(result), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
        return json.loads(result.read_text())


def names(folder):
    return sorted(path.stem for path in (ROOT / "configs" / folder).glob("*.yaml"))


def gemm_options(gemms):
    return [word for gemm in gemms for word in ("--gemm", gemm)]


def current(oscsim, pairs):
    yield "what,machine,scheme,name,value"
    for machine, scheme in pairs:
        result = run(oscsim, "--machine", machine, "--scheme", scheme, "--baseline", "bf16", "--timing-only",
                     *gemm_options(TIMED))
        for entry in result["gemms"]:
            yield f"cycles,{machine},{scheme},{entry['name']},{entry['scheme']['cycles']}"
        for entry in result["shared"]:
            if entry["scheme"]:
                yield f"cycles,{machine},{scheme},{entry['input']},{entry['scheme']['cycles']}"
    for scheme in names("schemes"):
        result = run(oscsim, "--machine", "edge_npu", "--scheme", scheme, "--baseline", "bf16", *gemm_options(COMPUTED))
        for entry in result["gemms"]:
            yield f"bits,,{scheme},{entry['name']},{entry['scheme']['output_sha256']}"


def expected(every, pairs):
    """Lines of golden.csv for these pairs; a pair that is no longer there stays in when all are asked for."""
    lines = GOLDEN.read_text().splitlines(keepends=True) if GOLDEN.exists() else []
    kept = {f"cycles,{machine},{scheme}" for machine, scheme in pairs}
    return [line for line in lines
            if every == 1 or not line.startswith("cycles,") or line.rsplit(",", 2)[0] in kept]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("oscsim")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--update", action="store_true")
    choice.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    pairs = list(itertools.product(names("machines"), names("schemes")))[::options.every]
    lines = [line + "\n" for line in current(options.oscsim, pairs)]
    difference = list(difflib.unified_diff(expected(options.every, pairs), lines, "golden.csv", "now", n=0))
    sys.stdout.writelines(difference)
    if options.update:
        GOLDEN.write_text("".join(lines))
    elif difference:
        sys.exit("cycles or bits changed: if that is meant, run tests/golden/update.sh and say why in CHANGELOG.md")


main()
