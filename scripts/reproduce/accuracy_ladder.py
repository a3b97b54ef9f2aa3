#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The accuracy ladder: SQNR in dB of W8A8, W4A4 direct and OSC against the FP32 product, on the synthetic activations of
one Qwen3-8B layer, for MXFP4 with each scale rule, NVFP4 and HiFloat4. Prints the table of the README (Markdown).

    scripts/reproduce/accuracy_ladder.py [--tokens 256] [--seed 0]

OSCSIM names another program than build/oscsim. Exit status 1 when OSC does not beat W4A4 direct somewhere.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True  # nothing is written to the source tree
import support  # noqa: E402

OSCSIM = os.environ.get("OSCSIM", str(ROOT / "build/oscsim"))

# Qwen3-8B (config.json of the model): hidden 4096, 32 heads of 128, intermediate 12288. One GEMM for each activation.
GEMMS = {"attn_in": (4096, 4096), "o_in": (4096, 4096), "ffn_in": (12288, 4096), "down_in": (4096, 12288)}  # n, k
SCALE_RULES = ("floor", "even", "ceil", "rceil")
# Format, scheme of W4A4 direct, scheme of OSC, the scale rules that it knows.
FORMATS = (
    ("MXFP4", "w4a4", "osc", SCALE_RULES),
    ("NVFP4", "w4a4_nvfp4", "osc_nvfp4", ("",)),
    ("HiFloat4", "w4a4_hif4", "osc_hif4", ("",)),
)
W8A8 = (("FP8", "w8a8", ("",)), ("INT8", "w8a8_int8", ("",)), ("MXFP8", "w8a8_mxfp8", SCALE_RULES))


def sqnr(scheme, rule, arguments):
    """SQNR in dB of each position; OSC without its 8-bit fallback, so that every column is about 4 bits."""
    with tempfile.TemporaryDirectory() as folder:
        result = f"{folder}/result.json"
        command = [OSCSIM, "run", "--scheme", scheme, "--baseline", "w8a8", "--seed", str(arguments.seed)]
        command += ["--json", result]
        for position, (n, k) in GEMMS.items():
            command += ["--gemm", f"{arguments.tokens},{n},{k},{position}"]
        if rule:
            command += ["--set", f"scheme.scale_rule={rule}"]
        if scheme.startswith("osc"):
            command += ["--set", "scheme.fallback.positions=[]"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        gemms = json.loads(pathlib.Path(result).read_text())["gemms"]
    return {gemm["position"]: gemm["scheme"]["sqnr_db"] for gemm in gemms}


def row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def decibels(values):
    return [f"{values[position]:.2f}" for position in GEMMS]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256, help="rows of the activations (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic tensors (default 0)")
    arguments = parser.parse_args()

    row(["scheme", "format", "scale rule", *GEMMS])
    row(["---"] * (3 + len(GEMMS)))
    for name, scheme, rules in W8A8:
        for rule in rules:
            row(["W8A8", name, rule, *decibels(sqnr(scheme, rule, arguments))])
    worse = []
    for name, direct, osc, rules in FORMATS:
        for rule in rules:
            without = sqnr(direct, rule, arguments)
            with_branch = sqnr(osc, rule, arguments)
            row(["W4A4", name, rule, *decibels(without)])
            row(["OSC", name, rule, *decibels(with_branch)])
            worse += [f"{name} {rule} {position}" for position in GEMMS if with_branch[position] <= without[position]]
    if worse:
        print(f"OSC does not beat W4A4 direct: {', '.join(worse)}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "accuracy_ladder.py"))
