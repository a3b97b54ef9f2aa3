#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cycles of every machine under every scheme, and output hashes of every scheme, against golden.csv.

    golden.py OSCSIM            exit status 1 and a diff when something changed
    golden.py OSCSIM --update   shows the diff and rewrites golden.csv
"""
import difflib
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


def current(oscsim):
    yield "what,machine,scheme,name,value"
    for machine in names("machines"):
        for scheme in names("schemes"):
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


def main():
    lines = [line + "\n" for line in current(sys.argv[1])]
    golden = GOLDEN.read_text().splitlines(keepends=True) if GOLDEN.exists() else []
    difference = list(difflib.unified_diff(golden, lines, "golden.csv", "now", n=0))
    sys.stdout.writelines(difference)
    if "--update" in sys.argv[2:]:
        GOLDEN.write_text("".join(lines))
    elif difference:
        sys.exit("cycles or bits changed: if that is meant, run tests/golden/update.sh and say why in CHANGELOG.md")


main()
